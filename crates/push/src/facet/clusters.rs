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

/// What was compiled for one service.
pub(super) struct MadeClusters {
    made: Made,
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

    /// Compiles the clusters of a service.
    pub(super) fn compile_clusters(
        &self,
        key: &ServiceKey,
        client: &Client,
        tools: Tools<'_>,
    ) -> Option<MadeClusters> {
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
        Some(MadeClusters { made, unplaced, placed })
    }

    /// Takes in what was compiled for a service. Its assignments follow.
    pub(super) fn file_clusters(
        &mut self,
        key: &ServiceKey,
        clusters: MadeClusters,
        dirty: &mut BTreeSet<Job>,
    ) -> Made {
        let MadeClusters { made, unplaced, placed } = clusters;
        if let Some(entry) = self.services.get_mut(key) {
            entry.unplaced = unplaced;
        }
        self.set_placed(key, placed);
        dirty.insert(Job::Assignments(key.clone()));
        made
    }

    pub(super) fn compile_assignments(
        &self,
        key: &ServiceKey,
        client: &Client,
        tools: Tools<'_>,
    ) -> Option<Made> {
        let entry = self.services.get(key)?;
        let place = Place::default();
        Some(assignments(&entry.service, &entry.unplaced, client, &place, tools))
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
