//! Host names as rules write them.

use model::{Hostname, Namespace};

/// Whether a host in a rule is to be completed with the rule's own namespace: an address is not.
pub fn is_short_name(host: &str) -> bool {
    !host.contains(['.', ':']) && !host.starts_with('*')
}

/// Completes a short name: `cart` in namespace `shop` is `cart.shop.svc.cluster.local`.
pub fn resolve_short_name(host: &str, namespace: &Namespace, domain: &str) -> Hostname {
    match is_short_name(host) && !host.is_empty() {
        true => Hostname::new(&format!("{host}.{namespace}.svc.{domain}")),
        false => Hostname::new(host),
    }
}
