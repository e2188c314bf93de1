//! Which access logs there are, and which of them are on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::istio::{
    extension_provider::ExtensionProvider,
    mesh_config::MeshConfig,
    telemetry::{AccessLogging, ProviderRef, Telemetry as TelemetryObject},
};
use model::{Diagnostic, Kind, ObjectKey, Shared};
use snapshot::{PolicyRecord, Reader};

use super::{Side, cel, provider::Provider, services, sink::Sink};
use crate::{Client, codes};

/// Stands for `accessLogFile` among the names of providers.
const MESH_FILE: &str = "accessLogFile";
pub(super) const LOG_KINDS: &str =
    "name one with `envoyFileAccessLog`, `envoyHttpAls`, `envoyTcpAls` or `envoyOtelAls`";

/// One access log of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Logger {
    pub sink: Sink,
    /// Of which one must hold, so that no request has two entries. Sorted.
    pub conditions: Vec<Condition>,
}

/// When a log has an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Condition {
    /// The runtime key that turns it on; without one it is on.
    pub switch: Option<Arc<str>>,
    /// A CEL expression that must hold too.
    pub expression: Option<Arc<str>>,
    /// What it is about.
    pub subject: Subject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Connection,
    /// A request with its route, which connections do not have.
    Route,
}

/// A provider, and what its entries must fulfil.
type Choice = (Arc<str>, Option<Arc<str>>);

type Objects<'a, 'b> = &'b [&'a PolicyRecord<TelemetryObject>];

/// The logs that a side's listeners are written with, sorted.
pub(super) fn select(
    side: Side,
    objects: Objects<'_, '_>,
    client: &Client,
    reader: &Reader<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Logger> {
    let on = chosen(side, objects, reader, findings);
    let choices = match client.telemetry.runtime {
        true => all(side, objects, reader).into_iter().chain(on).collect(),
        false => on,
    };
    let runtime = client.telemetry.runtime;
    let mut conditions: BTreeMap<Arc<str>, Vec<Condition>> = BTreeMap::new();
    for (name, expression) in choices {
        let switch = runtime.then(|| switch(side, &name, expression.as_deref()));
        let condition = Condition { switch, expression, subject: Subject::Connection };
        conditions.entry(name).or_default().push(condition);
    }
    let mut loggers = Vec::new();
    for (name, mut conditions) in conditions {
        let Some(sink) = find_sink(&name, client, reader, findings) else { continue };
        if runtime && side == Side::Client {
            conditions.push(services::condition(&name));
        }
        loggers.push(Logger { sink, conditions });
    }
    loggers
}

/// The switches of a side that are on.
pub(super) fn switched_on(
    side: Side,
    objects: Objects<'_, '_>,
    reader: &Reader<'_>,
) -> Vec<Arc<str>> {
    let on = chosen(side, objects, reader, &mut Vec::new());
    on.iter().map(|(name, expression)| switch(side, name, expression.as_deref())).collect()
}

/// The runtime key of a log.
fn switch(side: Side, provider: &str, expression: Option<&str>) -> Arc<str> {
    let side = side.as_str();
    match expression {
        None => format!("meltemi.log.{side}.{provider}").into(),
        Some(expression) => {
            let hash = Shared::new(expression.to_owned()).content_hash();
            format!("meltemi.log.{side}.{provider}.{hash:032x}").into()
        }
    }
}

/// Everything that could be turned on without a new listener: each provider of the mesh, and each
/// of them with an expression that some object has for it, also where it is disabled.
fn all(side: Side, objects: Objects<'_, '_>, reader: &Reader<'_>) -> BTreeSet<Choice> {
    let config = &reader.mesh().config;
    let configured = config.extension_providers.iter().filter(|it| takes_logs(it));
    let configured = configured.map(|it| Arc::from(it.name.as_str()));
    let file = mesh_file(config);
    let mut choices: BTreeSet<Choice> = std::iter::once(super::provider::ENVOY.into())
        .chain(configured)
        .chain(file)
        .map(|name: Arc<str>| (name, None))
        .collect();
    for (_, rule, providers) in rules(side, objects, reader) {
        let Some(expression) = expression(rule) else { continue };
        if cel::check_expression(&expression).is_err() {
            continue;
        }
        choices.extend(providers.into_iter().map(|it| (it, Some(expression.clone()))));
    }
    choices
}

/// Whether a provider is one of access logs.
pub(super) fn takes_logs(provider: &ExtensionProvider) -> bool {
    provider.envoy_file_access_log.is_some()
        || provider.envoy_http_als.is_some()
        || provider.envoy_tcp_als.is_some()
        || provider.envoy_otel_als.is_some()
}

/// The provider that stands for `accessLogFile`: `envoy` if that writes the same.
pub(super) fn mesh_file(config: &MeshConfig) -> Option<Arc<str>> {
    let own = Sink::of_mesh(config).0?;
    let is_same = match Provider::find(super::provider::ENVOY, config) {
        Some(Provider::Envoy) => {
            matches!(&own, Sink::File(file) if &*file.path == "/dev/stdout")
        }
        _ => false,
    };
    Some(if is_same { super::provider::ENVOY.into() } else { MESH_FILE.into() })
}

fn find_sink(
    name: &str,
    client: &Client,
    reader: &Reader<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Option<Sink> {
    let config = &reader.mesh().config;
    let mesh = ObjectKey::new(Kind::MeshConfig, "", "mesh");
    if name == MESH_FILE {
        let (sink, wrong) = Sink::of_mesh(config);
        findings
            .extend(wrong.map(|why| {
                codes::LOG_FORMAT.diagnostic(why).object(mesh).field("accessLogFormat")
            }));
        return sink;
    }
    let (sink, wrong) = Sink::of_provider(&Provider::find(name, config)?, client, reader);
    findings.extend(wrong.map(|why| {
        let code = if sink.is_some() { &codes::LOG_FORMAT } else { &codes::COLLECTOR };
        code.diagnostic(format!("provider `{name}`: {why}"))
            .object(mesh)
            .field("extensionProviders")
    }));
    sink
}

/// The rules of the objects that are for a side, with the providers that each is about: a rule that
/// names none is about those of the rule before.
fn rules<'a>(
    side: Side,
    objects: Objects<'a, '_>,
    reader: &Reader<'_>,
) -> Vec<(&'a ObjectKey, &'a AccessLogging, Vec<Arc<str>>)> {
    let mut inherited = defaults(&reader.mesh().config);
    let mut rules = Vec::new();
    for object in objects {
        for rule in &object.spec.access_logging {
            if !rule.match_.as_ref().is_none_or(|it| side.is_meant_by(it.mode)) {
                continue;
            }
            if !rule.providers.is_empty() {
                inherited = names(&rule.providers);
            }
            rules.push((&object.key, rule, inherited.clone()));
        }
    }
    rules
}

pub(super) fn defaults(config: &MeshConfig) -> Vec<Arc<str>> {
    let defaults = config.default_providers.as_ref();
    defaults.iter().flat_map(|it| &it.access_logging).map(|name| name.as_str().into()).collect()
}

fn names(providers: &[ProviderRef]) -> Vec<Arc<str>> {
    providers.iter().map(|it| it.name.as_str().into()).collect()
}

fn expression(rule: &AccessLogging) -> Option<Arc<str>> {
    let text = rule.filter.as_ref()?.expression.as_str();
    (!text.is_empty()).then(|| text.into())
}

/// What is on for a side. The providers are those of the last object that names some; each has the
/// switch and the filter of the last rule about it. Where nothing is said at all, the mesh's
/// `accessLogFile` is.
fn chosen(
    side: Side,
    objects: Objects<'_, '_>,
    reader: &Reader<'_>,
    findings: &mut Vec<Diagnostic>,
) -> BTreeSet<Choice> {
    let rules = rules(side, objects, reader);
    let config = &reader.mesh().config;
    let default = defaults(config);
    if rules.is_empty() && default.is_empty() {
        return mesh_file(config).map(|name| (name, None)).into_iter().collect();
    }
    let naming = rules.iter().filter(|(_, rule, _)| !rule.providers.is_empty());
    let last = naming.clone().next_back().map(|(key, ..)| *key);
    let of_last = naming.filter(|(key, ..)| Some(*key) == last);
    let mut in_scope: BTreeSet<Arc<str>> =
        of_last.flat_map(|(_, rule, _)| names(&rule.providers)).collect();
    if last.is_none() {
        in_scope = default.iter().cloned().collect();
    }
    let mut on: BTreeMap<Arc<str>, Option<Arc<str>>> = BTreeMap::new();
    if rules.is_empty() {
        let mesh = ObjectKey::new(Kind::MeshConfig, "", "mesh");
        for name in default {
            check_provider(&mesh, "defaultProviders.accessLogging", &name, reader, findings);
            on.insert(name, None);
        }
    }
    for (key, rule, providers) in rules {
        for name in providers.into_iter().filter(|name| in_scope.contains(name)) {
            if rule.disabled == Some(true) {
                on.remove(&name);
            } else {
                on.insert(name.clone(), expression(rule));
                check(key, rule, &name, reader, findings);
            }
        }
    }
    on.retain(|_, expression| {
        // An entry too many is better than none for who looks for one.
        if expression.as_ref().is_some_and(|it| cel::check_expression(it).is_err()) {
            *expression = None;
        }
        true
    });
    on.into_iter().collect()
}

/// Reports what of a rule has no effect.
fn check(
    key: &ObjectKey,
    rule: &AccessLogging,
    name: &str,
    reader: &Reader<'_>,
    findings: &mut Vec<Diagnostic>,
) {
    let field = "spec.accessLogging";
    check_provider(key, &format!("{field}.providers"), name, reader, findings);
    if let Some(Err(why)) = expression(rule).map(|it| cel::check_expression(&it)) {
        let message = format!("the filter is left out, as {why}");
        let finding = codes::EXPRESSION.diagnostic(message).object(key.clone());
        findings.push(finding.field(format!("{field}.filter.expression")));
    }
}

/// Reports a provider that writes no access log.
fn check_provider(
    key: &ObjectKey,
    field: &str,
    name: &str,
    reader: &Reader<'_>,
    findings: &mut Vec<Diagnostic>,
) {
    let finding = match Provider::find(name, &reader.mesh().config) {
        None => codes::PROVIDER
            .diagnostic(format!("no provider is called `{name}`"))
            .hint("add it to `extensionProviders` of the MeshConfig"),
        Some(provider) => match (provider.unsupported(), provider) {
            (Some(kind), _) => codes::PROVIDER_KIND.diagnostic(format!(
                "the provider `{name}` is of the kind `{kind}`, which is gone"
            )),
            (None, Provider::Envoy) => return,
            (None, Provider::Configured(configured)) if takes_logs(configured) => return,
            (None, Provider::Configured(_) | Provider::Prometheus) => codes::PROVIDER
                .diagnostic(format!("the provider `{name}` takes no access logs"))
                .hint(LOG_KINDS),
        },
    };
    let finding = finding.object(key.clone()).field(field);
    if !findings.contains(&finding) {
        findings.push(finding);
    }
}
