//! The decoded resources of one proxy, by name.
//!
//! - Everything that can be decoded is kept; what cannot is reported in `violations`.
//! - Of two resources with one name the first stays, and the second is reported.
//! - Virtual hosts that were sent one by one (VHDS) are where Envoy puts them: in their route
//!   configurations.
//! - Not here: secrets and other kinds, which no walk reads. They are skipped.

use std::collections::BTreeMap;

use envoy::{
    Any,
    config::{
        cluster::v3::Cluster,
        endpoint::v3::ClusterLoadAssignment,
        listener::v3::Listener,
        route::v3::{RouteConfiguration, VirtualHost},
    },
    type_url,
};
use prost::{Message, Name};

use crate::{ResourceId, ResourceKind, Rule, Severity, Violation};

/// What a proxy was sent by CDS, EDS, LDS, RDS and VHDS.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    pub listeners: BTreeMap<String, Listener>,
    pub routes: BTreeMap<String, RouteConfiguration>,
    pub clusters: BTreeMap<String, Cluster>,
    /// By the `service_name` of the EDS cluster, or its name.
    pub assignments: BTreeMap<String, ClusterLoadAssignment>,
    /// What was wrong while decoding; [`crate::check_references`] repeats it.
    pub violations: Vec<Violation>,
}

impl Resources {
    /// Decodes resources, each given as type URL, name and message.
    pub fn from_any<'a>(
        resources: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>, &'a Any)>,
    ) -> Self {
        let (mut decoded, mut hosts) = (Self::default(), BTreeMap::new());
        for (url, name, any) in resources {
            match url.as_ref() {
                type_url::VIRTUAL_HOST => {
                    let id = ResourceId::new(ResourceKind::Other, name.as_ref());
                    let taken = take(any, id, |host: &VirtualHost| &host.name, &mut hosts);
                    decoded.violations.extend(taken.err());
                }
                url => decoded.insert(url, name.as_ref(), any),
            }
        }
        for (name, host) in hosts {
            let route = name.rsplit_once('/').and_then(|(it, _)| decoded.routes.get_mut(it));
            if let Some(route) = route {
                route.virtual_hosts.push(host);
            }
        }
        decoded
    }

    /// Decodes one resource more.
    pub fn insert(&mut self, url: &str, name: &str, any: &Any) {
        let Self { listeners, routes, clusters, assignments, violations } = self;
        let result = match url {
            type_url::CLUSTER => {
                let id = ResourceId::new(ResourceKind::Cluster, name);
                take(any, id, |message: &Cluster| &message.name, clusters)
            }
            type_url::ENDPOINT => {
                let id = ResourceId::new(ResourceKind::Endpoint, name);
                take(any, id, |message: &ClusterLoadAssignment| &message.cluster_name, assignments)
            }
            type_url::LISTENER => {
                let id = ResourceId::new(ResourceKind::Listener, name);
                take(any, id, |message: &Listener| &message.name, listeners)
            }
            type_url::ROUTE => {
                let id = ResourceId::new(ResourceKind::Route, name);
                take(any, id, |message: &RouteConfiguration| &message.name, routes)
            }
            _ => Ok(()),
        };
        violations.extend(result.err());
    }
}

fn take<M: Message + Name + Default>(
    any: &Any,
    id: ResourceId,
    inner: impl Fn(&M) -> &String,
    into: &mut BTreeMap<String, M>,
) -> Result<(), Violation> {
    let fault = |id: ResourceId, rule: Rule, message: String| Violation {
        severity: Severity::Refused,
        resource: id,
        path: String::new(),
        rule,
        message,
    };
    let message: M = match any.unpack() {
        Ok(message) => message,
        Err(error) => return Err(fault(id, Rule::Decode, causes(&error))),
    };
    let name = inner(&message).clone();
    if into.contains_key(&name) {
        return Err(fault(id, Rule::DuplicateName, "a second resource of the name".to_owned()));
    }
    into.insert(name.clone(), message);
    if name != id.name {
        return Err(fault(id, Rule::Name, format!("the message inside is named `{name}`")));
    }
    Ok(())
}

/// The error and what caused it, in one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
