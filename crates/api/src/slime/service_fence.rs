//! ServiceFence: what a workload calls, so that it need not be sent the rest of the mesh.
//!
//! - What Slime learned is in the status of its objects, and is read with them: whoever moves from
//!   Slime loses none of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    is_default,
    validate::{check_wildcard_host, is_label},
};

/// A fence around some workloads.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceFence {
    #[serde(skip_serializing_if = "is_default")]
    pub spec: ServiceFenceSpec,
    #[serde(skip_serializing_if = "is_default")]
    pub status: ServiceFenceStatus,
}

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceFenceSpec {
    /// By what [`FenceHost::parse`] reads.
    #[serde(skip_serializing_if = "is_default")]
    pub host: BTreeMap<String, RecyclingStrategy>,
    /// Without this the fence is not there.
    #[serde(skip_serializing_if = "is_default")]
    pub enable: bool,
    /// Namespaces of which every service is called: those that [`is_namespace`] takes.
    #[serde(alias = "namespace_selector", skip_serializing_if = "is_default")]
    pub namespace_selector: Vec<String>,
    /// The services that one of them selects are called.
    #[serde(alias = "label_selector", skip_serializing_if = "is_default")]
    pub label_selector: Vec<ServiceSelector>,
    #[serde(alias = "workload_selector", skip_serializing_if = "is_default")]
    pub workload_selector: Option<FenceWorkloadSelector>,
}

/// Labels of services, all of which must be there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSelector {
    #[serde(skip_serializing_if = "is_default")]
    pub selector: BTreeMap<String, String>,
}

/// The workloads of a fence. Without one they are known by a label with the fence's name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FenceWorkloadSelector {
    /// Those that the Service with the name of the fence selects.
    #[serde(alias = "from_service", skip_serializing_if = "is_default")]
    pub from_service: bool,
    /// If there are any, they alone count.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
}

/// How long a host stays in the scope. Of several strategies the first of `stable`, `deadline` and
/// `auto` counts; without any it stays.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecyclingStrategy {
    #[serde(skip_serializing_if = "is_default")]
    pub stable: Option<Stable>,
    #[serde(skip_serializing_if = "is_default")]
    pub deadline: Option<Deadline>,
    #[serde(skip_serializing_if = "is_default")]
    pub auto: Option<Auto>,
    #[serde(
        rename = "RecentlyCalled",
        alias = "recentlyCalled",
        alias = "recently_called",
        skip_serializing_if = "is_default"
    )]
    pub recently_called: Option<Seconds>,
}

/// The host stays until somebody removes it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stable {}

/// The host stays until a time.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deadline {
    /// Without one the host stays.
    #[serde(skip_serializing_if = "is_default")]
    pub expire: Option<Seconds>,
}

/// The host stays as long as it is called now and then.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Auto {
    /// A length and no point in time.
    #[serde(skip_serializing_if = "is_default")]
    pub duration: Option<Seconds>,
}

/// Slime's own `Timestamp`: a point in time (since 1970, UTC) or a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seconds {
    #[serde(skip_serializing_if = "is_default")]
    pub seconds: i64,
    /// Read, and of no effect: as in Slime a host expires at a full second.
    #[serde(skip_serializing_if = "is_default")]
    pub nanos: i32,
}

/// What Slime writes back. Of its `domains`, which follow from the rest, and of its `visitor`, which it
/// does not use, nothing is kept.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceFenceStatus {
    /// What was learned: its keys, which [`learned_host`] reads. The values say nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub metric_status: BTreeSet<String>,
}

/// A key of `host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceHost<'a> {
    /// `ns/*`: every service of a namespace, `.` being the fence's own.
    Namespace(&'a str),
    /// `*/*`: the whole mesh.
    Mesh,
    /// A host name, maybe with a wildcard as its first label.
    Host(&'a str),
}

impl<'a> FenceHost<'a> {
    /// Reads a key; one that has no effect gives the reason, as words that follow the key.
    pub fn parse(key: &'a str) -> Result<Self, &'static str> {
        check_name(key)?;
        if let Some((namespace, hosts)) = key.split_once('/') {
            return match (namespace, hosts) {
                ("*", "*") => Ok(Self::Mesh),
                (".", "*") => Ok(Self::Namespace(namespace)),
                (name, "*") if is_namespace(name) => Ok(Self::Namespace(name)),
                (_, "*") => Err("does not begin with the name of a namespace"),
                _ => Err("has a `/`, which only `namespace/*` may have"),
            };
        }
        check_wildcard_host(key)?;
        Ok(Self::Host(key.strip_suffix('.').unwrap_or(key)))
    }
}

/// Whether a text is the name of a namespace; `.`, the fence's own one, is none.
pub fn is_namespace(text: &str) -> bool {
    is_label(text)
}

/// What no host of a fence may hold: these are found where Slime did not know a name.
fn check_name(host: &str) -> Result<(), &'static str> {
    if host.contains(':') {
        return Err("has a `:`, and a fence has no ports");
    }
    if host.contains("unknown") {
        return Err("holds `unknown`, which stands for no host");
    }
    if host.contains("global-sidecar") {
        return Err("holds `global-sidecar`, which stands for Slime's own proxy");
    }
    Ok(())
}

/// The host in a key of `metricStatus`: `{destination_service="host:port"}` or
/// `{request_host="host"}`. `None` where it holds none.
pub fn learned_host(key: &str) -> Option<&str> {
    let inner = key.trim_matches(['{', '}']);
    let (name, value) = inner.split_once('"')?;
    if !["destination_service", "request_host"].iter().any(|known| name.starts_with(known)) {
        return None;
    }
    let value = value.strip_suffix('"').filter(|value| !value.contains('"'))?;
    let host = value.split(':').next().unwrap_or_default();
    check_name(host).ok()?;
    check_wildcard_host(host).ok()?;
    Some(host.strip_suffix('.').unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use super::{FenceHost, learned_host};

    #[test]
    fn keys_of_hosts_are_read() {
        assert_eq!(FenceHost::parse("shop/*"), Ok(FenceHost::Namespace("shop")));
        assert_eq!(FenceHost::parse("./*"), Ok(FenceHost::Namespace(".")));
        assert_eq!(FenceHost::parse("*/*"), Ok(FenceHost::Mesh));
        assert_eq!(FenceHost::parse("a.shop.svc."), Ok(FenceHost::Host("a.shop.svc")));
        assert_eq!(FenceHost::parse("*.example.com"), Ok(FenceHost::Host("*.example.com")));
        for bad in ["", "shop/a", "-/*", "a..b", "10.0.0.1"] {
            assert!(FenceHost::parse(bad).is_err(), "{bad}");
        }
        // Wherever it stands.
        for (part, keys) in [
            ("`:`", ["a:80", "shop:80/*", "*/*:80"]),
            ("`unknown`", ["unknown.shop", "unknown/*", "an-unknown-one/*"]),
            ("`global-sidecar`", ["global-sidecar.x", "global-sidecar/*", "a.global-sidecar.b"]),
        ] {
            for key in keys {
                assert!(FenceHost::parse(key).is_err_and(|it| it.contains(part)), "{key}");
            }
        }
    }

    #[test]
    fn what_slime_learned_is_read() {
        let service = r#"{destination_service="a.shop.svc.cluster.local:80"}"#;
        assert_eq!(learned_host(service), Some("a.shop.svc.cluster.local"));
        assert_eq!(learned_host(r#"{request_host="www.example.com"}"#), Some("www.example.com"));
        let unknown = r#"{destination_service="unknown"}"#;
        for bad in [unknown, r#"{source="a"}"#, "a.shop", r#"{request_host="a"b"}"#, "", "\""] {
            assert_eq!(learned_host(bad), None, "{bad}");
        }
    }
}
