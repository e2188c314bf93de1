//! mTLS between workloads of the mesh: when a cluster speaks it, and with whom.
//!
//! - A rule's `tls` decides. Where it says nothing, each endpoint is called as it says of itself
//!   (`envoy.transport_socket_match`), if the cluster lets Envoy see which endpoint it calls.
//! - The names that a server may have are those of all workloads behind the service. A workload whose
//!   account is not known makes it any of the mesh.
//! - Not here: the endpoints' own word (`endpoint`), TLS towards others (`tls`).

use std::sync::Arc;

use api::istio::{load_balancer::SimpleLb, traffic_policy::ClientTlsMode};
use envoy::{
    config::{cluster::v3::cluster::TransportSocketMatch, core::v3::TransportSocket},
    extensions::transport_sockets::tls::v3::UpstreamTlsContext,
};
use model::{Generator, Identity, ProxyKind, Resolution, Service};
use prost_types::{Struct, Value, value::Kind};
use snapshot::{EndpointIdentities, MutualEndpoints, Reader};

use super::{ClusterClient, Draft};
use crate::{
    Relay, Role,
    endpoint::{MUTUAL, TLS_MODE},
    names,
    peer::select_plain_peers,
    tls::{MeshTls, TLS_SOCKET, raw_buffer, san_matcher, transport_socket, trust_domains},
    traffic_policy::Policy,
};

/// Whether and how a cluster speaks mTLS of the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mutual {
    #[default]
    No,
    /// To those endpoints that say they end it.
    Detected(PeerNames),
    /// To all.
    Always(PeerNames),
}

/// Who may answer: one of these names, or any workload of the mesh if there are none.
pub type PeerNames = Arc<[Arc<str>]>;

/// What is offered to a server of the mesh in front of bytes. Istio's own proxies would take
/// `istio-peer-exchange` at its word and begin with bytes of their own.
const OFFERED: [&str; 1] = ["istio"];

/// Selects whether a cluster speaks mTLS. Nothing is read that does not matter.
pub(super) fn select_mutual(
    service: &Service,
    policy: &Policy<'_>,
    client: &ClusterClient,
    reader: &Reader<'_>,
) -> Mutual {
    // Who takes plain text from others would lend them its certificate.
    if client.generator == Generator::Grpc || client.role == Role::LazyGateway(Relay::Plain) {
        return Mutual::No;
    }
    match policy.tls {
        Some(tls) if tls.mode != ClientTlsMode::IstioMutual => Mutual::No,
        Some(tls) if !tls.subject_alt_names.is_empty() => {
            let names = tls.subject_alt_names.iter().map(|name| name.as_str().into());
            Mutual::Always(names.collect())
        }
        Some(_) => {
            let identities = reader.identities(&service.key);
            Mutual::Always(peer_names(service, &identities, reader))
        }
        None => select_detected(service, policy, client, reader),
    }
}

fn select_detected(
    service: &Service,
    policy: &Policy<'_>,
    client: &ClusterClient,
    reader: &Reader<'_>,
) -> Mutual {
    let mesh = reader.mesh();
    let enabled = mesh.config.enable_auto_mtls.unwrap_or(true);
    let known = match service.resolution {
        Resolution::DynamicDns | Resolution::Alias => false,
        Resolution::ClientSide
        | Resolution::Dns
        | Resolution::DnsRoundRobin
        | Resolution::Passthrough => true,
    };
    if !enabled || service.mesh_external || !known {
        return Mutual::No;
    }
    if select_plain_peers(service.namespace(), reader).is_general() {
        return Mutual::No;
    }
    let identities = reader.identities(&service.key);
    let simple = policy.load_balancer.and_then(|balancer| balancer.simple);
    // Envoy has no endpoints of its own where the caller's destination decides, so that all of them
    // have to be alike.
    let unseen = match service.resolution {
        Resolution::Passthrough => {
            client.kind != ProxyKind::Router
                && !(service.is_headless()
                    && mesh.features.flag("PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES", false))
        }
        _ => false,
    } || simple == Some(SimpleLb::Passthrough);
    match (unseen, identities.mutual) {
        (_, MutualEndpoints::None) | (true, MutualEndpoints::Some) => Mutual::No,
        (true, MutualEndpoints::All) => Mutual::Always(peer_names(service, &identities, reader)),
        (false, MutualEndpoints::Some | MutualEndpoints::All) => {
            Mutual::Detected(peer_names(service, &identities, reader))
        }
    }
}

/// The names of the workloads in every trust domain of the mesh, and those that the service says.
fn peer_names(
    service: &Service,
    identities: &EndpointIdentities,
    reader: &Reader<'_>,
) -> PeerNames {
    if identities.accounts.iter().any(|(_, account)| account.is_empty())
        && service.subject_alt_names.is_empty()
    {
        return Arc::from([]);
    }
    let mesh = reader.mesh();
    let known = identities.accounts.iter().filter(|(_, account)| !account.is_empty());
    let mut names: Vec<Arc<str>> = known
        .flat_map(|(namespace, account)| {
            trust_domains(mesh).map(move |domain| {
                let identity = Identity {
                    trust_domain: domain.into(),
                    namespace: namespace.clone(),
                    service_account: account.clone(),
                };
                identity.to_string().into()
            })
        })
        .chain(service.subject_alt_names.iter().cloned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.into()
}

impl Draft<'_> {
    /// The socket that speaks mTLS with the peers.
    pub(super) fn mutual_socket(&self, peers: &PeerNames) -> TransportSocket {
        let input = self.input;
        let mesh = MeshTls::new(&input.mesh, input.client.sds);
        let names = match peers.is_empty() {
            true => mesh.any_workload(),
            false => peers.iter().map(|name| san_matcher(name)).collect(),
        };
        let written = self.policy.tls.map_or("", |tls| tls.sni.as_str());
        let sni = match written {
            "" => names::sni_cluster(input.port, &input.subset, input.service.hostname()),
            sni => sni.to_owned(),
        };
        let offered: &[&str] = if self.is_http2() { &["istio", "h2"] } else { &OFFERED };
        let context = UpstreamTlsContext {
            common_tls_context: Some(mesh.common(names, offered)),
            sni,
            ..UpstreamTlsContext::default()
        };
        transport_socket(TLS_SOCKET, &context)
    }

    /// The sockets by what endpoints say of themselves, if that decides.
    pub(super) fn socket_matches(&self) -> Vec<TransportSocketMatch> {
        let Mutual::Detected(peers) = &self.input.mutual else { return Vec::new() };
        let matching = |name: &str, fields: Struct, socket: TransportSocket| TransportSocketMatch {
            name: name.to_owned(),
            r#match: Some(fields),
            transport_socket: Some(self.behind_proxy_protocol(socket)),
        };
        let mutual = Value { kind: Some(Kind::StringValue(MUTUAL.to_owned())) };
        let mutual = Struct { fields: [(TLS_MODE.to_owned(), mutual)].into() };
        vec![
            matching("tlsMode-istio", mutual, self.mutual_socket(peers)),
            matching("tlsMode-disabled", Struct::default(), raw_buffer()),
        ]
    }
}
