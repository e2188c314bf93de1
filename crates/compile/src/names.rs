//! Names of resources, as Istio has them: tools and dashboards split them.

use std::fmt;

use model::Hostname;

pub const BLACK_HOLE_CLUSTER: &str = "BlackHoleCluster";
pub const PASSTHROUGH_CLUSTER: &str = "PassthroughCluster";
pub const INBOUND_PASSTHROUGH_CLUSTER: &str = "InboundPassthroughCluster";
/// To the gateway that has the whole mesh, for those who are told less, or past it.
pub const DETOUR_CLUSTER: &str = "LazyGatewayCluster";
/// Resolves the Host header per request (`ALLOW_ANY_DYNAMIC_DNS`).
pub const DYNAMIC_DNS_CLUSTER: &str = "AllowAnyDynamicDNSCluster";
pub const VIRTUAL_OUTBOUND: &str = "virtualOutbound";
pub const VIRTUAL_INBOUND: &str = "virtualInbound";
pub const OUTBOUND_PORT: u16 = 15001;
pub const INBOUND_PORT: u16 = 15006;

/// `outbound|80|v1|cart.shop.svc.cluster.local`; an empty subset is the whole service.
pub fn outbound_cluster(port: u16, subset: &str, hostname: impl fmt::Display) -> String {
    format!("outbound|{port}|{subset}|{hostname}")
}

/// Port and host of the cluster of a whole service.
pub fn split_outbound_cluster(cluster: &str) -> Option<(u16, &str)> {
    let mut parts = cluster.strip_prefix("outbound|")?.splitn(3, '|');
    let (port, subset, host) = (parts.next()?, parts.next()?, parts.next()?);
    Some((port.parse().ok().filter(|_| subset.is_empty())?, host))
}

/// The whole service's cluster for that of a subset; `None` where there is no subset in the name.
pub fn without_subset(cluster: &str) -> Option<String> {
    let mut parts = cluster.strip_prefix("outbound|")?.splitn(3, '|');
    let (port, subset, hostname) = (parts.next()?, parts.next()?, parts.next()?);
    (!subset.is_empty()).then(|| format!("outbound|{port}||{hostname}"))
}

/// The host of an outbound cluster; `None` for what is no name of one.
pub fn service_of(cluster: &str) -> Option<Hostname> {
    let host = cluster.strip_prefix("outbound|")?.splitn(3, '|').nth(2)?;
    (!host.is_empty()).then(|| Hostname::new(host))
}

/// `inbound|8080||`.
pub fn inbound_cluster(port: u16) -> String {
    format!("inbound|{port}||")
}

/// The server name that stands for a cluster across networks:
/// `outbound_.80_.v1_.cart.shop.svc.cluster.local`.
pub fn sni_cluster(port: u16, subset: &str, hostname: &Hostname) -> String {
    format!("outbound_.{port}_.{subset}_.{hostname}")
}

/// `cart.shop.svc.cluster.local:80`.
pub fn virtual_host(hostname: &Hostname, port: u16) -> String {
    format!("{hostname}:{port}")
}

/// `0.0.0.0_80`.
pub fn listener(bind: &str, port: u16) -> String {
    format!("{bind}_{port}")
}
