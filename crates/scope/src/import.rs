//! Call graphs of others → calls: lists in CSV and JSON, and what Jaeger, SkyWalking and Kiali say.
//!
//! - Pure. The form is told by the content; names are completed as for a caller of the mesh.
//! - What nothing defines is taken by its full name: it may come later.
//! - An entry that makes no sense is left out with a finding that says where; its neighbours go on.

mod csv;
mod graph;

use std::net::IpAddr;

use model::{Hostname, Name, Namespace, WorkloadKey};
use serde_json::Value;
use snapshot::resolve_short_name;

use crate::{
    Places, complete_host, full_host,
    target::{is_name, split_port},
};

/// The most calls that are taken from one file.
const MOST: usize = 200_000;
/// The most findings that are told of.
const MOST_FINDINGS: usize = 100;

/// A file, and what completes its names.
#[derive(Clone, Copy)]
pub struct ImportInput<'a> {
    /// Its content.
    pub text: &'a str,
    /// The namespace of names that have none.
    pub namespace: Option<&'a Namespace>,
    /// The mesh in which they are completed.
    pub places: &'a dyn Places,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// `csv`, `json`, `jaeger`, `skywalking` or `kiali`.
    pub form: &'static str,
    /// In the order of the file.
    pub calls: Vec<ImportedCall>,
    /// What was left out.
    pub findings: Vec<ImportFinding>,
}

/// One dependency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImportedCall {
    /// Who calls.
    pub workload: WorkloadKey,
    /// Whom.
    pub host: Hostname,
    /// How often; one if that is not said.
    pub count: u32,
}

/// Why something was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFinding {
    /// `line 3`, or `data[2].child`.
    pub place: String,
    /// What is wrong, and what to write.
    pub message: String,
}

/// Why nothing of a file can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It begins as JSON and is none.
    #[error("line {line}, column {column}: it is no JSON: {message}")]
    Json {
        /// From one on.
        line: usize,
        /// From one on.
        column: usize,
        /// What the parser said.
        message: String,
    },
    /// It is JSON of another form.
    #[error(
        "it is JSON, but no call graph: neither a list of {{workload, host}}, nor Jaeger's \
         /api/dependencies, nor a topology of SkyWalking, nor Kiali's graph"
    )]
    Form,
    /// Most likely the page that a server shows in place of an answer.
    #[error("it is a page of HTML or XML, and no call graph: see what was saved")]
    Page,
    /// What Jaeger answers to another question.
    #[error("these are traces of Jaeger: save what its /api/dependencies answers")]
    Traces,
}

/// Reads a file.
pub fn parse_import(input: ImportInput<'_>) -> Result<Import, ImportError> {
    let mut import = match input.text.trim_start().bytes().next() {
        Some(b'{' | b'[') => parse_json(input)?,
        Some(b'<') => return Err(ImportError::Page),
        Some(_) | None => csv::parse(input),
    };
    if import.calls.len() > MOST {
        import.calls.truncate(MOST);
        import.leave_out("the rest", format!("a file has at most {MOST} calls: divide it"));
    }
    let more = import.findings.len().saturating_sub(MOST_FINDINGS);
    if more > 0 {
        import.findings.truncate(MOST_FINDINGS);
        import.leave_out("further places", format!("{more} more entries were left out"));
    }
    Ok(import)
}

fn parse_json(input: ImportInput<'_>) -> Result<Import, ImportError> {
    let value: Value = serde_json::from_str(input.text).map_err(|error| ImportError::Json {
        line: error.line(),
        column: error.column(),
        message: {
            let text = error.to_string();
            text.split(" at line ").next().unwrap_or_default().to_owned()
        },
    })?;
    let list = value.as_array().or_else(|| value["items"].as_array());
    if let Some(items) = list {
        return Ok(graph::list(items, input));
    }
    if let Some(items) = value["data"].as_array() {
        if items.iter().any(|item| item["traceID"].is_string()) {
            return Err(ImportError::Traces);
        }
        return Ok(graph::jaeger(items, input));
    }
    if value["elements"].is_object() {
        return Ok(graph::kiali(&value["elements"], input));
    }
    graph::skywalking(&value, input).ok_or(ImportError::Form)
}

impl Import {
    fn leave_out(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.findings.push(ImportFinding { place: place.into(), message: message.into() });
    }

    /// Adds a call, unless caller, callee or count make no sense. What calls itself needs no edge.
    fn add(
        &mut self,
        place: &str,
        workload: Result<WorkloadKey, String>,
        host: Result<Hostname, String>,
        count: Result<u32, String>,
    ) {
        match (workload, host, count) {
            (Ok(workload), Ok(host), Ok(count)) => {
                self.calls.push(ImportedCall { workload, host, count });
            }
            (Err(message), _, _) | (_, Err(message), _) | (_, _, Err(message)) => {
                self.leave_out(place, message);
            }
        }
    }
}

impl ImportInput<'_> {
    /// `shop/web`, or what tools call a service: `web.shop`, `web.shop.svc.cluster.local`,
    /// `group::web.shop`; without a namespace it has the input's.
    fn workload(&self, text: &str) -> Result<WorkloadKey, String> {
        let text = plain(text);
        let (name, namespace) = match text.split_once('/') {
            Some((namespace, name)) => (name, Some(namespace)),
            None => match self.service(text).split_once('.') {
                Some((name, namespace)) => (name, Some(namespace)),
                None => (text, None),
            },
        };
        let namespace = namespace.or(self.namespace.map(Namespace::as_str));
        let Some(namespace) = namespace else {
            return Err(format!(
                "`{text}` has no namespace: write namespace/name, or name one with --namespace"
            ));
        };
        if [name, namespace].iter().any(|it| !is_name(it)) || namespace.contains('.') {
            return Err(format!("`{text}` is no workload: write namespace/name"));
        }
        Ok(WorkloadKey { namespace: Namespace::from(namespace), name: Name::from(name) })
    }

    /// A host, or what tools call a service. One without a namespace is in the caller's.
    fn host(&self, text: &str, caller: Option<&Namespace>) -> Result<Hostname, String> {
        let text = plain(text);
        let Some(namespace) = caller.or(self.namespace) else {
            return Err(format!("`{text}` has no namespace: name one with --namespace"));
        };
        if let Some(host) = complete_host(text, namespace, self.places) {
            return Ok(host);
        }
        let (name, _) = split_port(text);
        if is_address(text) {
            return Err(format!("no service has the address `{name}`"));
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        if !is_name(name) {
            return Err(format!("`{text}` is no host"));
        }
        Ok(match name.contains('.') {
            true => full_host(name, self.places),
            false => resolve_short_name(name, namespace, self.places.domain()),
        })
    }

    /// Without the end that all Kubernetes services have.
    fn service<'t>(&self, text: &'t str) -> &'t str {
        let domain = self.places.domain();
        let text = text.strip_suffix(domain).and_then(|it| it.strip_suffix('.')).unwrap_or(text);
        match text.strip_suffix(".svc") {
            Some(service) if service.split('.').count() == 2 => service,
            Some(_) | None => text,
        }
    }
}

/// Some write it as `1e3` or `3.0`. What does not fit is as much as fits.
fn whole_number(text: &str) -> Result<u32, String> {
    let number = text.parse().ok();
    let whole = number.filter(|it: &f64| *it >= 0.0 && it.is_finite() && it.fract() == 0.0);
    let unusable = || format!("`{text}` is no count: write a whole number");
    whole.map(|number| number as u32).ok_or_else(unusable)
}

/// Whether it is an IP address, with a port or without.
fn is_address(text: &str) -> bool {
    let (name, _) = split_port(text);
    name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// SkyWalking puts a group before the name.
fn plain(text: &str) -> &str {
    let text = text.trim();
    if is_address(text) {
        return text;
    }
    text.rsplit_once("::").map_or(text, |(_, name)| name)
}

#[cfg(test)]
mod tests;
