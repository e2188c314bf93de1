//! What a proxy's configuration can depend on: the reduction of a proxy to its class.
//!
//! Two proxies with equal values here get the same resources, by construction: selectors and
//! compile functions are given a [`Client`] and never a `Proxy`.

use std::{net::IpAddr, sync::Arc};

use model::{
    Generator, Interception, Labels, Namespace, ObjectKey, Proxy, ProxyKind, ScopeMode, WorkloadKey,
};
use snapshot::{Declared, Fence, FencingSettings, Reader};

use crate::{
    ScopeKey,
    peer::{PeerMode, select_peer_modes},
    sds::SdsSource,
    telemetry::TelemetryClient,
};

/// What a proxy is there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A workload of its own, or the edge of the mesh.
    #[default]
    Ordinary,
    /// The gateway that has the whole mesh, for workloads that are told less.
    LazyGateway(Relay),
}

/// How the lazy gateway takes requests, and so how it passes them on: it lends nobody an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relay {
    /// With mTLS, and no others. The caller's identity goes on with the request.
    Mutual,
    /// As plain text; nobody that it calls is shown a certificate.
    Plain,
}

impl Role {
    fn reduce(proxy: &Proxy, reader: &Reader<'_>) -> Self {
        let gateway = reader.fencing().gateway.as_ref().filter(|_| proxy.is_lazy_gateway());
        let Some(gateway) = gateway else { return Self::Ordinary };
        let modes = select_peer_modes(&proxy.namespace, &proxy.labels, reader);
        Self::LazyGateway(match modes.of_port(gateway.port) {
            PeerMode::Disable => Relay::Plain,
            PeerMode::Permissive | PeerMode::Strict => Relay::Mutual,
        })
    }
}

/// The outbound side of a proxy (and all of a gateway).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client {
    pub kind: ProxyKind,
    pub role: Role,
    pub generator: Generator,
    pub namespace: Namespace,
    /// `shop.svc.cluster.local`: decides which short names stand for which hosts.
    pub dns_domain: Arc<str>,
    /// Only those labels that some rule may ask for.
    pub labels: Labels,
    /// The Sidecar in force.
    pub sidecar: Option<ObjectKey>,
    pub interception: Interception,
    pub ipv4: bool,
    pub ipv6: bool,
    /// The proxy's DNS answers with allocated addresses (`DNS_CAPTURE` and `DNS_AUTO_ALLOCATE`).
    pub dns_capture: bool,
    pub http10: bool,
    pub idle_timeout: Arc<str>,
    pub http_proxy_port: Option<u16>,
    pub unprivileged: bool,
    pub cluster_id: Arc<str>,
    pub network: Arc<str>,
    /// Where the proxy's own certificate comes from.
    pub sds: SdsSource,
    pub telemetry: TelemetryClient,
    /// What limits the scope, if anything does.
    pub fence: Option<ClientFence>,
}

/// The fence of a class: all of it is of one workload then.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientFence {
    pub workload: WorkloadKey,
    pub mode: ScopeMode,
    /// Virtual hosts are asked for at the first call.
    pub loads_on_demand: bool,
    /// Hosts that it is not told of are called through the gateway that has them.
    pub detour: Option<Detour>,
    pub declared: Declared,
    /// The cluster of the bootstrap that takes reports of calls, if anything is learned from them.
    pub reports: Option<Arc<str>>,
    /// The proxy's, by which its callers shorten names.
    pub dns_domain: Arc<str>,
}

/// In node metadata: the cluster of the bootstrap that leads to the control plane, if the proxy can
/// prove there who it is without words of the bootstrap's.
const REPORTS: &str = "MELTEMI_REPORTS";

/// What a proxy does when the gateway on its detour is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detour {
    /// It tries elsewhere.
    Bypassed,
    /// It refuses the call: it is too old to choose.
    Fixed,
}

impl ClientFence {
    /// A proxy that cannot do what its mode asks for is sent all of its scope, rather than too little.
    fn reduce(proxy: &Proxy, reader: &Reader<'_>) -> Option<Self> {
        if proxy.kind != ProxyKind::Sidecar {
            return None;
        }
        Self::of(proxy, reader.fence(proxy)?, reader.fencing())
    }

    /// What a fence comes to for a sidecar; `None`: that is sent all of its scope.
    pub fn of(proxy: &Proxy, fence: Fence, fencing: &FencingSettings) -> Option<Self> {
        let loads_on_demand = fence.mode == ScopeMode::OnDemand && proxy.loads_on_demand;
        let cannot_ask = fence.mode == ScopeMode::OnDemand && !loads_on_demand;
        let mode = if cannot_ask { fencing.without_on_demand } else { fence.mode };
        // A gRPC library knows the hosts that it is told of, and no others.
        let cannot_detour =
            proxy.generator == Generator::Grpc || cannot_ask && fencing.gateway.is_none();
        if mode == ScopeMode::Full || mode == ScopeMode::Gateway && cannot_detour {
            return None;
        }
        let is_detoured = mode == ScopeMode::Gateway && fencing.gateway.is_some();
        let detour = is_detoured.then_some(match proxy.retries_elsewhere {
            true => Detour::Bypassed,
            false => Detour::Fixed,
        });
        let cluster = proxy.metadata.get(REPORTS).and_then(serde_json::Value::as_str);
        let reports = cluster.filter(|name| mode.learns() && !name.is_empty()).map(Arc::from);
        let (workload, declared) = (proxy.workload(), fence.declared);
        let dns_domain = proxy.dns_domain.clone();
        Some(Self { workload, mode, loads_on_demand, detour, declared, reports, dns_domain })
    }
}

impl Client {
    /// Reduces a proxy. What is read is what the reduction depends on.
    pub fn reduce(proxy: &Proxy, reader: &Reader<'_>) -> Self {
        let relevant = reader.rule_labels();
        let labels = proxy.labels.iter().filter(|(key, _)| match proxy.kind {
            ProxyKind::Sidecar => relevant.contains(*key),
            ProxyKind::Router => true,
        });
        let flag = |key: &str| proxy.metadata.get(key).is_some_and(|value| value == "true");
        Self {
            kind: proxy.kind,
            role: Role::reduce(proxy, reader),
            generator: proxy.generator,
            namespace: proxy.namespace.clone(),
            dns_domain: proxy.dns_domain.clone(),
            labels: labels.collect(),
            sidecar: select_sidecar(proxy, reader),
            interception: proxy.interception,
            ipv4: proxy.addresses.iter().any(IpAddr::is_ipv4),
            ipv6: proxy.addresses.iter().any(IpAddr::is_ipv6),
            dns_capture: flag("DNS_CAPTURE") && flag("DNS_AUTO_ALLOCATE"),
            http10: proxy.http10,
            idle_timeout: proxy.idle_timeout.clone(),
            http_proxy_port: proxy.http_proxy_port,
            unprivileged: proxy.unprivileged,
            cluster_id: proxy.cluster_id.clone(),
            network: proxy.network.clone(),
            sds: SdsSource::of(proxy),
            telemetry: TelemetryClient::reduce(proxy, reader),
            fence: ClientFence::reduce(proxy, reader),
        }
    }

    /// What decides what the class may see.
    pub fn scope_key(&self) -> ScopeKey {
        ScopeKey { namespace: self.namespace.clone(), sidecar: self.sidecar.clone() }
    }

    /// Whether the class asks for virtual hosts at its first call.
    pub fn loads_on_demand(&self) -> bool {
        self.fence.as_ref().is_some_and(|fence| fence.loads_on_demand)
    }

    /// How the class passes requests of others on, if it is the lazy gateway.
    pub fn relay(&self) -> Option<Relay> {
        match self.role {
            Role::Ordinary => None,
            Role::LazyGateway(relay) => Some(relay),
        }
    }

    /// The address that stands for "any" on this proxy.
    pub fn wildcard(&self) -> &'static str {
        if self.ipv4 || !self.ipv6 { "0.0.0.0" } else { "::" }
    }

    /// The loopback address of this proxy.
    pub fn loopback(&self) -> &'static str {
        if self.ipv4 || !self.ipv6 { "127.0.0.1" } else { "::1" }
    }
}

/// The Sidecar in force: one that selects the proxy, else its namespace's, else the mesh's.
fn select_sidecar(proxy: &Proxy, reader: &Reader<'_>) -> Option<ObjectKey> {
    if proxy.kind == ProxyKind::Router {
        return None;
    }
    let own = reader.sidecars(&proxy.namespace);
    let selecting = own
        .iter()
        .find(|record| record.selector.as_ref().is_some_and(|it| it.selects(&proxy.labels)));
    let general = || own.iter().find(|record| record.selector.is_none());
    let root = || {
        let records = reader.sidecars(&reader.mesh().root_namespace);
        records.iter().find(|record| record.selector.is_none())
    };
    selecting.or_else(general).or_else(root).map(|record| record.key.clone())
}
