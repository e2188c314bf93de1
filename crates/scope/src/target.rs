//! What a caller named → the host of a service, or one that a rule of the mesh is for.
//!
//! - A name is completed as a resolver of Kubernetes would: by the caller's namespace, then by the
//!   domain of the cluster. An address is the service that has it.

use std::net::IpAddr;

use model::{Hostname, Namespace};
use snapshot::resolve_short_name;

/// What of the mesh is needed to tell which service is meant.
pub trait Places {
    /// The suffix of Kubernetes names, without a dot in front.
    fn domain(&self) -> &str;
    /// Whether the host is that of the gateway through which others are called.
    fn is_gateway(&self, host: &Hostname) -> bool;
    /// Whether a service has exactly this host, or a rule of the mesh is for it.
    fn has(&self, host: &Hostname) -> bool;
    /// Whether a service has exactly this host, and no address: its pods have names below it.
    fn has_pods(&self, host: &Hostname) -> bool;
    /// Whether there is such a namespace.
    fn has_namespace(&self, name: &str) -> bool;
    /// The host of the service that has the address, on the port if one is named.
    fn at(&self, address: IpAddr, port: Option<u16>) -> Option<Hostname>;
}

/// The host that a caller in `namespace` means by `name`, which may have a port: that of a service, or
/// of a rule. `None` when it is neither.
pub fn complete_host(
    name: &str,
    namespace: &Namespace,
    places: &(impl Places + ?Sized),
) -> Option<Hostname> {
    let (name, port) = split_port(name);
    if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse() {
        return places.at(address, port);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if !is_name(name) {
        return None;
    }
    let domain = places.domain();
    let named = candidates(name, namespace, domain).find(|host| places.has(host));
    let of_pod = || {
        let (_, service) = name.split_once('.')?;
        candidates(service, namespace, domain).find(|host| places.has_pods(host))
    };
    named.or_else(of_pod).or_else(|| wildcards(name).find(|host| places.has(host)))
}

/// The full name of what nothing has yet: as that of a service in a namespace that there is. By a
/// short name nothing would ever be found.
pub fn full_host(name: &str, places: &(impl Places + ?Sized)) -> Hostname {
    let domain = places.domain();
    let labels: Vec<&str> = name.split('.').collect();
    match labels[..] {
        [_, _, "svc"] => Hostname::new(&format!("{name}.{domain}")),
        [first, namespace] if first != "*" && places.has_namespace(namespace) => {
            Hostname::new(&format!("{name}.svc.{domain}"))
        }
        _ => Hostname::new(name),
    }
}

/// The hosts that a name may stand for.
fn candidates(
    name: &str,
    namespace: &Namespace,
    domain: &str,
) -> impl Iterator<Item = Hostname> + use<> {
    let completed = match name.split('.').count() {
        1 => Some(resolve_short_name(name, namespace, domain)),
        2 => Some(Hostname::new(&format!("{name}.svc.{domain}"))),
        3 if name.to_ascii_lowercase().ends_with(".svc") => {
            Some(Hostname::new(&format!("{name}.{domain}")))
        }
        _ => None,
    };
    // A host of a ServiceEntry may look like any of these.
    completed.into_iter().chain([Hostname::new(name)])
}

/// The wildcards that cover a name, the longest first.
fn wildcards(name: &str) -> impl Iterator<Item = Hostname> {
    let dots = name.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
    dots.map(|(at, _)| Hostname::new(&format!("*{}", &name[at..])))
}

/// Whether this can be the name of a host at all.
pub(crate) fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=253).contains(&name.len()) && name.bytes().all(is_part)
}

pub(crate) fn split_port(name: &str) -> (&str, Option<u16>) {
    match name.rsplit_once(':') {
        // An address of IPv6 has colons of its own, and brackets when it has a port.
        Some((host, port))
            if (!host.contains(':') || host.ends_with(']'))
                && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            (host, port.parse().ok())
        }
        Some(_) | None => (name, None),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A mesh of three services.
    pub(crate) struct FakePlaces;

    impl Places for FakePlaces {
        fn domain(&self) -> &str {
            "cluster.local"
        }

        fn is_gateway(&self, host: &Hostname) -> bool {
            host.as_str() == "lazy.mesh.svc.cluster.local"
        }

        fn has(&self, host: &Hostname) -> bool {
            let known = [
                "cart.shop.svc.cluster.local",
                "pay.bank.svc.cluster.local",
                "api.example.com",
                "*.example.net",
            ];
            known.contains(&host.as_str())
        }

        fn has_pods(&self, host: &Hostname) -> bool {
            host.as_str() == "pay.bank.svc.cluster.local"
        }

        fn has_namespace(&self, name: &str) -> bool {
            ["shop", "bank"].contains(&name)
        }

        /// The first service is at one port.
        fn at(&self, address: IpAddr, port: Option<u16>) -> Option<Hostname> {
            let known: [(IpAddr, &str); 2] = [
                ([10, 0, 0, 1].into(), "cart.shop.svc.cluster.local"),
                ("fd00::1".parse().unwrap(), "pay.bank.svc.cluster.local"),
            ];
            let found = known.into_iter().find(|(known, _)| *known == address)?;
            let is_served = address.is_ipv6() || port.is_none_or(|port| port == 9080);
            is_served.then(|| found.1.into())
        }
    }

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        let found = complete_host(name, &"shop".into(), &FakePlaces);
        assert_eq!(found.as_ref().map(Hostname::as_str), expected, "{name}");
    }

    #[test]
    fn names_are_completed_as_a_resolver_would() {
        let cart = Some("cart.shop.svc.cluster.local");
        let pay = Some("pay.bank.svc.cluster.local");
        for name in [
            "cart",
            "cart:80",
            "CART.shop",
            "cart.shop.svc",
            "cart.shop.svc:8080",
            "cart.shop.svc.cluster.local",
            "cart.shop.svc.cluster.local.:80",
            "10.0.0.1",
            "10.0.0.1:9080",
        ] {
            check(name, cart);
        }
        for name in ["pay-0.pay.bank", "pay-0.pay.bank.svc.cluster.local."] {
            check(name, pay);
        }
        for name in ["pay.bank", "pay.bank:443", "fd00::1", "[fd00::1]", "[fd00::1]:443"] {
            check(name, pay);
        }
        check("api.example.com:443", Some("api.example.com"));
        for name in ["a.example.net", "a.b.example.net:443"] {
            check(name, Some("*.example.net"));
        }
        for name in [
            "pay",
            "pay.shop",
            "cart.shop.svc.other",
            "cart-0.cart",
            "10.9.9.9",
            "10.0.0.1:80",
            "",
            ":80",
            "a b",
            "*",
            "example.com",
            "cart.shop/../..",
            "[::1",
            "cart:port",
        ] {
            check(name, None);
        }
        check(&"a".repeat(300), None);
    }
}
