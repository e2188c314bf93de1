//! The assignments that depend on where a proxy runs: its locality, its node, some of its labels.
//!
//! Most services have none, so proxies in many places share one big facet, and each place adds a
//! small one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::{
    Client, ClusterRef,
    endpoint::{Place, PlaceNeeds},
};
use model::{Proxy, Service, ServiceKey, Shared};

use super::{Job, Jobs, Made, Work, clusters::assignments};
use crate::FacetView;

/// One service with clusters whose assignments depend on the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedService {
    pub(super) service: Shared<Service>,
    pub(super) needs: PlaceNeeds,
    pub(super) clusters: Vec<ClusterRef>,
}

/// All of them in a facet, and what they depend on together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlacedServices {
    services: BTreeMap<ServiceKey, PlacedService>,
    needs: PlaceNeeds,
}

impl PlacedServices {
    pub(super) fn get(&self, key: &ServiceKey) -> Option<&PlacedService> {
        self.services.get(key)
    }

    pub(super) fn set(&mut self, key: &ServiceKey, new: Option<PlacedService>) {
        match new {
            Some(new) => self.services.insert(key.clone(), new),
            None => self.services.remove(key),
        };
        self.needs = PlaceNeeds::default();
        for service in self.services.values() {
            self.needs.extend(&service.needs);
        }
    }

    /// The part of a proxy's place that the assignments depend on; `None` if on nothing.
    pub(crate) fn place_of(&self, proxy: &Proxy) -> Option<Place> {
        let PlaceNeeds { locality, node, labels } = &self.needs;
        let own = proxy.labels.iter().filter(|(key, _)| labels.contains(*key));
        (!self.needs.is_empty()).then(|| Place {
            locality: locality.then(|| proxy.locality.clone()).unwrap_or_default(),
            node_name: node.then(|| proxy.node_name.clone()).unwrap_or_default(),
            labels: own.collect(),
        })
    }
}

#[derive(Clone, Debug)]
pub(super) struct Placed {
    client: Client,
    place: Place,
    services: Arc<PlacedServices>,
    /// Services that have left since a job ran.
    gone: Vec<ServiceKey>,
}

impl Placed {
    pub(super) fn new(client: Client, place: Place) -> Self {
        Self { client, place, services: Arc::default(), gone: Vec::new() }
    }

    /// Takes over what the facet beside has found. Says which jobs follow.
    pub(super) fn follow(&mut self, new: Arc<PlacedServices>) -> BTreeSet<Job> {
        let old = std::mem::replace(&mut self.services, new);
        let new = &self.services.services;
        let gone = old.services.keys().filter(|key| !new.contains_key(*key));
        let come = new.iter().filter(|(key, it)| old.get(key) != Some(*it)).map(|(key, _)| key);
        self.gone.extend(gone.cloned());
        self.gone.iter().chain(come).cloned().map(Job::Assignments).collect()
    }
}

impl Jobs for Placed {
    fn run(&mut self, job: &Job, _view: &FacetView, work: &mut Work<'_>) -> Option<Made> {
        let Job::Assignments(key) = job else { return None };
        // These go first: another service may have taken over the host, and so the name.
        for gone in self.gone.drain(..).filter(|key| self.services.get(key).is_none()) {
            work.drop_job(Job::Assignments(gone));
        }
        let PlacedService { service, clusters, .. } = self.services.get(key)?;
        Some(assignments(service, clusters, &self.client, &self.place, work.tools()))
    }
}
