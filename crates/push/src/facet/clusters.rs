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
    Job, Made, Work,
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

    pub(super) fn run_clusters(
        &mut self,
        key: &ServiceKey,
        client: &Client,
        work: &mut Work<'_>,
    ) -> Option<Made> {
        let entry = self.services.get_mut(key)?;
        let service = &entry.service;
        let rules = select_rules(service, client, work.reader);
        let wanted: BTreeSet<ClusterRef> = match &entry.wanted {
            Wanted::All => every_cluster(service, &rules),
            Wanted::Only(wanted) => wanted.clone(),
        };
        let (mut made, mut unplaced, mut placed) = (Made::new(), Vec::new(), Vec::new());
        let mut needs = compile::endpoint::PlaceNeeds::default();
        for cluster in wanted {
            let ClusterRef { form, port, subset } = &cluster;
            let input = select_cluster(service, *port, subset, client, work.reader);
            let is_eds = input.is_eds();
            let counters = work.counters;
            let compiled = work.memos.clusters.try_compile(&(*form, input), |(form, input)| {
                counters.compiled.inc();
                form.compile_cluster(input)
            });
            let Some(compiled) = compiled else { continue };
            made.push((ResourceKind::Cluster, compiled));
            if !is_eds {
                continue;
            }
            let own = place_needs(service, *port, subset, &rules, work.reader.mesh());
            match own.is_empty() {
                true => unplaced.push(cluster),
                false => {
                    needs.extend(&own);
                    placed.push(cluster);
                }
            }
        }
        entry.unplaced = unplaced;
        let placed = (!placed.is_empty()).then(|| PlacedService {
            service: service.clone(),
            needs,
            clusters: placed,
        });
        self.set_placed(key, placed);
        work.dirty.insert(Job::Assignments(key.clone()));
        Some(made)
    }

    fn set_placed(&mut self, key: &ServiceKey, new: Option<PlacedService>) {
        if self.placed.get(key) == new.as_ref() {
            return;
        }
        Arc::make_mut(&mut self.placed).set(key, new);
    }

    pub(super) fn run_assignments(
        &self,
        key: &ServiceKey,
        client: &Client,
        work: &mut Work<'_>,
    ) -> Option<Made> {
        let entry = self.services.get(key)?;
        let place = Place::default();
        Some(assignments(&entry.service, &entry.unplaced, client, &place, work))
    }
}

/// The assignments of some clusters of a service.
pub(super) fn assignments(
    service: &Shared<Service>,
    clusters: &[ClusterRef],
    client: &Client,
    place: &Place,
    work: &mut Work<'_>,
) -> Made {
    let mut made = Made::with_capacity(clusters.len());
    for ClusterRef { form, port, subset } in clusters {
        let input = select_endpoints(service, *port, subset, client, place, work.reader);
        let counters = work.counters;
        let compiled = work.memos.assignments.get_or_compile(&(*form, input), |(form, input)| {
            counters.compiled.inc();
            form.compile_endpoints(input)
        });
        made.push((ResourceKind::Endpoint, compiled));
    }
    made
}
