//! What routes know of the hosts that they lead to: ports, protocols, hash keys.

use std::{collections::BTreeSet, sync::Arc};

use api::istio::{load_balancer::ConsistentHashLb, virtual_service};
use model::{Hostname, Protocol, Service, Shared};
use snapshot::{Reader, VirtualServiceRecord};

use super::RouteContext;
use crate::{
    Client, names,
    traffic_policy::{Rules, select_rules},
};

/// A host in a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    pub hostname: Hostname,
    /// `None` when the proxy knows no such service.
    pub service: Option<Shared<Service>>,
    /// Its DestinationRules, if any of them hashes.
    pub policies: Rules,
}

impl Destination {
    /// Reads what routes need to know of a host.
    pub fn select(
        hostname: &Hostname,
        service: Option<&Shared<Service>>,
        client: &Client,
        reader: &Reader<'_>,
    ) -> Self {
        let policies = match service {
            Some(service) => select_rules(service, client, reader),
            None => Rules::default(),
        };
        // Rules that do not hash have no effect on routes and must not invalidate them.
        let hashes = policies.records.iter().any(|rule| super::hash::may_hash(&rule.spec));
        Self {
            hostname: hostname.clone(),
            service: service.cloned(),
            policies: if hashes { policies } else { Rules::default() },
        }
    }
}

/// The hosts in the `http` section of a rule, sorted, as `find` knows them.
pub fn select_destinations<'s>(
    rule: &VirtualServiceRecord,
    client: &Client,
    reader: &Reader<'_>,
    find: impl Fn(&Hostname) -> Option<&'s Shared<Service>>,
) -> Arc<[Destination]> {
    let hosts: BTreeSet<Hostname> = rule
        .spec
        .http
        .iter()
        .flat_map(|http| {
            let routes = http.route.iter().filter_map(|it| it.destination.as_ref());
            let mirrors = http.mirrors.iter().filter_map(|it| it.destination.as_ref());
            routes.chain(mirrors).chain(http.mirror.as_ref())
        })
        .map(|destination| Hostname::new(&destination.host))
        .collect();
    hosts.iter().map(|host| Destination::select(host, find(host), client, reader)).collect()
}

/// A destination with its port decided.
pub(super) struct Target<'a> {
    pub hostname: Hostname,
    pub port: u16,
    pub subset: &'a str,
    pub protocol: Protocol,
    pub consistent_hash: Option<&'a ConsistentHashLb>,
}

impl Target<'_> {
    pub(super) fn cluster(&self) -> String {
        names::outbound_cluster(self.port, self.subset, &self.hostname)
    }
}

impl<'a> RouteContext<'a> {
    pub(super) fn destination(&self, hostname: &str) -> Option<&'a Destination> {
        let found = self.destinations.binary_search_by(|it| it.hostname.as_str().cmp(hostname));
        found.ok().map(|index| &self.destinations[index])
    }

    /// The written port, else the only port of the service, else that of the listener. Another
    /// name for a service leads to that service.
    pub(super) fn resolve<'b>(&self, destination: &'b virtual_service::Destination) -> Target<'b>
    where
        'a: 'b,
    {
        let hostname = Hostname::new(&destination.host);
        let known = self.destination(hostname.as_str());
        let service = known.and_then(|it| it.service.as_ref());
        let written = destination.port.as_ref().and_then(|it| u16::try_from(it.number).ok());
        let port =
            written.filter(|number| *number != 0).or_else(|| match service?.ports.as_ref() {
                [only] => Some(only.number),
                _ => None,
            });
        let port = port.unwrap_or(self.port);
        let subset = destination.subset.as_str();
        let protocol = service.and_then(|it| it.port(port)).map(|it| it.protocol);
        Target {
            port,
            subset,
            protocol: protocol.unwrap_or(Protocol::Unsupported),
            consistent_hash: known
                .and_then(|it| it.policies.policy(port, subset).load_balancer)
                .and_then(|it| it.consistent_hash.as_ref()),
            hostname: service.and_then(|it| it.alias_of.clone()).unwrap_or(hostname),
        }
    }
}
