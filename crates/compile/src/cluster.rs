//! Compiles one port of a service, or of a subset, into an Envoy `Cluster`.
//!
//! - Pure: equal inputs give equal bytes. Bytes that change make Envoy forget its ejections, so
//!   nothing is in the input that the cluster does not show.
//! - A setting that cannot be carried out is left out and reported; encryption that was asked for
//!   and cannot be set up fails the connection, it never falls back to plain text.
//! - Not here: endpoints of EDS clusters (`endpoint`), clusters of inbound traffic (`inbound`).

mod balancing;
mod detour;
mod discovery;
mod http;
mod limits;
mod metadata;
mod mutual;
mod outlier;
mod special;
#[cfg(test)]
mod tests;
mod tls;

use std::sync::Arc;

use api::codes::Code;
use envoy::{Resource, config::cluster::v3::Cluster, type_url};
use model::{
    Diagnostics, Generator, ObjectKey, Protocol, ProxyKind, Resolution, Service, ServicePort,
    Shared,
};
use mutual::select_mutual;
use snapshot::{EndpointSet, Mesh, Reader};

pub(crate) use limits::{default_connect_timeout, keepalive, positive};
pub use mutual::{Mutual, PeerNames};
pub(crate) use outlier::max_ejection_percent;
pub use special::{SpecialCluster, special_clusters};

use crate::{
    Client, Compiled, Role, grpc, names,
    peer::{PlainPeers, select_plain_peers},
    sds::SdsSource,
    traffic_policy::{Policy, Rules, select_rules},
};

/// Everything that a cluster depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterInput {
    pub mesh: Shared<Mesh>,
    pub service: Shared<Service>,
    pub port: u16,
    /// Empty for the whole service.
    pub subset: Arc<str>,
    pub rules: Rules,
    /// Only for clusters that Envoy resolves itself.
    pub endpoints: Option<EndpointSet>,
    /// Which of those take plain text only.
    pub plain: PlainPeers,
    pub mutual: Mutual,
    /// It is that of the gateway for what its callers are not told of.
    pub is_detour: bool,
    pub client: ClusterClient,
}

/// The part of a client that clusters depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterClient {
    pub kind: ProxyKind,
    pub role: Role,
    pub generator: Generator,
    pub ipv4: bool,
    pub ipv6: bool,
    pub cluster_id: Arc<str>,
    /// Where certificates of the client's own come from.
    pub sds: SdsSource,
}

/// Selects what a cluster depends on.
pub fn select_cluster(
    service: &Shared<Service>,
    port: u16,
    subset: &str,
    client: &Client,
    reader: &Reader<'_>,
) -> ClusterInput {
    let resolved = matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    // What only inline endpoints show is fixed for all other clusters, so that clients share them.
    let (ipv4, ipv6, cluster_id) = match resolved {
        true => (client.ipv4, client.ipv6, client.cluster_id.clone()),
        false => (true, false, "".into()),
    };
    let client_part = ClusterClient {
        kind: client.kind,
        role: client.role,
        generator: client.generator,
        ipv4,
        ipv6,
        cluster_id,
        sds: client.sds,
    };
    let rules = select_rules(service, client, reader);
    let mutual = select_mutual(service, &rules.policy(port, subset), &client_part, reader);
    ClusterInput {
        mesh: reader.mesh().clone(),
        service: service.clone(),
        port,
        subset: subset.into(),
        rules,
        endpoints: resolved.then(|| reader.endpoints(&service.key).cloned()).flatten(),
        plain: match resolved {
            true => select_plain_peers(service.namespace(), reader),
            false => PlainPeers::default(),
        },
        mutual,
        is_detour: is_detour(service, port, client, reader),
        client: client_part,
    }
}

/// Of the gateway's Service only callers that are led there see more than any service.
fn is_detour(service: &Service, port: u16, client: &Client, reader: &Reader<'_>) -> bool {
    client.fence.as_ref().is_some_and(|it| it.detour.is_some())
        && reader
            .fencing()
            .gateway
            .as_ref()
            .is_some_and(|gateway| *service.hostname() == gateway.host && port == gateway.port)
}

impl ClusterInput {
    /// `outbound|80|v1|cart.shop.svc.cluster.local`.
    pub fn name(&self) -> String {
        names::outbound_cluster(self.port, &self.subset, self.service.hostname())
    }

    /// Whether Envoy asks for the endpoints of this cluster by its name.
    pub fn is_eds(&self) -> bool {
        match self.client.generator {
            Generator::Envoy => {
                Draft::new(self).is_some_and(|draft| draft.discovery == discovery::Discovery::Eds)
            }
            Generator::Grpc => grpc::is_eds(self),
        }
    }
}

/// Compiles a cluster. `None` when there is nothing to connect to: a service that stands for
/// another, a UDP port, an unknown port or subset, a name to resolve without endpoints.
pub fn compile_cluster(input: &ClusterInput) -> Option<Compiled> {
    let (cluster, diagnostics) = match input.client.generator {
        Generator::Envoy => {
            let mut draft = Draft::new(input)?;
            (draft.compile()?, draft.diagnostics)
        }
        Generator::Grpc => grpc::compile_cluster(input)?,
    };
    let mut compiled =
        Compiled::new(Resource::from_message(cluster.name.clone(), type_url::CLUSTER, &cluster));
    compiled.origins.push(input.service.origin.clone());
    compiled.origins.extend(input.rules.origins());
    compiled.diagnostics = diagnostics;
    Some(compiled)
}

/// An input with what is looked up in it once.
struct Draft<'a> {
    input: &'a ClusterInput,
    port: &'a ServicePort,
    policy: Policy<'a>,
    discovery: discovery::Discovery,
    diagnostics: Diagnostics,
}

impl<'a> Draft<'a> {
    fn new(input: &'a ClusterInput) -> Option<Self> {
        let port = input.service.port(input.port)?;
        if port.protocol == Protocol::Udp || input.service.resolution == Resolution::Alias {
            return None;
        }
        input.rules.subset_labels(&input.subset)?;
        let policy = input.rules.policy(input.port, &input.subset);
        let discovery = discovery::Discovery::new(input, &policy);
        Some(Self { input, port, policy, discovery, diagnostics: Diagnostics::default() })
    }

    fn compile(&mut self) -> Option<Cluster> {
        let name = self.input.name();
        let transport_socket = self.transport_socket();
        let mut cluster = Cluster {
            alt_stat_name: format!("{name};"),
            connect_timeout: Some(self.connect_timeout()),
            circuit_breakers: Some(limits::circuit_breakers(&self.policy)),
            upstream_connection_options: self.connection_options(),
            outlier_detection: self.policy.outlier_detection.map(outlier::outlier_detection),
            typed_extension_protocol_options: self.http_protocol_options(),
            transport_socket,
            transport_socket_matches: self.socket_matches(),
            metadata: Some(metadata::metadata(self.input)),
            name,
            ..Cluster::default()
        };
        self.balance(&mut cluster);
        self.discover(&mut cluster)?;
        self.fit_detour(&mut cluster);
        Some(cluster)
    }

    /// Reports a finding about the first rule.
    fn warn(&mut self, code: &Code, message: String, hint: &str) {
        let rule: Option<&ObjectKey> = self.input.rules.records.first().map(|record| &record.key);
        let object = rule.unwrap_or(&self.input.service.origin).clone();
        self.diagnostics.push(code.diagnostic(message).object(object).hint(hint));
    }
}
