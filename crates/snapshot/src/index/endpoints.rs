//! What is behind a service → its endpoints.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr, sync::Arc};

use api::{
    istio::workload_entry::WorkloadEntry,
    k8s::{
        endpoint_slice::{Endpoint as SliceEndpoint, EndpointSlice},
        endpoints::Endpoints,
    },
};
use model::{
    Endpoint, EndpointAddress, Health, Hostname, Labels, ObjectKey, Resolution, Service,
    TargetPort, Workload,
};

use super::texts::Texts;

/// The label by which a sidecar says that it ends mTLS.
const TLS_MODE_LABEL: &str = "security.istio.io/tlsMode";

type Ports = Arc<BTreeMap<Arc<str>, u16>>;

fn mtls(labels: &Labels) -> bool {
    labels.get(TLS_MODE_LABEL) == Some("istio")
}

/// Endpoints of a Kubernetes Service as one slice lists them.
pub(super) fn convert_slice<'a>(
    service: &Service,
    slice: &EndpointSlice,
    workload: impl Fn(IpAddr) -> Option<&'a Workload>,
) -> Vec<Endpoint> {
    let ports: Ports = Arc::new(
        slice
            .ports
            .iter()
            .filter_map(|port| Some((port.name.as_str().into(), u16::try_from(port.port?).ok()?)))
            .collect(),
    );
    let mut endpoints = Vec::with_capacity(slice.endpoints.len());
    for listed in &slice.endpoints {
        let Some(health) = slice_health(service, listed) else { continue };
        for address in &listed.addresses {
            let Some(address) = slice_address(&slice.address_type, address) else { continue };
            let found = match address {
                EndpointAddress::Ip(ip) => workload(ip),
                EndpointAddress::Dns(_) | EndpointAddress::Unix(_) => None,
            };
            let mut endpoint = kubernetes_endpoint(service, address, ports.clone(), found);
            endpoint.health = health;
            endpoint.hostname = listed.hostname.as_str().into();
            if endpoint.node.is_empty() {
                endpoint.node = listed.node_name.as_str().into();
            }
            if endpoint.locality.is_empty() && !listed.zone.is_empty() {
                endpoint.locality.zone = listed.zone.as_str().into();
            }
            endpoints.push(endpoint);
        }
    }
    endpoints
}

fn slice_address(kind: &str, text: &str) -> Option<EndpointAddress> {
    match kind {
        "FQDN" => Some(EndpointAddress::Dns(Hostname::new(text))),
        _ => text.parse().ok().map(EndpointAddress::Ip),
    }
}

/// `None` leaves the endpoint out: it is terminating.
fn slice_health(service: &Service, endpoint: &SliceEndpoint) -> Option<Health> {
    let conditions = &endpoint.conditions;
    match (conditions.ready.unwrap_or(true), conditions.terminating.unwrap_or(false)) {
        (true, _) => Some(Health::Healthy),
        (false, true) => None,
        (false, false) if service.publish_not_ready => Some(Health::Healthy),
        (false, false) => Some(Health::Unhealthy),
    }
}

fn kubernetes_endpoint(
    service: &Service,
    address: EndpointAddress,
    ports: Ports,
    workload: Option<&Workload>,
) -> Endpoint {
    let empty: Arc<str> = "".into();
    Endpoint {
        address,
        ports,
        labels: workload.map(|it| it.labels.clone()).unwrap_or_default(),
        locality: workload.map(|it| it.locality.clone()).unwrap_or_default(),
        weight: 1,
        service_account: workload.map_or_else(|| empty.clone(), |it| it.service_account.clone()),
        workload_name: workload.map_or_else(|| empty.clone(), |it| it.workload_name.clone()),
        namespace: service.namespace().clone(),
        network: workload.map_or_else(|| empty.clone(), |it| it.network.clone()),
        node: workload.map_or_else(|| empty.clone(), |it| it.node.clone()),
        health: Health::Healthy,
        mtls: workload.is_some_and(|it| mtls(&it.labels)),
        hostname: empty,
    }
}

/// Endpoints of a Kubernetes Service from an `Endpoints` object.
pub(super) fn convert_endpoints<'a>(
    service: &Service,
    object: &Endpoints,
    workload: impl Fn(IpAddr) -> Option<&'a Workload>,
) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for subset in &object.subsets {
        let ports: Ports = Arc::new(
            subset
                .ports
                .iter()
                .filter_map(|port| {
                    Some((port.name.as_str().into(), u16::try_from(port.port).ok()?))
                })
                .collect(),
        );
        let unready = match service.publish_not_ready {
            true => Health::Healthy,
            false => Health::Unhealthy,
        };
        let ready = subset.addresses.iter().map(|address| (address, Health::Healthy));
        let waiting = subset.not_ready_addresses.iter().map(|address| (address, unready));
        for (listed, health) in ready.chain(waiting) {
            let Ok(ip) = listed.ip.parse() else { continue };
            let address = EndpointAddress::Ip(ip);
            let mut endpoint = kubernetes_endpoint(service, address, ports.clone(), workload(ip));
            endpoint.health = health;
            endpoint.hostname = listed.hostname.as_str().into();
            endpoints.push(endpoint);
        }
    }
    endpoints
}

/// The port of a selected workload for each port of the service.
fn workload_ports(
    service: &Service,
    named: &[(Arc<str>, u16)],
    own: Option<&BTreeMap<String, u32>>,
) -> Ports {
    let find = |name: &str| named.iter().find(|(known, _)| &**known == name).map(|it| it.1);
    Arc::new(
        service
            .ports
            .iter()
            .filter_map(|port| {
                let mapped = own
                    .and_then(|ports| ports.get(&*port.name))
                    .and_then(|number| u16::try_from(*number).ok());
                // A pod says itself where a port of this name listens.
                let target = match &port.target {
                    TargetPort::Named(name) => {
                        let mapped = own.and_then(|ports| ports.get(&**name));
                        let mapped = mapped.and_then(|number| u16::try_from(*number).ok());
                        mapped.or_else(|| find(name))
                    }
                    TargetPort::Number(number) => Some(*number),
                };
                Some((port.name.clone(), mapped.or(target)?))
            })
            .collect(),
    )
}

/// The endpoint that a selected pod is.
pub(super) fn convert_selected_pod(service: &Service, workload: &Workload) -> Vec<Endpoint> {
    let ports = workload_ports(service, &workload.named_ports, None);
    let address = workload.addresses.first().map(|ip| EndpointAddress::Ip(*ip));
    let endpoint = address
        .map(|address| kubernetes_endpoint(service, address, ports, Some(workload)))
        .map(|endpoint| Endpoint {
            health: if workload.ready { Health::Healthy } else { Health::Unhealthy },
            namespace: workload.namespace.clone(),
            ..endpoint
        });
    endpoint.into_iter().collect()
}

/// WorkloadEntries → endpoints of one service. Most have no ports of their own, and share a list.
pub(super) struct EntryEndpoints<'a> {
    service: &'a Service,
    texts: &'a mut Texts,
    usual_ports: Option<Ports>,
}

impl<'a> EntryEndpoints<'a> {
    pub(super) fn new(service: &'a Service, texts: &'a mut Texts) -> Self {
        Self { service, texts, usual_ports: None }
    }

    /// The endpoint that a WorkloadEntry is, selected or written inside a ServiceEntry. `origin` is
    /// where it was written.
    pub(super) fn convert(
        &mut self,
        entry: &WorkloadEntry,
        origin: &ObjectKey,
        labels: Labels,
    ) -> Option<Endpoint> {
        let address = match entry.address.strip_prefix("unix://") {
            Some(path) => EndpointAddress::Unix(path.into()),
            None => match entry.address.parse() {
                Ok(ip) => EndpointAddress::Ip(ip),
                Err(_) if entry.address.is_empty() => return None,
                Err(_) => EndpointAddress::Dns(Hostname::new(&entry.address)),
            },
        };
        let resolved = matches!(
            self.service.resolution,
            Resolution::Dns | Resolution::DnsRoundRobin | Resolution::DynamicDns
        );
        if matches!(address, EndpointAddress::Dns(_)) && !resolved {
            return None;
        }
        let locality = match labels.get("istio-locality") {
            Some(label) if entry.locality.is_empty() => Cow::Owned(label.replace('.', "/")),
            _ => Cow::Borrowed(entry.locality.as_str()),
        };
        let none = self.texts.share("");
        Some(Endpoint {
            address,
            ports: self.ports(entry),
            mtls: mtls(&labels),
            labels,
            locality: self.texts.locality(&locality),
            weight: entry.weight.max(1),
            service_account: self.texts.share(&entry.service_account),
            workload_name: origin.name.to_shared(),
            namespace: origin.namespace.clone(),
            network: self.texts.share(&entry.network),
            node: none.clone(),
            health: Health::Healthy,
            hostname: none,
        })
    }

    fn ports(&mut self, entry: &WorkloadEntry) -> Ports {
        if !entry.ports.is_empty() {
            return workload_ports(self.service, &[], Some(&entry.ports));
        }
        let usual = || workload_ports(self.service, &[], None);
        self.usual_ports.get_or_insert_with(usual).clone()
    }

    /// Endpoints that are written inside a ServiceEntry, or the host itself where DNS finds them.
    pub(super) fn convert_inline(
        &mut self,
        origin: &ObjectKey,
        endpoints: &[WorkloadEntry],
    ) -> Vec<Endpoint> {
        let Service { resolution, key, .. } = self.service;
        let resolved = matches!(resolution, Resolution::Dns | Resolution::DnsRoundRobin);
        if endpoints.is_empty() && resolved && !key.hostname.is_wildcard() {
            let address = key.hostname.as_str().to_owned();
            let host = WorkloadEntry { address, ..WorkloadEntry::default() };
            let found = self.convert(&host, origin, Labels::default());
            return found.into_iter().collect();
        }
        let mut found = Vec::with_capacity(endpoints.len());
        found.extend(
            endpoints.iter().filter_map(|entry| self.convert(entry, origin, entry.labels.clone())),
        );
        found
    }
}
