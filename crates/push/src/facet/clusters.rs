//! The clusters and assignments of a facet: what outbound facets and gateways have in common.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::{
    Client, ClusterRef,
    cluster::select_cluster,
    endpoint::{Place, place_needs, select_endpoints},
    every_cluster,
    traffic_policy::select_rules,
};
use model::{Map, Service, ServiceKey, Shared};

use super::{
    Job, Made, Tools, Work,
    placed::{PlacedService, PlacedServices},
};
use crate::ResourceKind;

/// Which clusters of a service there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// One for each port and subset.
    All,
    Only(BTreeSet<ClusterRef>),
}

#[derive(Clone, Debug)]
struct Entry {
    service: Shared<Service>,
    wanted: Wanted,
    /// The clusters whose assignments are the same wherever a proxy runs.
    unplaced: Vec<ClusterRef>,
}

/// What a job has compiled for its service.
pub(super) struct MadeService {
    made: Made,
    clusters: Option<MadeClusters>,
}

/// Which clusters of a service were made.
struct MadeClusters {
    service: ServiceKey,
    unplaced: Vec<ClusterRef>,
    placed: Option<PlacedService>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Clusters {
    services: Map<ServiceKey, Entry>,
    placed: Arc<PlacedServices>,
}

impl Clusters {
    pub(super) fn placed(&self) -> &Arc<PlacedServices> {
        &self.placed
    }

    /// Replaces the services. Jobs follow for those that are new or changed, and end for others.
    pub(super) fn set_services(
        &mut self,
        new: BTreeMap<ServiceKey, (Shared<Service>, Wanted)>,
        work: &mut Work<'_>,
    ) {
        let gone: Vec<ServiceKey> =
            self.services.keys().filter(|key| !new.contains_key(*key)).cloned().collect();
        for key in gone {
            self.services.remove(&key);
            self.set_placed(&key, None);
            work.drop_job(Job::Clusters(key.clone()));
            work.drop_job(Job::Assignments(key));
        }
        for (key, (service, wanted)) in new {
            let known = self.services.get(&key);
            if known.is_some_and(|known| known.service == service && known.wanted == wanted) {
                continue;
            }
            let unplaced = self.services.remove(&key).map(|it| it.unplaced).unwrap_or_default();
            self.services.insert(key.clone(), Entry { service, wanted, unplaced });
            work.dirty.insert(Job::Clusters(key));
        }
    }

    /// Runs the job of a service: its clusters, or its assignments.
    pub(super) fn run(&mut self, job: &Job, client: &Client, work: &mut Work<'_>) -> Option<Made> {
        let made = self.compile(job, client, work.tools())?;
        Some(self.file(made, work.dirty))
    }

    /// Compiles what the job of a service makes. Jobs of several services may do so at once.
    pub(super) fn compile(
        &self,
        job: &Job,
        client: &Client,
        tools: Tools<'_>,
    ) -> Option<MadeService> {
        match job {
            Job::Clusters(key) => self.compile_clusters(key, client, tools),
            Job::Assignments(key) => self.compile_assignments(key, client, tools),
            _ => None,
        }
    }

    /// Takes in what was compiled for a service. After its clusters, its assignments follow.
    pub(super) fn file(&mut self, compiled: MadeService, dirty: &mut BTreeSet<Job>) -> Made {
        let MadeService { made, clusters } = compiled;
        if let Some(MadeClusters { service, unplaced, placed }) = clusters {
            if let Some(entry) = self.services.get_mut(&service) {
                entry.unplaced = unplaced;
            }
            self.set_placed(&service, placed);
            dirty.insert(Job::Assignments(service));
        }
        made
    }

    fn compile_clusters(
        &self,
        key: &ServiceKey,
        client: &Client,
        tools: Tools<'_>,
    ) -> Option<MadeService> {
        let Tools { reader, memos, counters } = tools;
        let entry = self.services.get(key)?;
        let service = &entry.service;
        let rules = select_rules(service, client, reader);
        let wanted: BTreeSet<ClusterRef> = match &entry.wanted {
            Wanted::All => every_cluster(service, &rules),
            Wanted::Only(wanted) => wanted.clone(),
        };
        let (mut made, mut unplaced, mut placed) = (Made::new(), Vec::new(), Vec::new());
        let mut needs = compile::endpoint::PlaceNeeds::default();
        for cluster in wanted {
            let ClusterRef { form, port, subset } = &cluster;
            let input = select_cluster(service, *port, subset, client, reader);
            let is_eds = input.is_eds();
            let compiled = memos.clusters.try_compile(&(*form, input), |(form, input)| {
                counters.compiled.inc();
                form.compile_cluster(input)
            });
            let Some(compiled) = compiled else { continue };
            made.push((ResourceKind::Cluster, compiled));
            if !is_eds {
                continue;
            }
            let own = place_needs(service, *port, subset, &rules, reader.mesh());
            match own.is_empty() {
                true => unplaced.push(cluster),
                false => {
                    needs.extend(&own);
                    placed.push(cluster);
                }
            }
        }
        let placed = (!placed.is_empty()).then(|| PlacedService {
            service: service.clone(),
            needs,
            clusters: placed,
        });
        let clusters = Some(MadeClusters { service: key.clone(), unplaced, placed });
        Some(MadeService { made, clusters })
    }

    fn compile_assignments(
        &self,
        key: &ServiceKey,
        client: &Client,
        tools: Tools<'_>,
    ) -> Option<MadeService> {
        let entry = self.services.get(key)?;
        let place = Place::default();
        let made = assignments(&entry.service, &entry.unplaced, client, &place, tools);
        Some(MadeService { made, clusters: None })
    }

    fn set_placed(&mut self, key: &ServiceKey, new: Option<PlacedService>) {
        if self.placed.get(key) == new.as_ref() {
            return;
        }
        Arc::make_mut(&mut self.placed).set(key, new);
    }
}

/// The assignments of some clusters of a service.
pub(super) fn assignments(
    service: &Shared<Service>,
    clusters: &[ClusterRef],
    client: &Client,
    place: &Place,
    tools: Tools<'_>,
) -> Made {
    let Tools { reader, memos, counters } = tools;
    let mut made = Made::with_capacity(clusters.len());
    for ClusterRef { form, port, subset } in clusters {
        let input = select_endpoints(service, *port, subset, client, place, reader);
        let compiled = memos.assignments.get_or_compile(&(*form, input), |(form, input)| {
            counters.compiled.inc();
            form.compile_endpoints(input)
        });
        made.push((ResourceKind::Endpoint, compiled));
    }
    made
}
