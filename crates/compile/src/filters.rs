//! Builders of the Envoy filters that listeners are made of, for sidecars and gateways alike.
//!
//! - Pure: what a filter depends on is in its options.
//! - Only filters that a stock Envoy has; the order of HTTP filters is Istio's without its own.
//! - Not here: which listener needs which filter (`outbound`, `inbound`, `gateway`).

pub(crate) mod filter_state;
mod http;
mod listener;
pub(crate) mod on_demand;
mod server_name;
mod tcp;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use api::Duration;
use envoy::{
    Any,
    config::{
        core::v3::{Address, Pipe, SocketAddress, address, socket_address::PortSpecifier},
        listener::v3::{Filter, filter},
    },
};
use prost::{Message, Name};

pub(crate) use http::{ALPN_FIELD, ALPN_NAMESPACE, ads, http_filter};
pub use http::{
    HcmOptions, HttpRole, HttpSettings, RouteSource, dynamic_dns_cache, http_connection_manager,
};
pub use listener::{
    HTTP_INSPECTOR, InspectedPorts, ORIGINAL_DST, ORIGINAL_SRC, TLS_INSPECTOR, http_inspector,
    original_dst, original_src, tls_inspector,
};
pub use on_demand::ON_DEMAND;
pub use server_name::wait_for_server_name;
pub use tcp::{TcpPolicy, TcpRoute, Tunnel, TunnelMethod, WeightedDestination, tcp_proxy};

/// The mark of connections that keep their caller's address; iptables rules know it.
pub const ORIGINAL_SRC_MARK: u32 = 1337;

/// A network filter of this name and configuration.
pub(crate) fn network_filter<M: Message + Name>(name: &str, config: &M) -> Filter {
    Filter {
        name: name.to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(Any::pack(config))),
    }
}

/// A duration as protobuf has it.
pub(crate) fn duration(length: Duration) -> prost_types::Duration {
    let (seconds, nanos) = length.split();
    prost_types::Duration { seconds, nanos }
}

pub(crate) const fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// An address with a port, or a socket in the file system for `unix://path`.
pub(crate) fn address(host: &str, port: u16) -> Address {
    let address = match host.strip_prefix("unix://") {
        Some(path) => address::Address::Pipe(Pipe { path: path.to_owned(), mode: 0 }),
        None => address::Address::SocketAddress(socket_address(host, port)),
    };
    Address { address: Some(address) }
}

pub(crate) fn socket_address(host: &str, port: u16) -> SocketAddress {
    SocketAddress {
        address: host.to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(port.into())),
        ..SocketAddress::default()
    }
}
