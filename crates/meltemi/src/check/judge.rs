//! Compiled resources → what Envoy would refuse, and names that lead nowhere, as findings about
//! the objects that people wrote.
//!
//! - What several classes share is judged once, by whichever of several judges meets it first; only
//!   names are looked up in each class.
//! - A destination that exists, but not for one class, is that class's scope and no finding.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use compile::{Compiled, CompiledVirtualHost, RouteParts};
use envoy::type_url;
use model::{Diagnostic, ObjectKey};
use verify::{
    CheckSettings, Constraints, Dangling, ResourceKind, Resources, Violation, check_references_by,
};

use lint::codes;

use super::{compiler::Class, destination::Destinations};

pub(super) struct Judge<'a> {
    destinations: Destinations<'a>,
    seen: &'a Seen,
    /// Read once for all classes.
    constraints: Constraints,
}

/// What somebody has judged, or is about to.
#[derive(Default)]
pub(super) struct Seen(Mutex<SeenNames>);

#[derive(Default)]
struct SeenNames {
    /// Type, name and version.
    resources: HashSet<(&'static str, Arc<str>, u64)>,
    hosts: HashSet<HostKey>,
}

/// The names of the clusters that a class has.
pub(super) struct Clusters<'c> {
    class: &'c Class,
    own: HashSet<&'c str>,
}

impl Clusters<'_> {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.own.contains(name) || self.class.shares_cluster(name)
    }
}

/// What a virtual host is made of. The same host has other domains in each namespace, which is
/// nothing that Envoy judges.
type HostKey = (Arc<str>, Vec<Arc<str>>, Vec<ObjectKey>);

fn host_key(host: &CompiledVirtualHost) -> HostKey {
    (host.name.clone(), host.clusters.clone(), host.origins.clone())
}

impl<'a> Judge<'a> {
    /// One of those who share `seen`.
    pub(super) fn new(destinations: Destinations<'a>, seen: &'a Seen) -> Self {
        Self { destinations, seen, constraints: Constraints::default() }
    }

    /// What was judged up to now.
    #[cfg(test)]
    pub(super) fn work(&self) -> verify::Work {
        self.constraints.work()
    }

    /// Adds what is wrong with a class.
    pub(super) fn judge(&mut self, class: &Class, found: &mut Vec<Diagnostic>) {
        let own = class.of_type(type_url::CLUSTER).map(|it| &**it.resource.name()).collect();
        let clusters = Clusters { class, own };
        self.judge_names(class, &clusters, found);
        self.judge_content(class, &clusters, found);
    }

    fn judge_content(
        &mut self,
        class: &Class,
        clusters: &Clusters<'_>,
        found: &mut Vec<Diagnostic>,
    ) {
        let fresh = self.fresh(class);
        if fresh.is_empty() {
            return;
        }
        let settings = CheckSettings { dangling: Dangling::Allowed, ..CheckSettings::default() };
        let mut resources = Resources::default();
        for compiled in &fresh {
            let resource = &compiled.resource;
            resources.insert(resource.type_url(), resource.name(), &resource.to_any());
        }
        let by_id: BTreeMap<(&str, &str), &Compiled> = fresh
            .iter()
            .map(|it| ((it.resource.type_url(), &**it.resource.name()), &**it))
            .collect();
        let beside = |name: &str| clusters.contains(name);
        let (constraints, settings) = (&mut self.constraints, &settings);
        for violation in check_references_by(constraints, &resources, settings, &beside) {
            let url = type_url_of(violation.resource.kind);
            let compiled = by_id.get(&(url, violation.resource.name.as_str()));
            let origin = compiled.and_then(|compiled| origin(compiled, &violation.path));
            found.push(refused(&violation, origin));
        }
    }

    /// The resources of a class that no earlier class had. Route configurations hold only their
    /// fresh hosts.
    fn fresh(&self, class: &Class) -> Vec<Arc<Compiled>> {
        let mut seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        let SeenNames { resources, hosts: seen_hosts } = &mut *seen;
        let mut is_new = |compiled: &Compiled| {
            let resource = &compiled.resource;
            resources.insert((resource.type_url(), resource.name().clone(), resource.version()))
        };
        // Listeners exclude each other, so that one that is new is judged with all others.
        let listeners: Vec<&Arc<Compiled>> = class.of_type(type_url::LISTENER).collect();
        let any_new = listeners.iter().filter(|it| is_new(it)).count() > 0;
        let mut fresh: Vec<Arc<Compiled>> =
            listeners.into_iter().filter(|_| any_new).cloned().collect();
        for url in [type_url::CLUSTER, type_url::ENDPOINT] {
            fresh.extend(class.of_type(url).filter(|it| is_new(it)).cloned());
        }
        let mut routes = Vec::new();
        for parts in class.of_type(type_url::ROUTE).filter_map(|it| it.parts.as_ref()) {
            let hosts = parts.hosts.iter().filter(|it| seen_hosts.insert(host_key(it)));
            routes.push((parts, hosts.cloned().collect::<Vec<_>>()));
        }
        drop(seen);
        let routes = routes.into_iter().filter(|(_, hosts)| !hosts.is_empty());
        fresh.extend(
            routes.map(|(parts, hosts)| {
                Arc::new(RouteParts { hosts, ..(**parts).clone() }.compile())
            }),
        );
        fresh
    }

    fn judge_names(&mut self, class: &Class, clusters: &Clusters<'_>, found: &mut Vec<Diagnostic>) {
        for compiled in &class.resources {
            match &compiled.parts {
                Some(parts) => {
                    for host in &parts.hosts {
                        self.judge_clusters(&host.clusters, &host.origins, clusters, found);
                    }
                }
                None => {
                    self.judge_clusters(&compiled.clusters, &compiled.origins, clusters, found);
                }
            }
        }
    }

    fn judge_clusters(
        &mut self,
        named: &[Arc<str>],
        origins: &[ObjectKey],
        clusters: &Clusters<'_>,
        found: &mut Vec<Diagnostic>,
    ) {
        let missing = named.iter().filter(|name| !clusters.contains(name));
        found.extend(missing.filter_map(|name| self.destinations.explain(name, origins, clusters)));
    }
}

/// The object to blame for a fault at `path`.
fn origin<'c>(compiled: &'c Compiled, path: &str) -> Option<&'c ObjectKey> {
    let host = |parts: &'c Arc<RouteParts>| {
        let index = path.strip_prefix("virtual_hosts[")?.split(']').next()?.parse().ok()?;
        parts.hosts.get::<usize>(index)
    };
    let host = compiled.parts.as_ref().and_then(host);
    host.map_or(&compiled.origins, |host| &host.origins).first()
}

fn refused(violation: &Violation, origin: Option<&ObjectKey>) -> Diagnostic {
    let finding = codes::REFUSED
        .diagnostic(violation.to_string())
        .hint("change the object; if it is valid, please report this as a defect of Meltemi");
    match origin {
        Some(origin) => finding.object(origin.clone()),
        None => finding,
    }
}

fn type_url_of(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Cluster => type_url::CLUSTER,
        ResourceKind::Endpoint => type_url::ENDPOINT,
        ResourceKind::Listener => type_url::LISTENER,
        ResourceKind::Route => type_url::ROUTE,
        ResourceKind::Other => "",
    }
}
