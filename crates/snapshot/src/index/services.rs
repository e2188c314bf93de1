//! Kubernetes Services and ServiceEntries → services of the mesh.

use std::{collections::BTreeSet, sync::Arc};

use api::{
    IntOrString,
    istio::service_entry::{Location, Resolution as EntryResolution, ServiceEntry},
    k8s::service::{Service as KubernetesService, ServicePort as KubernetesPort},
    meta::ObjectMeta,
};
use model::{
    Cidr, Hostname, Namespace, ObjectKey, Protocol, Registry, Resolution, Service, ServiceKey,
    ServicePort, TargetPort, TrafficDistribution, Visibility,
};

use super::records::labels;
use crate::{Mesh, hosts::resolve_short_name};

/// The address of what has none.
const EVERYWHERE: &str = "0.0.0.0";
/// Annotation of a service whose calls are logged by their callers.
const ACCESS_LOG: &str = "meltemi.io/access-log";

/// Seconds since the epoch; 0 when the object does not say.
pub(super) fn created(meta: &ObjectMeta) -> i64 {
    meta.creation_timestamp.map_or(0, |time| time.0)
}

/// Converts a Kubernetes Service.
pub(super) fn convert_kubernetes_service(
    key: &ObjectKey,
    meta: &ObjectMeta,
    service: &KubernetesService,
    mesh: &Mesh,
) -> Service {
    let spec = &service.spec;
    let namespace = &key.namespace;
    let hostname = resolve_short_name(key.name.as_str(), namespace, &mesh.domain);
    let external = spec.type_ == "ExternalName" && !spec.external_name.is_empty();
    let cluster_ips: Vec<&String> = match spec.cluster_ips.is_empty() {
        true => std::iter::once(&spec.cluster_ip).collect(),
        false => spec.cluster_ips.iter().collect(),
    };
    let addresses: Vec<Arc<str>> = cluster_ips
        .into_iter()
        .filter(|ip| !ip.is_empty() && *ip != "None")
        .map(|ip| ip.as_str().into())
        .collect();
    // A Service as people write it has no address yet; only `None` asks for no balancing.
    let headless = spec.cluster_ip == "None" || spec.cluster_ips.iter().any(|ip| ip == "None");
    let resolution = match (external, headless) {
        (true, _) => Resolution::Alias,
        (false, true) => Resolution::Passthrough,
        (false, false) => Resolution::ClientSide,
    };
    Service {
        key: ServiceKey { hostname, namespace: namespace.clone() },
        registry: Registry::Kubernetes,
        origin: key.clone(),
        name: key.name.clone(),
        created: created(meta),
        ports: spec.ports.iter().filter_map(convert_kubernetes_port).collect(),
        resolution,
        mesh_external: external,
        addresses: addresses.into(),
        allocated: Arc::from([]),
        visibility: annotation_visibility(meta, namespace, mesh),
        selector: labels(&spec.selector),
        labels: labels(&meta.labels),
        subject_alt_names: Arc::from([]),
        node_local: spec.internal_traffic_policy == "Local",
        traffic_distribution: traffic_distribution(meta, &spec.traffic_distribution),
        alias_of: external.then(|| Hostname::new(&spec.external_name)),
        publish_not_ready: spec.publish_not_ready_addresses,
        access_log: access_log(meta),
    }
}

fn annotation_visibility(meta: &ObjectMeta, namespace: &Namespace, mesh: &Mesh) -> Visibility {
    let written: Vec<String> = meta
        .annotations
        .get("networking.istio.io/exportTo")
        .map(|text| text.split(',').map(|part| part.trim().to_owned()).collect())
        .unwrap_or_default();
    mesh.visibility(&written, &mesh.default_service_visibility, namespace)
}

/// Names with commas between them; `false` is nobody.
fn access_log(meta: &ObjectMeta) -> Arc<[Arc<str>]> {
    let text = meta.annotations.get(ACCESS_LOG).map_or("", String::as_str);
    let names = text.split(',').map(str::trim);
    let names: BTreeSet<Arc<str>> =
        names.filter(|it| !it.is_empty() && *it != "false").map(Arc::from).collect();
    names.into_iter().collect()
}

fn traffic_distribution(meta: &ObjectMeta, field: &str) -> TrafficDistribution {
    let annotation = meta.annotations.get("networking.istio.io/traffic-distribution");
    match annotation.map_or(field, String::as_str) {
        "PreferClose" => TrafficDistribution::PreferClose,
        "PreferSameZone" => TrafficDistribution::PreferSameZone,
        "PreferSameNode" => TrafficDistribution::PreferSameNode,
        _ => TrafficDistribution::Any,
    }
}

fn convert_kubernetes_port(port: &KubernetesPort) -> Option<ServicePort> {
    let number = u16::try_from(port.port).ok().filter(|number| *number > 0)?;
    let target = match &port.target_port {
        Some(IntOrString::String(name)) => match name.parse() {
            Ok(number) => TargetPort::Number(number),
            Err(_) => TargetPort::Named(name.as_str().into()),
        },
        Some(IntOrString::Int(target)) if *target != 0 => {
            TargetPort::Number(u16::try_from(*target).ok()?)
        }
        Some(IntOrString::Int(_)) | None => TargetPort::Number(number),
    };
    Some(ServicePort {
        name: port.name.as_str().into(),
        number,
        protocol: kubernetes_protocol(number, port),
        target,
        addresses: None,
    })
}

/// `appProtocol` first, then the port's name, then well-known numbers.
fn kubernetes_protocol(number: u16, port: &KubernetesPort) -> Protocol {
    if port.protocol.eq_ignore_ascii_case("udp") {
        return Protocol::Udp;
    }
    if !port.app_protocol.is_empty() {
        match port.app_protocol.as_str() {
            "kubernetes.io/h2c" => return Protocol::Http2,
            "kubernetes.io/ws" => return Protocol::Http,
            "kubernetes.io/wss" => return Protocol::Https,
            other => match Protocol::parse_port_name(other) {
                Protocol::Unsupported => {}
                known => return known,
            },
        }
    }
    match (Protocol::parse_port_name(&port.name), number) {
        (Protocol::Unsupported, 25 | 53 | 3306 | 27017) if port.name.is_empty() => Protocol::Tcp,
        (protocol, _) => protocol,
    }
}

/// A range of one address as that address.
fn without_length(address: &str) -> &str {
    let is_single = Cidr::parse(address).is_some_and(Cidr::is_single);
    address.split_once('/').filter(|_| is_single).map_or(address, |(address, _)| address)
}

/// Converts a ServiceEntry: one service per host.
pub(super) fn convert_service_entry(
    key: &ObjectKey,
    meta: &ObjectMeta,
    entry: &ServiceEntry,
    mesh: &Mesh,
) -> Vec<Service> {
    let resolution = match entry.resolution {
        EntryResolution::None => Resolution::Passthrough,
        EntryResolution::Static => Resolution::ClientSide,
        EntryResolution::Dns => Resolution::Dns,
        EntryResolution::DnsRoundRobin => Resolution::DnsRoundRobin,
        EntryResolution::DynamicDns => Resolution::DynamicDns,
    };
    let ports: Arc<[ServicePort]> = entry.ports.iter().filter_map(convert_entry_port).collect();
    let addresses: Arc<[Arc<str>]> =
        entry.addresses.iter().map(|address| without_length(address).into()).collect();
    let selector = entry.workload_selector.as_ref();
    entry
        .hosts
        .iter()
        .map(|host| Service {
            key: ServiceKey { hostname: Hostname::new(host), namespace: key.namespace.clone() },
            registry: Registry::External,
            origin: key.clone(),
            name: host.as_str().into(),
            created: created(meta),
            ports: ports.clone(),
            resolution,
            mesh_external: entry.location == Location::MeshExternal,
            addresses: addresses.clone(),
            allocated: Arc::from([]),
            visibility: mesh.visibility(
                &entry.export_to,
                &mesh.default_service_visibility,
                &key.namespace,
            ),
            selector: selector.map(|it| labels(&it.labels)).unwrap_or_default(),
            labels: labels(&meta.labels),
            subject_alt_names: entry
                .subject_alt_names
                .iter()
                .map(|san| san.as_str().into())
                .collect(),
            node_local: false,
            traffic_distribution: traffic_distribution(meta, ""),
            alias_of: None,
            publish_not_ready: false,
            access_log: access_log(meta),
        })
        .collect()
}

fn convert_entry_port(port: &api::istio::service_entry::ServicePort) -> Option<ServicePort> {
    let number = u16::try_from(port.number).ok().filter(|number| *number > 0)?;
    let target = u16::try_from(port.target_port).ok().filter(|target| *target > 0);
    Some(ServicePort {
        name: port.name.as_str().into(),
        number,
        // Unlike that of a Kubernetes port, the name says nothing.
        protocol: Protocol::parse(&port.protocol),
        target: TargetPort::Number(target.unwrap_or(number)),
        addresses: None,
    })
}

/// One service out of several definitions of the same host in the same namespace: the first wins,
/// and later ServiceEntries may only add ports, and addresses for these.
pub(super) fn merge_definitions<'a>(
    definitions: impl Iterator<Item = &'a Service>,
) -> Option<Service> {
    let mut definitions: Vec<&Service> = definitions.collect();
    definitions.sort_by_key(|service| (service.registry, service.created, service.origin.clone()));
    let (first, rest) = definitions.split_first()?;
    let mut merged = (*first).clone();
    if merged.registry == Registry::External && !rest.is_empty() {
        let mut ports = merged.ports.to_vec();
        for port in rest.iter().flat_map(|service| service.ports.iter()) {
            if !ports.iter().any(|known| known.number == port.number) {
                ports.push(port.clone());
            }
        }
        for port in &mut ports {
            let addresses = addresses_of_port(port.number, &definitions);
            let usual = *addresses == *merged.addresses
                || (merged.addresses.is_empty() && *addresses == [Arc::from(EVERYWHERE)]);
            port.addresses = (!usual).then(|| addresses.into());
        }
        merged.ports = ports.into();
    }
    Some(merged)
}

/// Where the definitions with a port are reached, each address once.
fn addresses_of_port(port: u16, definitions: &[&Service]) -> Vec<Arc<str>> {
    let mut out: Vec<Arc<str>> = Vec::new();
    for service in definitions.iter().filter(|service| service.port(port).is_some()) {
        let everywhere = service.addresses.is_empty().then(|| Arc::from(EVERYWHERE));
        for address in service.addresses.iter().cloned().chain(everywhere) {
            if !out.contains(&address) {
                out.push(address);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::without_length;

    #[test]
    fn a_range_of_one_address_is_that_address() {
        let cases = [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("fd00::1/128", "fd00::1"),
            ("fd00:1::/32", "fd00:1::/32"),
            ("/run/a/32", "/run/a/32"),
        ];
        for (written, expected) in cases {
            assert_eq!(without_length(written), expected);
        }
    }
}
