//! Where reports are sent: the cluster behind a provider's `service` and `port`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use envoy::config::core::v3::{
    GrpcService,
    grpc_service::{EnvoyGrpc, TargetSpecifier},
};
use model::{Hostname, Namespace, Service, ServiceKey, Shared};
use snapshot::Reader;

use super::{Side, select_telemetry};
use crate::{Client, ClusterForm, ClusterRef, gateway::find_service, names};

/// Stands for the agent on the proxy's own machine, as in Istio's `tracing.zipkin.address`.
const HOST_IP: &str = "$(HOST_IP)";

/// What is spoken to a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Transport {
    Grpc,
    Http,
}

/// A cluster that takes reports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Collector {
    pub cluster: Arc<str>,
    /// What requests say as their host.
    pub authority: Arc<str>,
    /// `None` for the agent on the same machine, whose cluster is in the bootstrap.
    pub service: Option<(ServiceKey, u16)>,
}

impl Collector {
    /// The words say why there is none.
    pub(super) fn find(
        service: &str,
        port: u32,
        transport: Transport,
        client: &Client,
        reader: &Reader<'_>,
    ) -> Result<Self, String> {
        let port = u16::try_from(port).ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| format!("`{service}` has no valid port"))?;
        if service == HOST_IP {
            return Self::on_machine(port, transport, client);
        }
        let found = find(service, client, reader)
            .ok_or_else(|| format!("the service `{service}` does not exist"))?;
        if found.port(port).is_none() {
            return Err(format!("the service `{service}` has no port {port}"));
        }
        Ok(Self {
            cluster: names::outbound_cluster(port, "", found.hostname()).into(),
            authority: found.hostname().as_str().into(),
            service: Some((found.key.clone(), port)),
        })
    }

    /// The bootstrap has two clusters for each port of the agent, since HTTP/2 is the cluster's.
    fn on_machine(port: u16, transport: Transport, client: &Client) -> Result<Self, String> {
        if !client.telemetry.node_agent.contains(&port) {
            return Err(format!("the proxy's bootstrap knows no agent on its machine at {port}"));
        }
        let cluster = match transport {
            Transport::Grpc => format!("node-agent-grpc-{port}"),
            Transport::Http => format!("node-agent-http-{port}"),
        };
        Ok(Self { cluster: cluster.into(), authority: "node-agent".into(), service: None })
    }

    pub(super) fn grpc_service(&self) -> GrpcService {
        GrpcService {
            target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
                cluster_name: self.cluster.to_string(),
                authority: self.authority.to_string(),
                ..EnvoyGrpc::default()
            })),
            ..GrpcService::default()
        }
    }
}

/// The service of `host` or `namespace/host`.
fn find<'a>(service: &str, client: &Client, reader: &Reader<'a>) -> Option<&'a Shared<Service>> {
    let (namespace, host) = match service.split_once('/') {
        Some((namespace, host)) => (Some(Namespace::from(namespace)), host),
        None => (None, service),
    };
    let found = find_service(&Hostname::new(host), namespace.as_ref(), client, reader)?;
    namespace.is_none_or(|it| it == *found.namespace()).then_some(found)
}

/// Services with those of their clusters that take reports.
pub type Collectors = BTreeMap<ServiceKey, (Shared<Service>, BTreeSet<ClusterRef>)>;

/// The clusters of collectors: a proxy has them whatever its Sidecar lets its application see.
pub fn select_collectors(client: &Client, reader: &Reader<'_>) -> Collectors {
    let mut wanted = Collectors::new();
    for side in [Side::Client, Side::Server] {
        let (telemetry, _) = select_telemetry(side, client, reader);
        for (key, port) in telemetry.services() {
            let Some(service) = reader.service(key) else { continue };
            let entry =
                wanted.entry(key.clone()).or_insert_with(|| (service.clone(), BTreeSet::new()));
            let form = ClusterForm::Outbound;
            entry.1.insert(ClusterRef { form, port: *port, subset: "".into() });
        }
    }
    wanted
}
