//! Ports of a gateway's own services → ports that it listens on.

use std::{collections::BTreeMap, net::IpAddr};

use snapshot::Reader;

use crate::{Client, own_services::own_ports};

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

/// Selects the ports of the services that lead to the proxy.
pub fn select_own_ports(
    proxy_addresses: &[IpAddr],
    client: &Client,
    reader: &Reader<'_>,
) -> OwnPorts {
    let mut ports = BTreeMap::new();
    for own in own_ports(proxy_addresses, client, reader) {
        if own.service.labels.get(NO_TRANSLATION).is_none() {
            ports.entry(own.port.number).or_insert(own.target);
        }
    }
    OwnPorts { pairs: ports.into_iter().collect() }
}
