//! One facet of a class: the jobs that make its resources, and what each of them read.
//!
//! A job runs again only when something that it read has changed, and what comes out equal ends the
//! work there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use compile::{
    Client, Compiled, CompiledVirtualHost, RouteInput, RouteName, Scope, VirtualHostInput,
    cluster::{compile_cluster, select_cluster, special_clusters},
    compile_route, compile_virtual_host,
    endpoint::{Place, compile_endpoints, select_endpoints},
    inbound::{InboundInput, compile_inbound_clusters, compile_inbound_listeners},
    outbound::{compile_listener, plan_outbound},
    select_route,
    traffic_policy::select_rules,
};
use model::{Labels, Locality, Proxy, Service, ServiceKey, Shared};
use snapshot::{Reader, Reads, Snapshot};

use crate::{FacetView, ResourceKind, engine::Counters};

/// What makes two facets the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FacetKey {
    /// Clusters, assignments, listeners and routes towards others.
    Outbound(Box<Client>, Box<PlaceKey>),
    /// Listeners and clusters towards the proxy's own application.
    Inbound(Box<InboundInput>),
}

/// Where a proxy runs: what only its assignments depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlaceKey {
    locality: Locality,
    node_name: Arc<str>,
    network: Arc<str>,
    cluster_id: Arc<str>,
    labels: Labels,
}

impl PlaceKey {
    pub(crate) fn reduce(proxy: &Proxy) -> Self {
        Self {
            locality: proxy.locality.clone(),
            node_name: proxy.node_name.clone(),
            network: proxy.network.clone(),
            cluster_id: proxy.cluster_id.clone(),
            labels: proxy.labels.clone(),
        }
    }

    fn place(&self) -> Place<'_> {
        Place {
            locality: &self.locality,
            node_name: &self.node_name,
            network: &self.network,
            cluster_id: &self.cluster_id,
            labels: &self.labels,
        }
    }
}

/// A unit of work within a facet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Job {
    /// Which services and rules the class sees; the other jobs follow from it.
    Scope,
    /// All outbound listeners, and the names of the routes that they ask for.
    Listeners,
    /// The clusters of one service: ports × subsets.
    Clusters(ServiceKey),
    /// Their assignments.
    Assignments(ServiceKey),
    /// One route configuration.
    Route(Arc<str>),
    /// All of an inbound facet.
    Inbound,
}

type Hosts = HashMap<Shared<VirtualHostInput>, Arc<CompiledVirtualHost>>;

/// The names of a job's resources.
type Names = BTreeSet<(ResourceKind, Arc<str>)>;

/// Changed names of a facet since its last published view.
pub(crate) type Changed = BTreeSet<(ResourceKind, Arc<str>)>;

/// A facet with everything needed to bring it up to date.
#[derive(Debug)]
pub(crate) struct Facet {
    key: FacetKey,
    pub(crate) view: FacetView,
    scope: Option<Arc<Scope>>,
    services: HashMap<ServiceKey, Shared<Service>>,
    /// Subsets and ports per service, as the clusters job found them.
    clusters: HashMap<ServiceKey, Vec<(u16, Arc<str>)>>,
    outputs: HashMap<Job, Names>,
    route_inputs: HashMap<Arc<str>, RouteInput>,
    /// The encoded hosts of each route: one that did not change is not encoded again.
    hosts: HashMap<Arc<str>, Hosts>,
    pub(crate) reads: BTreeMap<Job, Reads>,
}

/// The answer to a route name that nothing knows.
pub(crate) fn unknown_route(name: &Arc<str>) -> Arc<Compiled> {
    let empty = RouteInput::empty(name);
    Arc::new(compile_route(&empty, &mut |host| Arc::new(compile_virtual_host(host))))
}

/// What one update of a facet did.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) changed: Changed,
    /// Jobs whose reads are new, with the old ones; `None` now means the job is gone.
    pub(crate) reads: Vec<(Job, Reads)>,
}

impl Facet {
    pub(crate) fn new(key: FacetKey) -> Self {
        Self {
            key,
            view: FacetView::default(),
            scope: None,
            services: HashMap::new(),
            clusters: HashMap::new(),
            outputs: HashMap::new(),
            route_inputs: HashMap::new(),
            hosts: HashMap::new(),
            reads: BTreeMap::new(),
        }
    }

    /// The jobs of a facet that was never compiled.
    pub(crate) fn first_jobs(&self) -> BTreeSet<Job> {
        match &self.key {
            FacetKey::Outbound(..) => [Job::Scope].into(),
            FacetKey::Inbound(_) => [Job::Inbound].into(),
        }
    }

    /// Runs the dirty jobs, in the order in which they depend on each other.
    pub(crate) fn run(
        &mut self,
        mut dirty: BTreeSet<Job>,
        snapshot: &Snapshot,
        counters: &Counters,
    ) -> Update {
        let mut update = Update::default();
        // `Job` is ordered by dependency: later jobs may be added while earlier ones run.
        while let Some(job) = dirty.pop_first() {
            counters.jobs.inc();
            let reader = Reader::new(snapshot);
            let outputs = match &job {
                Job::Scope => self.run_scope(&reader, &mut dirty, &mut update),
                Job::Listeners => self.run_listeners(&reader, &mut dirty, &mut update, counters),
                Job::Clusters(service) => {
                    let service = service.clone();
                    self.run_clusters(&service, &reader, &mut dirty, counters)
                }
                Job::Assignments(service) => self.run_assignments(service, &reader, counters),
                Job::Route(name) => {
                    let name = name.clone();
                    self.run_route(&name, &reader, counters)
                }
                Job::Inbound => self.run_inbound(counters),
            };
            self.store(&job, outputs, &mut update);
            let reads = reader.into_reads();
            let old = self.reads.insert(job.clone(), reads).unwrap_or_default();
            update.reads.push((job, old));
        }
        self.view.revision = snapshot.revision;
        update
    }

    /// Replaces a job's resources by those it made now.
    fn store(
        &mut self,
        job: &Job,
        outputs: Option<Vec<(ResourceKind, Compiled)>>,
        update: &mut Update,
    ) {
        let Some(outputs) = outputs else { return };
        let mut names = Names::new();
        for (kind, compiled) in outputs {
            let name = compiled.resource.name().clone();
            if !names.insert((kind, name.clone())) {
                continue;
            }
            let same = self.view.get(kind, &name).is_some_and(|old| {
                old.resource.version() == compiled.resource.version()
                    && old.origins == compiled.origins
            });
            if !same && self.view.set(kind, &name, Some(Arc::new(compiled))) {
                update.changed.insert((kind, name));
            }
        }
        let old = self.outputs.insert(job.clone(), names).unwrap_or_default();
        for (kind, name) in &old - &self.outputs[job] {
            self.view.set(kind, &name, None);
            update.changed.insert((kind, name));
        }
    }

    /// Takes a job and its resources away.
    fn drop_job(&mut self, job: &Job, update: &mut Update) {
        for (kind, name) in self.outputs.remove(job).unwrap_or_default() {
            self.view.set(kind, &name, None);
            update.changed.insert((kind, name));
        }
        if let Some(old) = self.reads.remove(job) {
            update.reads.push((job.clone(), old));
        }
    }

    fn outbound(&self) -> Option<(&Client, &PlaceKey)> {
        match &self.key {
            FacetKey::Outbound(client, place) => Some((client, place)),
            FacetKey::Inbound(_) => None,
        }
    }

    fn run_scope(
        &mut self,
        reader: &Reader<'_>,
        dirty: &mut BTreeSet<Job>,
        update: &mut Update,
    ) -> Option<Vec<(ResourceKind, Compiled)>> {
        let (client, _) = self.outbound()?;
        let scope = Arc::new(Scope::select(client, reader));
        let special = special_clusters(client, reader.mesh(), scope.outbound_policy);
        if self.scope.as_ref().is_none_or(|old| **old != *scope) {
            dirty.insert(Job::Listeners);
            let routes: Vec<Arc<str>> = self.route_inputs.keys().cloned().collect();
            dirty.extend(routes.into_iter().map(Job::Route));
            let new: HashMap<ServiceKey, Shared<Service>> =
                scope.services.iter().map(|it| (it.key.clone(), it.clone())).collect();
            let old = std::mem::replace(&mut self.services, new);
            for key in old.keys().filter(|key| !self.services.contains_key(*key)) {
                dirty.remove(&Job::Clusters(key.clone()));
                dirty.remove(&Job::Assignments(key.clone()));
                self.clusters.remove(key);
            }
            for key in old.keys() {
                if !self.services.contains_key(key) {
                    self.drop_job(&Job::Clusters(key.clone()), update);
                    self.drop_job(&Job::Assignments(key.clone()), update);
                }
            }
            let changed = self.services.iter().filter(|(key, it)| old.get(*key) != Some(*it));
            dirty.extend(changed.map(|(key, _)| Job::Clusters(key.clone())));
            self.scope = Some(scope);
        }
        Some(special.into_iter().map(|it| (ResourceKind::Cluster, it)).collect())
    }

    fn run_listeners(
        &mut self,
        reader: &Reader<'_>,
        dirty: &mut BTreeSet<Job>,
        update: &mut Update,
        counters: &Counters,
    ) -> Option<Vec<(ResourceKind, Compiled)>> {
        let (client, _) = self.outbound()?;
        let scope = self.scope.clone()?;
        let plan = plan_outbound(&scope, client, reader);
        let routes: BTreeSet<Arc<str>> =
            plan.routes.iter().map(|name| Arc::from(name.as_str())).collect();
        let gone: Vec<Arc<str>> =
            self.route_inputs.keys().filter(|name| !routes.contains(*name)).cloned().collect();
        for name in gone {
            self.route_inputs.remove(&name);
            self.hosts.remove(&name);
            dirty.remove(&Job::Route(name.clone()));
            self.drop_job(&Job::Route(name), update);
        }
        let come = routes.into_iter().filter(|name| !self.route_inputs.contains_key(name));
        dirty.extend(come.map(Job::Route));
        counters.compiled.inc_by(plan.listeners.len() as u64);
        Some(
            plan.listeners
                .iter()
                .map(|input| (ResourceKind::Listener, compile_listener(input)))
                .collect(),
        )
    }

    fn run_clusters(
        &mut self,
        key: &ServiceKey,
        reader: &Reader<'_>,
        dirty: &mut BTreeSet<Job>,
        counters: &Counters,
    ) -> Option<Vec<(ResourceKind, Compiled)>> {
        let (client, _) = self.outbound()?;
        let service = self.services.get(key)?;
        let rules = select_rules(service, client, reader);
        let mut subsets: Vec<Arc<str>> = vec!["".into()];
        subsets.extend(rules.subsets().into_iter().map(|(name, _)| Arc::from(&*name)));
        let mut compiled = Vec::new();
        let mut assigned = Vec::new();
        for port in service.ports.iter() {
            for subset in &subsets {
                let input = select_cluster(service, port.number, subset, client, reader);
                counters.compiled.inc();
                let Some(cluster) = compile_cluster(&input) else { continue };
                if input.is_eds() {
                    assigned.push((port.number, subset.clone()));
                }
                compiled.push((ResourceKind::Cluster, cluster));
            }
        }
        self.clusters.insert(key.clone(), assigned);
        dirty.insert(Job::Assignments(key.clone()));
        Some(compiled)
    }

    fn run_assignments(
        &self,
        key: &ServiceKey,
        reader: &Reader<'_>,
        counters: &Counters,
    ) -> Option<Vec<(ResourceKind, Compiled)>> {
        let (client, place) = self.outbound()?;
        let service = self.services.get(key)?;
        let clusters = self.clusters.get(key)?;
        Some(
            clusters
                .iter()
                .map(|(port, subset)| {
                    counters.compiled.inc();
                    let place = place.place();
                    let input = select_endpoints(service, *port, subset, client, &place, reader);
                    (ResourceKind::Endpoint, compile_endpoints(&input))
                })
                .collect(),
        )
    }

    fn run_route(
        &mut self,
        name: &Arc<str>,
        reader: &Reader<'_>,
        counters: &Counters,
    ) -> Option<Vec<(ResourceKind, Compiled)>> {
        let (client, _) = self.outbound()?;
        let scope = self.scope.clone()?;
        let input = match RouteName::parse(name) {
            Some(parsed) => select_route(&parsed, &scope, client, reader),
            None => RouteInput::empty(name),
        };
        if self.route_inputs.get(name) == Some(&input) {
            return None;
        }
        counters.compiled.inc();
        let old = self.hosts.remove(name).unwrap_or_default();
        let mut hosts = Hosts::with_capacity(input.virtual_hosts.len());
        let compiled = compile_route(&input, &mut |host| {
            let known = old.get(host).cloned();
            let compiled = known.unwrap_or_else(|| {
                counters.hosts.inc();
                Arc::new(compile_virtual_host(host))
            });
            hosts.insert(host.clone(), compiled.clone());
            compiled
        });
        self.hosts.insert(name.clone(), hosts);
        self.route_inputs.insert(name.clone(), input);
        Some(vec![(ResourceKind::Route, compiled)])
    }

    fn run_inbound(&self, counters: &Counters) -> Option<Vec<(ResourceKind, Compiled)>> {
        let FacetKey::Inbound(input) = &self.key else { return None };
        let listeners = compile_inbound_listeners(input);
        let clusters = compile_inbound_clusters(input);
        counters.compiled.inc_by((listeners.len() + clusters.len()) as u64);
        let listeners = listeners.into_iter().map(|it| (ResourceKind::Listener, it));
        let clusters = clusters.into_iter().map(|it| (ResourceKind::Cluster, it));
        Some(listeners.chain(clusters).collect())
    }
}
