//! Why a cluster that a rule leads to does not exist, in the words of the rule.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use api::{Object, Spec, istio::virtual_service::Destination};
use lint::{
    codes,
    destinations::{named, no_port, no_service, no_subset},
};
use model::{Diagnostic, Hostname, ObjectKey};
use snapshot::{Reader, Snapshot, resolve_short_name};

use super::judge::Clusters;

/// Looks up what rules name.
pub(super) struct Destinations<'a> {
    objects: HashMap<&'a ObjectKey, &'a Object>,
    reader: Reader<'a>,
    domain: &'a str,
    /// Each is told once: many classes have the same rule.
    told: RefCell<HashSet<(String, Option<ObjectKey>)>>,
}

/// `outbound|80|v1|cart.shop.svc.cluster.local`, read.
struct Wanted {
    port: u16,
    subset: String,
    hostname: Hostname,
}

impl Wanted {
    fn parse(cluster: &str) -> Option<Self> {
        let mut parts = cluster.strip_prefix("outbound|")?.splitn(3, '|');
        let port = parts.next()?.parse().ok()?;
        let subset = parts.next()?.to_owned();
        Some(Self { port, subset, hostname: Hostname::new(parts.next()?) })
    }
}

impl<'a> Destinations<'a> {
    pub(super) fn new(objects: &'a [Object], snapshot: &'a Snapshot) -> Self {
        Self {
            objects: objects.iter().map(|object| (&object.key, object)).collect(),
            reader: Reader::new(snapshot),
            domain: &snapshot.mesh().domain,
            told: RefCell::default(),
        }
    }

    /// The finding that `cluster`, which something made of `origins` names, does not exist;
    /// `None` where that is no mistake, or was told before. `clusters` are those that do exist.
    pub(super) fn explain(
        &self,
        cluster: &str,
        origins: &[ObjectKey],
        clusters: &Clusters<'_>,
    ) -> Option<Diagnostic> {
        let wanted = Wanted::parse(cluster)?;
        let (message, hint) = self.reason(&wanted, clusters)?;
        let (rule, field) = self.find(&wanted, origins)?;
        if !self.told.borrow_mut().insert((message.clone(), Some(rule.clone()))) {
            return None;
        }
        let finding = codes::NO_SUCH_DESTINATION.diagnostic(message);
        Some(finding.object(rule.clone()).field(field).hint(hint))
    }

    fn reason(&self, wanted: &Wanted, clusters: &Clusters<'_>) -> Option<(String, &'static str)> {
        let Wanted { port, subset, hostname } = wanted;
        let services = self.reader.services_named(hostname);
        if services.is_empty() {
            return Some(no_service(hostname.as_str()));
        }
        if !services.iter().any(|service| service.port(*port).is_some()) {
            return Some(no_port(hostname.as_str(), (*port).into()));
        }
        let whole = format!("outbound|{port}||{hostname}");
        if !subset.is_empty() && clusters.contains(&whole) {
            return Some(no_subset(hostname.as_str(), subset));
        }
        None
    }

    /// The rule among the origins that names the destination, and where it does.
    fn find<'o>(
        &self,
        wanted: &Wanted,
        origins: &'o [ObjectKey],
    ) -> Option<(&'o ObjectKey, String)> {
        origins.iter().find_map(|origin| {
            let Spec::VirtualService(rule) = &self.objects.get(origin)?.spec else { return None };
            let is_meant = |destination: &Destination| {
                let port = destination.port.as_ref().map(|port| port.number);
                destination.subset == wanted.subset
                    && port.is_none_or(|port| port == u32::from(wanted.port))
                    && resolve_short_name(&destination.host, &origin.namespace, self.domain)
                        == wanted.hostname
            };
            let found = named(rule).into_iter().find(|it| is_meant(it.destination))?;
            Some((origin, found.field))
        })
    }
}
