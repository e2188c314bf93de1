//! A workload's Sidecar → `mesh-config.json`: at which local port an application reaches each of
//! its dependencies, without any redirection of its traffic.
//!
//! - Only what the proxy really listens on is listed; an application that finds no entry goes to
//!   the registry's address, so that the mesh can be taken away by emptying the file.

use std::collections::{BTreeMap, HashSet};

use compile::{
    Client, EgressListener, Scope,
    outbound::{Capture, plan_outbound},
};
use model::{Protocol, Proxy, Resolution, Service};
use serde::Serialize;
use serde_json::Value;
use snapshot::Reader;

use super::node::Mesh;

/// The file. `currentService` and `dependServices` are what existing SDKs read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MeshConfigFile {
    current_service: String,
    /// Short or full name of a service, or with its port → port on 127.0.0.1.
    depend_services: BTreeMap<String, String>,
    dependencies: Vec<Dependency>,
}

/// One port of one dependency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    host: String,
    port: u16,
    protocol: String,
    /// Where to connect: `127.0.0.1:20016`, or `unix:///path`.
    address: String,
}

pub(super) fn render(proxy: &Proxy, mesh: &Mesh) -> Value {
    let reader = Reader::new(&mesh.snapshot);
    let client = Client::reduce(proxy, &reader);
    let scope = Scope::select(&client, &reader);
    let plan = plan_outbound(&scope, &client, &reader);
    let bound: HashSet<(&str, u16)> = plan
        .listeners
        .iter()
        .filter(|listener| listener.capture == Capture::Bound)
        .map(|listener| (&*listener.bind, listener.port))
        .collect();
    let mut dependencies: Vec<Dependency> = scope
        .listeners
        .iter()
        .flat_map(|listener| of_listener(listener, &client, &bound))
        .collect();
    dependencies.sort();
    dependencies.dedup();
    let file = MeshConfigFile {
        current_service: current_service(proxy, &reader),
        depend_services: names(&dependencies, proxy),
        dependencies,
    };
    serde_json::to_value(file).unwrap_or_default()
}

/// The service that the workload belongs to, else its own name.
fn current_service(proxy: &Proxy, reader: &Reader<'_>) -> String {
    let own = proxy.addresses.iter().flat_map(|address| reader.services_at(*address));
    let mut own: Vec<&str> = own
        .filter(|service| *service.namespace() == proxy.namespace)
        .map(|service| service.name.as_str())
        .collect();
    own.sort_unstable();
    own.first().map_or(proxy.name.as_str(), |name| name).to_owned()
}

fn of_listener(
    listener: &EgressListener,
    client: &Client,
    bound: &HashSet<(&str, u16)>,
) -> Vec<Dependency> {
    if listener.port.as_ref().is_some_and(|port| port.protocol == Protocol::HttpProxy) {
        // One port for all dependencies: an application is told of it as of any HTTP proxy.
        return Vec::new();
    }
    let bind = match &*listener.bind {
        "" => client.loopback(),
        bind => bind,
    };
    let mut dependencies = Vec::new();
    let mut taken: HashSet<u16> = HashSet::new();
    for service in &listener.services {
        for (local, port) in ports(listener, service) {
            let is_usable =
                service.resolution != Resolution::Alias && bound.contains(&(bind, local));
            // HTTP tells its services apart by the host; of others, the oldest has the port.
            if is_usable && (port.protocol.is_http() || taken.insert(local)) {
                dependencies.push(Dependency {
                    host: service.hostname().to_string(),
                    port: port.number,
                    protocol: protocol_name(port.protocol),
                    address: address(bind, local, client),
                });
            }
        }
    }
    dependencies
}

/// The ports of a service with the local port of each.
fn ports<'s>(
    listener: &'s EgressListener,
    service: &'s Service,
) -> impl Iterator<Item = (u16, &'s model::ServicePort)> {
    let own = listener.port.as_ref().map(|port| port.number).filter(|number| *number != 0);
    service.ports.iter().map(move |port| (own.unwrap_or(port.number), port))
}

/// What an application connects to for a listener at `bind`.
fn address(bind: &str, port: u16, client: &Client) -> String {
    if bind.starts_with("unix://") {
        return bind.to_owned();
    }
    let reachable = match bind {
        "0.0.0.0" | "::" => client.loopback(),
        bind => bind,
    };
    match reachable.contains(':') {
        true => format!("[{reachable}]:{port}"),
        false => format!("{reachable}:{port}"),
    }
}

/// The names under which an application may look a dependency up. The full name stands for its
/// first port; the short one is for dependencies in the same namespace.
fn names(dependencies: &[Dependency], proxy: &Proxy) -> BTreeMap<String, String> {
    let suffix = format!(".{}", proxy.dns_domain);
    let mut names = BTreeMap::new();
    for dependency in dependencies {
        // Who reads only a port connects to 127.0.0.1.
        let Some(port) = dependency.address.strip_prefix("127.0.0.1:") else { continue };
        let Dependency { host, port: remote, .. } = dependency;
        let short = host.strip_suffix(&suffix);
        for name in std::iter::once(host.as_str()).chain(short) {
            names.entry(name.to_owned()).or_insert_with(|| port.to_owned());
            names.entry(format!("{name}:{remote}")).or_insert_with(|| port.to_owned());
        }
    }
    names
}

/// As a ServiceEntry writes it.
fn protocol_name(protocol: Protocol) -> String {
    match protocol {
        Protocol::GrpcWeb => "GRPC-WEB".to_owned(),
        Protocol::Unsupported => "AUTO".to_owned(),
        other => format!("{other:?}").to_uppercase(),
    }
}
