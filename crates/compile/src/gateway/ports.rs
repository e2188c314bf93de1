//! Ports of a gateway's own services → ports that it listens on.

use std::{collections::BTreeMap, net::IpAddr};

use model::{EndpointAddress, Service, Shared};
use snapshot::Reader;

use crate::Client;

/// A Service with this label does not translate ports; Knative relies on it.
const NO_TRANSLATION: &str = "experimental.istio.io/disable-gateway-port-translation";

/// The ports at which a proxy's own services reach it. Equal for all pods of a deployment, so that
/// these share their listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OwnPorts {
    /// Port of a service → port of the proxy, sorted.
    pairs: Vec<(u16, u16)>,
}

impl OwnPorts {
    /// The port to listen on for a written port: that to which a service of the gateway translates
    /// it, else the same.
    pub fn translate(&self, written: u16) -> u16 {
        let found = self.pairs.binary_search_by_key(&written, |(service_port, _)| *service_port);
        found.map_or(written, |index| self.pairs[index].1)
    }
}

/// Selects the ports of the services that have an endpoint at the proxy.
pub fn select_own_ports(
    proxy_addresses: &[IpAddr],
    client: &Client,
    reader: &Reader<'_>,
) -> OwnPorts {
    let mut own: Vec<(&Shared<Service>, IpAddr)> = Vec::new();
    for address in proxy_addresses {
        for service in reader.services_at(*address) {
            // A service does not reach into other namespaces, even if its endpoints say so.
            let same = *service.namespace() == client.namespace;
            if same && service.labels.get(NO_TRANSLATION).is_none() {
                own.push((service, *address));
            }
        }
    }
    own.sort_by(|(a, at), (b, bt)| {
        (a.created, &a.name, &a.key, at).cmp(&(b.created, &b.name, &b.key, bt))
    });
    let mut ports = BTreeMap::new();
    for (service, address) in own {
        for (written, target) in served_ports(service, address, reader) {
            ports.entry(written).or_insert(target);
        }
    }
    OwnPorts { pairs: ports.into_iter().collect() }
}

fn served_ports(service: &Service, address: IpAddr, reader: &Reader<'_>) -> Vec<(u16, u16)> {
    // Its content decides, and not only that it is at the address.
    let Some(service) = reader.service(&service.key) else { return Vec::new() };
    let Some(endpoints) = reader.endpoints(&service.key) else { return Vec::new() };
    let wanted = EndpointAddress::Ip(address);
    let own = endpoints.iter().filter(|endpoint| endpoint.address == wanted);
    own.flat_map(|endpoint| {
        let served = service.ports.iter();
        served.filter_map(|port| Some((port.number, *endpoint.ports.get(&port.name)?)))
    })
    .collect()
}
