//! A route configuration in the pieces of which it is made: one for each virtual host.
//!
//! Whoever holds two versions of a configuration can so take some hosts of one and some of the
//! other, without decoding either.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use envoy::{
    Resource, Rope,
    config::route::v3::{RouteConfiguration, Vhds},
    type_url,
};
use model::{Diagnostics, ObjectKey, Set};
use prost::Message;

use crate::{Compiled, CompiledVirtualHost, filters::ads};

const MAX_DIRECT_RESPONSE: u32 = 1024 * 1024;
/// How long a listener waits for its first virtual hosts. They follow at once; should they be lost, it
/// starts without them and asks.
const FIRST_HOSTS: prost_types::Duration = prost_types::Duration { seconds: 0, nanos: 200_000_000 };

/// A route configuration that is not put together yet.
#[derive(Clone, Debug)]
pub struct RouteParts {
    pub name: Arc<str>,
    /// No two have a name or a domain in common.
    pub hosts: Vec<Arc<CompiledVirtualHost>>,
    /// The host for everything else, with the domain `*`.
    pub last: Option<LastHost>,
    /// Whether the ports that callers write are looked past.
    pub ignores_ports: bool,
    /// Hosts and `last` are no part of it: proxies ask for hosts one by one, and there is no last.
    pub on_demand: bool,
    /// Findings about the configuration, beside those of its hosts.
    pub diagnostics: Diagnostics,
}

/// The encoded host that takes what no other takes.
#[derive(Clone, Debug)]
pub struct LastHost {
    /// A field of a `RouteConfiguration`, tag included.
    pub bytes: Bytes,
    pub clusters: Vec<Arc<str>>,
}

impl RouteParts {
    /// Puts the pieces together; the bytes of hosts are shared.
    pub fn compile(self) -> Compiled {
        if self.on_demand {
            return self.compile_on_demand();
        }
        let head =
            RouteConfiguration { name: self.name.to_string(), ..RouteConfiguration::default() };
        let tail = RouteConfiguration {
            validate_clusters: Some(false),
            max_direct_response_body_size_bytes: Some(MAX_DIRECT_RESPONSE),
            ignore_port_in_host_matching: self.ignores_ports,
            ..RouteConfiguration::default()
        };
        let body: Rope = std::iter::once(Bytes::from(head.encode_to_vec()))
            .chain(self.hosts.iter().map(|host| host.bytes.clone()))
            .chain(self.last.iter().map(|last| last.bytes.clone()))
            .chain(std::iter::once(Bytes::from(tail.encode_to_vec())))
            .collect();
        let resource = Resource::new(self.name.clone(), type_url::ROUTE, body);
        let named = self.hosts.iter().flat_map(|host| &host.clusters);
        let last = self.last.iter().flat_map(|last| &last.clusters);
        let clusters: BTreeSet<&Arc<str>> = named.chain(last).collect();
        let origins: BTreeSet<&ObjectKey> =
            self.hosts.iter().flat_map(|host| &host.origins).collect();
        let mut diagnostics = self.diagnostics.clone();
        for host in &self.hosts {
            diagnostics.extend(host.diagnostics.clone());
        }
        Compiled {
            clusters: clusters.into_iter().cloned().collect(),
            origins: origins.into_iter().cloned().collect(),
            diagnostics,
            parts: Some(Arc::new(self.clone())),
            ..Compiled::new(resource)
        }
    }

    /// A configuration without hosts.
    fn compile_on_demand(self) -> Compiled {
        let message = RouteConfiguration {
            name: self.name.to_string(),
            vhds: Some(Vhds { config_source: Some(ads(FIRST_HOSTS)) }),
            validate_clusters: Some(false),
            max_direct_response_body_size_bytes: Some(MAX_DIRECT_RESPONSE),
            ignore_port_in_host_matching: self.ignores_ports,
            ..RouteConfiguration::default()
        };
        let resource = Resource::from_message(self.name.clone(), type_url::ROUTE, &message);
        let diagnostics = self.diagnostics.clone();
        Compiled { diagnostics, parts: Some(Arc::new(self)), ..Compiled::new(resource) }
    }

    /// The same configuration with other hosts; `None` when two of these cannot be together,
    /// because Envoy refuses a configuration in which a name or a domain occurs twice.
    pub fn with_hosts(&self, hosts: Vec<Arc<CompiledVirtualHost>>) -> Option<Compiled> {
        let mut names = Set::default();
        let mut domains: Set<&str> = self.last.iter().map(|_| "*").collect();
        let distinct = hosts.iter().all(|host| {
            names.insert(&host.name) && host.domains.iter().all(|domain| domains.insert(domain))
        });
        drop(names);
        distinct.then(|| Self { hosts, ..self.clone() }.compile())
    }
}
