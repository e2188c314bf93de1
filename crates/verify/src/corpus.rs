//! The recorded cases: their types as they stand in JSON, and the judge of a case.
//!
//! - A case is a configuration, a proxy, and what that proxy's Envoy must do with given calls.
//! - Every field of the corpus is read; unknown ones are ignored, so that newer files load.
//! - Not here: reading files, and making resources of a configuration.

mod judge;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use judge::{CallVerdict, CaseVerdict, judge};

use crate::{Call, Mode, Protocol, Tls, WalkError};

/// One case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Case {
    pub name: String,
    /// The file it comes from.
    pub source: String,
    /// YAML documents of the API groups `*.istio.io`.
    pub istio: String,
    /// YAML documents of all other API groups.
    pub kubernetes: String,
    /// YAML of the mesh config fields that differ from the defaults.
    pub mesh_config: String,
    /// Switches that differ from the defaults.
    #[serde(deserialize_with = "text_map")]
    pub features: BTreeMap<String, String>,
    pub proxy: CaseProxy,
    #[serde(deserialize_with = "or_default")]
    pub calls: Vec<CaseCall>,
    #[serde(deserialize_with = "or_default")]
    pub virtual_hosts: Vec<VirtualHostExpectation>,
    pub clusters: Option<ClusterExpectation>,
    /// The expected resources break a rule of Envoy's.
    pub skip_validation: bool,
    /// Needs what Istio's controllers say to each other; need not pass.
    pub internal: bool,
    /// Why it cannot be judged from the data.
    #[serde(deserialize_with = "remark", skip_serializing_if = "Option::is_none")]
    pub custom: Option<String>,
}

/// The proxy of a case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CaseProxy {
    /// `sidecar` or `router`.
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
    pub ips: Vec<String>,
    pub namespace: String,
    pub dns_domain: String,
    #[serde(deserialize_with = "text_map")]
    pub labels: BTreeMap<String, String>,
    pub locality: Option<CaseLocality>,
    /// By Istio's names, without what follows from the rest: see [`CaseProxy::node_metadata`].
    pub metadata: Map<String, Value>,
}

/// A locality, in either of its forms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CaseLocality {
    /// `region/zone/subzone`.
    Text(String),
    Parts {
        #[serde(default)]
        region: String,
        #[serde(default)]
        zone: String,
        #[serde(default, alias = "sub_zone", alias = "subzone")]
        #[serde(rename = "subZone")]
        sub_zone: String,
    },
}

/// A call of a case, and where it must end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CaseCall {
    pub name: String,
    pub address: String,
    pub port: u16,
    pub mode: Mode,
    pub protocol: Protocol,
    pub tls: Tls,
    pub host_header: String,
    #[serde(deserialize_with = "or_default")]
    pub headers: BTreeMap<String, HeaderValues>,
    pub path: String,
    pub method: String,
    pub sni: String,
    pub alpn: String,
    pub mtls_secret: String,
    /// Istio also looks at the filter chain in code; the rest is judged.
    #[serde(deserialize_with = "remark", skip_serializing_if = "Option::is_none")]
    pub custom: Option<String>,
    pub expect: Expectation,
}

/// One value of a header, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HeaderValues {
    One(String),
    Many(Vec<String>),
}

/// Where a call must end. What is absent is not compared, but for `error`: see [`judge`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Expectation {
    pub error: Option<WalkError>,
    pub listener: Option<String>,
    pub filter_chain: Option<String>,
    pub route_config: Option<String>,
    pub virtual_host: Option<String>,
    pub route: Option<String>,
    pub cluster: Option<String>,
    /// What is absent must be empty.
    pub strict: bool,
    /// What Istio's authors would rather have. What is stated counts.
    #[serde(deserialize_with = "remark", skip_serializing_if = "Option::is_none")]
    pub known_bug: Option<String>,
}

/// What the virtual hosts of a route configuration must name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualHostExpectation {
    pub route_config: String,
    /// Domain → clusters, sorted; `None` inside: no virtual host with routes has the domain.
    /// `None` outside: nothing is expected.
    pub domains: Option<BTreeMap<String, Option<Vec<String>>>>,
}

/// The clusters whose names begin with `prefix`, all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterExpectation {
    pub prefix: String,
    /// Name → addresses of the inline assignment; `None`: there is no such assignment.
    pub exact: BTreeMap<String, Option<Vec<String>>>,
}

impl CaseProxy {
    /// `type~ip~id~domain`.
    pub fn node_id(&self) -> String {
        let ip = self.ips.first().map(String::as_str).unwrap_or_default();
        format!("{}~{ip}~{}~{}", self.kind, self.id, self.dns_domain)
    }

    /// The metadata with what every node sends: `INSTANCE_IPS` and `CLUSTER_ID`.
    pub fn node_metadata(&self) -> Map<String, Value> {
        let mut metadata = self.metadata.clone();
        let mut insert = |name: &str, value: String| {
            metadata.entry(name).or_insert(Value::String(value));
        };
        insert("INSTANCE_IPS", self.ips.join(","));
        insert("CLUSTER_ID", "Kubernetes".to_owned());
        metadata
    }
}

impl CaseCall {
    /// The call without what is expected of it.
    pub fn call(&self) -> Call {
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        Call {
            address: self.address.clone(),
            port: self.port,
            mode: self.mode,
            protocol: self.protocol,
            tls: self.tls,
            host_header: self.host_header.clone(),
            headers: self.header_list(),
            path: self.path.clone(),
            method: self.method.clone(),
            sni: some(&self.sni),
            alpn: some(&self.alpn),
            mtls_secret: self.mtls_secret.clone(),
        }
    }

    fn header_list(&self) -> Vec<(String, String)> {
        let mut list = Vec::new();
        for (name, values) in &self.headers {
            let values = match values {
                HeaderValues::One(value) => std::slice::from_ref(value),
                HeaderValues::Many(values) => values,
            };
            list.extend(values.iter().map(|value| (name.clone(), value.clone())));
        }
        list
    }
}

/// Reads the cases of one file.
pub fn parse_cases(text: &str) -> Result<Vec<Case>, serde_json::Error> {
    serde_json::from_str(text)
}

/// `null` counts as absent.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A remark is a text, or a switch without one.
fn remark<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text),
        Value::Bool(true) => Some("yes".to_owned()),
        other => Some(other.to_string()),
    })
}

/// Texts by name; other plain values are written as in JSON.
fn text_map<'de, D>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    let map: Option<BTreeMap<String, Value>> = Option::deserialize(deserializer)?;
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(map.unwrap_or_default().into_iter().map(|(name, value)| (name, text(value))).collect())
}
