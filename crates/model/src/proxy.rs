//! A proxy as its first xDS request describes it.

use std::{fmt, net::IpAddr, sync::Arc};

use serde_json::{Map, Value};

use crate::{Labels, Locality, Name, Namespace, WorkloadKey};

/// The label of a pod that says what its proxy is for.
const ROLE_LABEL: &str = "meltemi.io/role";
const LAZY_GATEWAY_ROLE: &str = "lazy-gateway";

/// The two kinds of Envoys that are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyKind {
    Sidecar,
    Router,
}

/// How connections get into a sidecar (`INTERCEPTION_MODE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interception {
    #[default]
    Redirect,
    Tproxy,
    None,
}

/// What reads the configuration (`GENERATOR`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generator {
    #[default]
    Envoy,
    /// gRPC's own xDS client, which understands a part of what Envoy does.
    Grpc,
}

/// `node.id` of an Envoy: `type~address~name.namespace~domain`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct NodeId(pub Arc<str>);

impl fmt::Display for NodeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

/// Everything about a proxy that its configuration can depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    pub id: NodeId,
    pub kind: ProxyKind,
    pub generator: Generator,
    /// `name` of `name.namespace` in the node id.
    pub name: Name,
    pub namespace: Namespace,
    /// Domain of short host names, such as `shop.svc.cluster.local`.
    pub dns_domain: Arc<str>,
    /// Own addresses, the main one first.
    pub addresses: Arc<[IpAddr]>,
    pub labels: Labels,
    pub locality: Locality,
    pub interception: Interception,
    pub service_account: Arc<str>,
    pub cluster_id: Arc<str>,
    pub network: Arc<str>,
    pub node_name: Arc<str>,
    pub istio_version: Arc<str>,
    /// Accept HTTP/1.0 (`HTTP10: "1"`).
    pub http10: bool,
    /// Idle timeout of HTTP connections (`IDLE_TIMEOUT`), as written.
    pub idle_timeout: Arc<str>,
    /// Port of an HTTP proxy listener (`HTTP_PROXY_PORT`).
    pub http_proxy_port: Option<u16>,
    /// May not bind ports below 1024 (`UNPRIVILEGED_POD`).
    pub unprivileged: bool,
    /// It can ask for virtual hosts one by one (VHDS): its stream is delta, and it has the filter.
    pub loads_on_demand: bool,
    /// It can send another try of a request to another cluster (`envoy.clusters.composite`).
    pub retries_elsewhere: bool,
    /// All of `node.metadata`, for matches on arbitrary keys.
    pub metadata: Arc<Map<String, Value>>,
}

/// Why a node cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyParseError {
    #[error(
        "node id `{0}` is not `type~address~name.namespace~domain`; `meltemi bootstrap` prints a valid bootstrap"
    )]
    Shape(String),
    #[error("node id `{id}` has the type `{kind}`; known are `sidecar` and `router`")]
    Kind { id: String, kind: String },
    #[error("node id `{0}` has no valid address, neither in itself nor in metadata `INSTANCE_IPS`")]
    Address(String),
}

impl Proxy {
    /// Reads a node as Istio's agent (and `meltemi bootstrap`) writes it. Any metadata key may be
    /// missing. `locality` is `node.locality`.
    pub fn parse(
        id: &str,
        metadata: Map<String, Value>,
        locality: Locality,
    ) -> Result<Self, ProxyParseError> {
        let parts: Vec<&str> = id.split('~').collect();
        let &[kind, address, full_name, domain] = parts.as_slice() else {
            return Err(ProxyParseError::Shape(id.to_owned()));
        };
        let kind = match kind {
            "sidecar" => ProxyKind::Sidecar,
            "router" => ProxyKind::Router,
            other => {
                return Err(ProxyParseError::Kind { id: id.to_owned(), kind: other.to_owned() });
            }
        };
        let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut addresses: Vec<IpAddr> =
            text("INSTANCE_IPS").split(',').filter_map(|ip| ip.trim().parse().ok()).collect();
        if addresses.is_empty() {
            addresses.extend(address.parse::<IpAddr>());
        }
        if addresses.is_empty() {
            return Err(ProxyParseError::Address(id.to_owned()));
        }
        let (name, id_namespace) = full_name.rsplit_once('.').unwrap_or((full_name, ""));
        let namespace = match (text("NAMESPACE"), id_namespace) {
            ("", "") => domain.split('.').next().unwrap_or_default(),
            ("", namespace) | (namespace, _) => namespace,
        };
        let locality = match locality.is_empty() {
            true => label_locality(&metadata),
            false => locality,
        };
        Ok(Self {
            id: NodeId(id.into()),
            kind,
            generator: match text("GENERATOR") {
                "grpc" => Generator::Grpc,
                _ => Generator::Envoy,
            },
            name: name.into(),
            namespace: namespace.into(),
            dns_domain: domain.into(),
            addresses: addresses.into(),
            labels: labels(&metadata),
            locality,
            interception: match text("INTERCEPTION_MODE") {
                "TPROXY" => Interception::Tproxy,
                "NONE" => Interception::None,
                _ => Interception::Redirect,
            },
            service_account: text("SERVICE_ACCOUNT").into(),
            cluster_id: text("CLUSTER_ID").into(),
            network: text("NETWORK").into(),
            node_name: text("NODE_NAME").into(),
            istio_version: text("ISTIO_VERSION").into(),
            http10: text("HTTP10") == "1",
            idle_timeout: text("IDLE_TIMEOUT").into(),
            http_proxy_port: text("HTTP_PROXY_PORT").parse().ok(),
            unprivileged: text("UNPRIVILEGED_POD") == "true",
            loads_on_demand: false,
            retries_elsewhere: false,
            metadata: Arc::new(metadata),
        })
    }

    /// What the proxy's pod is one of many of: `WORKLOAD_NAME`, else the name that its labels give
    /// to the application, else its own.
    pub fn workload(&self) -> WorkloadKey {
        let written = self.metadata.get("WORKLOAD_NAME").and_then(Value::as_str);
        let labels = APPLICATION_LABELS.into_iter().find_map(|key| self.labels.get(key));
        let name = written.filter(|name| !name.is_empty()).or(labels);
        WorkloadKey {
            namespace: self.namespace.clone(),
            name: name.map_or_else(|| self.name.clone(), Name::from),
        }
    }
}

impl Proxy {
    /// Whether it says that it is the gateway which has the whole mesh, for workloads that are told
    /// less.
    pub fn is_lazy_gateway(&self) -> bool {
        let role = self.labels.get(ROLE_LABEL);
        self.kind == ProxyKind::Router
            && self.generator == Generator::Envoy
            && role == Some(LAZY_GATEWAY_ROLE)
    }

    /// The application that its workload is a revision of, by its labels; else the workload's name.
    pub fn application(&self) -> Name {
        let labels = APPLICATION_LABELS.into_iter().find_map(|key| self.labels.get(key));
        labels.map_or_else(|| self.workload().name, Name::from)
    }
}

/// Labels that name an application, in Istio's order.
const APPLICATION_LABELS: [&str; 3] =
    ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];

fn labels(metadata: &Map<String, Value>) -> Labels {
    let maps = ["STATIC_LABELS", "LABELS"].into_iter().filter_map(|key| metadata.get(key));
    let mut merged = std::collections::BTreeMap::new();
    for (key, value) in maps.filter_map(Value::as_object).flatten() {
        if let Some(value) = value.as_str() {
            merged.insert(key.as_str(), value);
        }
    }
    merged.into_iter().collect()
}

/// The label `istio-locality` overrides the node's place; dots stand for slashes there.
fn label_locality(metadata: &Map<String, Value>) -> Locality {
    let label = labels(metadata);
    match label.get("istio-locality") {
        Some(text) if text.contains('/') => Locality::parse(text),
        Some(text) => Locality::parse(&text.replace('.', "/")),
        None => Locality::default(),
    }
}
