//! The services that lead to a proxy's own workload, and the ports at which they reach it.
//!
//! - A service that selects the pod counts before Kubernetes lists the pod, and until the pod is
//!   gone: a pod that drains serves on.
//! - Not here: what is made of the ports (`inbound`, `gateway`).

use std::net::IpAddr;

use model::{
    Endpoint, EndpointAddress, Kind, Registry, Service, ServicePort, Shared, TargetPort, Workload,
};
use snapshot::Reader;

use crate::Client;

/// A port of a service, and the port of the workload that it leads to.
pub(crate) struct OwnPort<'a> {
    pub service: &'a Shared<Service>,
    pub port: &'a ServicePort,
    pub target: u16,
}

/// Every port that leads to one of the proxy's addresses: those of the oldest service first, of
/// equally old ones that with the first host.
pub(crate) fn own_ports<'a>(
    proxy_addresses: &[IpAddr],
    client: &Client,
    reader: &Reader<'a>,
) -> Vec<OwnPort<'a>> {
    let mut own: Vec<(&'a Shared<Service>, IpAddr)> = Vec::new();
    for address in proxy_addresses {
        // Their content decides, and not only that they are at the address.
        let services = reader.services_at(*address).into_iter();
        let services = services.filter_map(|service| reader.service(&service.key));
        // A service does not reach into other namespaces, even if its endpoints say so.
        let near = services.filter(|service| *service.namespace() == client.namespace);
        own.extend(near.map(|service| (service, *address)));
    }
    own.sort_by(|(a, at), (b, bt)| (a.created, &a.key, at).cmp(&(b.created, &b.key, bt)));
    own.into_iter().flat_map(|(service, address)| ports_at(service, address, reader)).collect()
}

fn ports_at<'a>(
    service: &'a Shared<Service>,
    address: IpAddr,
    reader: &Reader<'a>,
) -> Vec<OwnPort<'a>> {
    let own = |port, target| OwnPort { service, port, target };
    if let Some(pod) = reader.workload_at(address).filter(|it| selects(service, it)) {
        let served = service.ports.iter();
        return served.filter_map(|port| Some(own(port, target_in(pod, port)?))).collect();
    }
    let Some(endpoints) = reader.endpoints(&service.key) else { return Vec::new() };
    let listed = at_address(endpoints, address).iter();
    listed
        .flat_map(|endpoint| {
            let served = service.ports.iter();
            served.filter_map(move |port| Some(own(port, *endpoint.ports.get(&port.name)?)))
        })
        .collect()
}

/// Whether a Kubernetes Service selects a pod by its labels.
fn selects(service: &Service, workload: &Workload) -> bool {
    service.registry == Registry::Kubernetes
        && workload.origin.kind == Kind::Pod
        && !service.selector.is_empty()
        && service.selector.selects(&workload.labels)
}

fn target_in(pod: &Workload, port: &ServicePort) -> Option<u16> {
    match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Named(name) => {
            pod.named_ports.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
        }
    }
}

/// The endpoints with this address; they are sorted by it.
fn at_address(endpoints: &[Endpoint], address: IpAddr) -> &[Endpoint] {
    let wanted = EndpointAddress::Ip(address);
    let start = endpoints.partition_point(|endpoint| endpoint.address < wanted);
    let end = endpoints.partition_point(|endpoint| endpoint.address <= wanted);
    &endpoints[start..end]
}
