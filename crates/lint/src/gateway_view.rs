//! A Gateway as rules ask about it: which hosts it serves, where its proxies run.

use std::collections::{BTreeSet, HashMap};

use api::istio::gateway::Gateway;
use model::{Hostname, Namespace, ObjectKey};

/// One Gateway, indexed once.
pub(crate) struct GatewayView<'a> {
    pub(crate) key: &'a ObjectKey,
    pub(crate) gateway: &'a Gateway,
    /// Where its proxies run; empty where none is listed.
    pub(crate) namespaces: BTreeSet<Namespace>,
    /// The ports of its servers.
    pub(crate) ports: BTreeSet<u16>,
    exact: HashMap<Hostname, Vec<&'a str>>,
    wildcards: Vec<(Hostname, &'a str)>,
}

/// A host of a server without the namespaces whose rules it takes.
pub(crate) fn split_host(written: &str) -> (&str, Hostname) {
    let (namespace, name) = written.split_once('/').unwrap_or(("*", written));
    (namespace, Hostname::new(name))
}

/// Whether a server of `gateway` that says `allowed` takes the rules of a namespace.
pub(crate) fn takes(allowed: &str, gateway: &ObjectKey, rule: &Namespace) -> bool {
    match allowed {
        "*" => true,
        "." => *rule == gateway.namespace,
        named => rule.as_str() == named,
    }
}

impl<'a> GatewayView<'a> {
    pub(crate) fn new(
        key: &'a ObjectKey,
        gateway: &'a Gateway,
        namespaces: BTreeSet<Namespace>,
    ) -> Self {
        let ports = gateway.servers.iter().filter_map(|server| server.port.as_ref());
        let mut view = Self {
            key,
            gateway,
            namespaces,
            ports: ports.filter_map(|port| u16::try_from(port.number).ok()).collect(),
            exact: HashMap::new(),
            wildcards: Vec::new(),
        };
        for written in gateway.servers.iter().flat_map(|server| &server.hosts) {
            let (allowed, host) = split_host(written);
            match host.is_wildcard() {
                true => view.wildcards.push((host, allowed)),
                false => view.exact.entry(host).or_default().push(allowed),
            }
        }
        view
    }

    /// Whether a server is for a host of a rule in this namespace.
    pub(crate) fn serves(&self, host: &Hostname, rule: &Namespace) -> bool {
        let takes = |allowed: &str| takes(allowed, self.key, rule);
        let exact = || self.exact.get(host).is_some_and(|all| all.iter().any(|it| takes(it)));
        let wild = || self.wildcards.iter().any(|it| it.0.overlaps(host) && takes(it.1));
        let below = || {
            host.is_wildcard()
                && self
                    .exact
                    .iter()
                    .any(|(exact, all)| host.covers(exact) && all.iter().any(|it| takes(it)))
        };
        exact() || wild() || below()
    }
}
