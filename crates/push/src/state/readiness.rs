//! Whether a listener or a route may be sent: make before break.

use std::{collections::BTreeSet, sync::Arc};

use compile::{Compiled, RouteParts, with_domains_of};

use super::StreamState;
use crate::{ResourceKind, kind::split_host};

/// What may be sent of a listener or a route.
pub(super) enum Sendable {
    All,
    /// It will be, once the proxy has answered what it was sent.
    Later,
    /// Until these clusters exist, only this much: the rest stays as it was.
    Partly(Arc<Compiled>, BTreeSet<Arc<str>>),
}

/// Whether traffic may be sent to a cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readiness {
    Ready,
    /// It was sent, or is about to be.
    Coming,
    /// Nothing defines it, the proxy has refused it, or it was waited for long enough.
    Missing,
}

impl StreamState {
    /// What may be sent of `target`.
    ///
    /// - Clusters that are on their way are waited for.
    /// - A cluster that does not exist cannot be waited for. If the proxy holds an older version
    ///   that does not name it, whatever names it stays as it was: of a route configuration, the
    ///   virtual hosts concerned. So it does not matter whether a subset or the rule that names it
    ///   is written first, and a mistake breaks no traffic that worked.
    /// - A proxy that holds nothing yet is sent everything: Envoy answers 503 by itself.
    pub(super) fn sendable(
        &self,
        kind: ResourceKind,
        name: &str,
        target: &Arc<Compiled>,
    ) -> Sendable {
        if kind == ResourceKind::VirtualHost && !self.holds_route_of(name) {
            return Sendable::Later;
        }
        // The usual case, in which no cluster is looked at.
        if self.has_all_clusters() && self.views.is_closed(target) {
            return Sendable::All;
        }
        let unready: Vec<(&Arc<str>, Readiness)> = target
            .clusters
            .iter()
            .map(|cluster| (cluster, self.readiness(cluster)))
            .filter(|(_, readiness)| *readiness != Readiness::Ready)
            .collect();
        let coming = unready.iter().any(|(_, readiness)| *readiness == Readiness::Coming);
        let base = self.of(kind).held.get(name).and_then(|held| held.acknowledged);
        let Some(base) = base else {
            let is_answer = kind == ResourceKind::VirtualHost && self.is_awaited(name);
            let follows = || unready.iter().all(|(cluster, _)| self.comes_first(cluster));
            let coming = coming && !(is_answer && follows());
            return if coming { Sendable::Later } else { Sendable::All };
        };
        let missing: BTreeSet<Arc<str>> = unready
            .iter()
            .filter(|(name, readiness)| {
                *readiness == Readiness::Missing && !base.clusters.contains(*name)
            })
            .map(|(name, _)| (*name).clone())
            .collect();
        if missing.is_empty() {
            return if coming { Sendable::Later } else { Sendable::All };
        }
        match self.without(target, &base, &missing) {
            Some(rest) if self.waits(&rest) => Sendable::Later,
            Some(rest) => Sendable::Partly(Arc::new(rest), missing),
            None => {
                let is_host = kind == ResourceKind::VirtualHost;
                let moved = is_host.then(|| with_domains_of(&base, target)).flatten();
                Sendable::Partly(moved.map_or(base, Arc::new), missing)
            }
        }
    }

    /// Whether the proxy has, or has been sent, the route configuration that a virtual host is of:
    /// before it, the host would be nobody's.
    fn holds_route_of(&self, host: &str) -> bool {
        let route = split_host(host).map(|(route, _)| route);
        route.is_some_and(|route| self.of(ResourceKind::Route).held.contains(route))
    }

    fn waits(&self, compiled: &Compiled) -> bool {
        compiled.clusters.iter().any(|it| self.readiness(it) == Readiness::Coming)
    }

    /// `target` with the hosts of `base` where its own name missing clusters. A new host is left out if it leads
    /// nowhere.
    fn without(
        &self,
        target: &Compiled,
        base: &Compiled,
        missing: &BTreeSet<Arc<str>>,
    ) -> Option<Compiled> {
        let (target, base) = (target.parts.as_ref()?, base.parts.as_ref()?);
        let hosts = target.hosts.iter().filter_map(|host| {
            let leads =
                |is_missing| host.clusters.iter().any(|it| missing.contains(it) == is_missing);
            let old = || base.hosts.iter().find(|it| it.name == host.name);
            match (leads(true), leads(false)) {
                (false, _) => Some(host.clone()),
                // Without it, all that it leads to would be reached past it, or not at all.
                (true, true) => Some(old().unwrap_or(host).clone()),
                (true, false) => old().cloned(),
            }
        });
        let hosts = hosts.collect();
        let mut last = target.last.iter().flat_map(|last| &last.clusters);
        let last = match last.any(|cluster| missing.contains(cluster)) {
            true => &base.last,
            false => &target.last,
        };
        RouteParts { last: last.clone(), ..(**target).clone() }.with_hosts(hosts)
    }

    fn readiness(&self, cluster: &str) -> Readiness {
        let live =
            |kind: ResourceKind| self.of(kind).held.get(cluster).is_some_and(|held| held.is_live());
        let clusters = self.of(ResourceKind::Cluster);
        let target = self.target(ResourceKind::Cluster, cluster);
        // gRPC asks for a cluster only once it has the route. One that came back may ask for what a call waits
        // for before all else.
        let will_ask = self.resuming && !clusters.requested;
        if !clusters.wants(cluster) && !will_ask {
            return Readiness::Ready;
        }
        let endpoints = self.of(ResourceKind::Endpoint);
        let needs_endpoints = match endpoints.requested {
            // What the proxy holds may be another form than the target.
            true => {
                endpoints.held.is_named(cluster)
                    || self.target(ResourceKind::Endpoint, cluster).is_some()
            }
            // One that came back may ask for assignments last, and hold clusters that wait for theirs.
            false => self.resuming,
        };
        let has_cluster = live(ResourceKind::Cluster);
        // One that nothing defines any more may wait for an assignment that will not come.
        let needs_none = !needs_endpoints && target.is_some();
        if has_cluster && (needs_none || live(ResourceKind::Endpoint)) {
            return Readiness::Ready;
        }
        let refused = |kind: ResourceKind| {
            let version = self.target(kind, cluster).map(|it| it.resource.version());
            !live(kind) && version.is_some() && self.of(kind).has_refused(cluster, version)
        };
        let is_refused = refused(ResourceKind::Cluster) || refused(ResourceKind::Endpoint);
        match target {
            Some(_) if !is_refused && !self.is_late(cluster) => Readiness::Coming,
            _ => Readiness::Missing,
        }
    }

    /// Whether something that the proxy holds or should hold sends traffic to this cluster.
    pub(super) fn is_referenced(&self, cluster: &str) -> bool {
        // What agrees with the views is found there; only what differs is looked at one by one.
        self.resuming
            || self.views.reference(cluster)
            || ResourceKind::ALL.into_iter().filter(|kind| kind.names_clusters()).any(|kind| {
                let state = self.of(kind);
                if state.held.sends_reference(cluster) {
                    return true;
                }
                let differing = state.dirty.iter().chain(state.rejected.keys());
                let open = state.in_flight.iter().flat_map(|open| &open.names);
                let names =
                    differing.chain(state.held_back.keys()).chain(state.kept.keys()).chain(open);
                names.filter_map(|name| state.held.get(name)).any(|held| {
                    held.is_unknown()
                        || held.versions().any(|it| it.clusters.iter().any(|it| &**it == cluster))
                })
            })
    }
}
