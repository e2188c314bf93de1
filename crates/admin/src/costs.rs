//! What each dependency costs a proxy: the bytes of what the proxy holds for its sake.
//!
//! - Pure, and in proportion to what one class holds.
//! - What serves several hosts, such as the listener of a port, is counted for none of them.

use std::{collections::HashMap, sync::Arc};

use compile::{Compiled, names::service_of};
use model::Hostname;
use push::{FacetView, ResourceKind};

/// Bytes by host.
pub(crate) fn costs<'a>(
    views: impl IntoIterator<Item = &'a Arc<FacetView>>,
) -> HashMap<Hostname, usize> {
    let mut costs = HashMap::new();
    for view in views {
        for kind in ResourceKind::ALL {
            for (name, compiled) in view.table(kind) {
                for (host, bytes) in parts_of(kind, name, compiled) {
                    *costs.entry(host).or_default() += bytes;
                }
            }
        }
    }
    costs
}

/// The hosts for whose sake a resource, or a part of it, is there.
fn parts_of(kind: ResourceKind, name: &str, compiled: &Compiled) -> Vec<(Hostname, usize)> {
    let whole = |host: Option<Hostname>| {
        host.map(|host| (host, compiled.resource.body().len())).into_iter().collect()
    };
    match kind {
        ResourceKind::Cluster | ResourceKind::Endpoint => whole(service_of(name)),
        ResourceKind::Listener => whole(only_host(&compiled.clusters)),
        ResourceKind::VirtualHost => whole(named_by(name)),
        ResourceKind::Route => {
            let parts = compiled.parts.iter().filter(|parts| !parts.on_demand);
            let hosts = parts.flat_map(|parts| &parts.hosts);
            hosts.filter_map(|host| Some((named_by(&host.name)?, host.bytes.len()))).collect()
        }
        ResourceKind::ScopedRoute | ResourceKind::Secret | ResourceKind::Runtime => Vec::new(),
    }
}

/// The host to which all of these clusters lead.
fn only_host(clusters: &[Arc<str>]) -> Option<Hostname> {
    let mut hosts = clusters.iter().map(|cluster| service_of(cluster));
    let first = hosts.next()??;
    hosts.all(|host| host.as_ref() == Some(&first)).then_some(first)
}

/// The host of a virtual host: `host:port`, behind its route configuration where it is a resource of
/// its own.
fn named_by(virtual_host: &str) -> Option<Hostname> {
    let (_, name) = virtual_host.rsplit_once('/').unwrap_or(("", virtual_host));
    let (host, _) = name.rsplit_once(':')?;
    Some(Hostname::new(host))
}
