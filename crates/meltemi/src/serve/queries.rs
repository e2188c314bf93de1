//! `Queries/Report`: names that applications look up, before they connect.
//!
//! - Whoever answers an application's queries (DNS, or a registry's client) says so in the name of its
//!   proxy, and must prove the same as that. It is answered when the proxies of the workload have
//!   acknowledged what was looked up, so that it can hold its own answer for so long.
//! - What no service is called is of no interest, and not kept.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use envoy::config::core::v3::Node;
use model::{Hostname, WorkloadKey};
use prost::Message;
use push::{Access, EngineHandle, StreamRegistry, proxy_of};
use scope::{ScopeHandle, Sensor, complete_host};
use snapshot::{Reader, Snapshot};
use tokio::time;
use xds::{Code, PeerInfo, Status, UnaryAnswer, UnaryMethod};

use super::places::NewestPlaces;

/// Names of one report that are looked at.
const MAX_NAMES: usize = 256;
/// Envoy acknowledges a listener before its workers have it.
const HANDOVER: Duration = Duration::from_millis(5);
/// What a workload has called for so long, its proxies were told.
const TOLD: Duration = Duration::from_secs(10);
/// How long an answer waits at most: whoever asks has somebody waiting too.
const WAIT: Duration = Duration::from_secs(1);

/// What was looked up.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct QueryReport {
    /// Of the proxy beside the application.
    #[prost(message, optional, tag = "1")]
    pub(super) node: Option<Node>,
    /// As they were asked for.
    #[prost(string, repeated, tag = "2")]
    pub(super) names: Vec<String>,
}

/// What came of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct QueryReportAnswer {
    /// How many services were meant.
    #[prost(uint32, tag = "1")]
    pub(super) services: u32,
}

/// The method, to be mounted on the port of the ADS streams.
pub(super) struct QueryService {
    pub(super) access: Access,
    pub(super) mesh: NewestPlaces,
    pub(super) scope: ScopeHandle,
    pub(super) engine: EngineHandle,
    pub(super) streams: StreamRegistry,
}

impl UnaryMethod for QueryService {
    fn path(&self) -> &'static str {
        "/meltemi.scope.v1.Queries/Report"
    }

    fn call(&self, peer: PeerInfo, message: Bytes) -> UnaryAnswer<'_> {
        Box::pin(async move { self.take(&peer, message).await })
    }
}

impl QueryService {
    async fn take(&self, peer: &PeerInfo, message: Bytes) -> Result<Bytes, Status> {
        let unusable = |why: String| Status::new(Code::InvalidArgument, why);
        let caller = self.access.admit(peer).await?;
        if caller.proof.as_ref().is_some_and(|proof| proof.expires <= SystemTime::now()) {
            return Err(Status::new(Code::Unauthenticated, "what proves the identity has expired"));
        }
        let report = QueryReport::decode(message)
            .map_err(|_| unusable("it is no report of queries".to_owned()))?;
        let node = report.node.as_ref();
        let node = node.ok_or_else(|| unusable("a report must carry its node".to_owned()))?;
        let proxy = proxy_of(node).map_err(unusable)?;
        let Some(places) = self.mesh.get() else {
            return Err(Status::new(Code::Unavailable, "the mesh is not known yet"));
        };
        caller.may_be(&proxy, places.snapshot.mesh())?;
        let names = report.names.iter().take(MAX_NAMES);
        let hosts: BTreeSet<Hostname> =
            names.filter_map(|name| complete_host(name, &proxy.namespace, &*places)).collect();
        let services = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        // Somebody who waits too long is better answered: its connection is learned from.
        let _ = time::timeout(WAIT, self.learn(&proxy.workload(), hosts)).await;
        Ok(QueryReportAnswer { services }.encode_to_vec().into())
    }

    /// Returns when the proxies of the workload have taken what they were told: a connection that begins then
    /// finds its listener.
    async fn learn(&self, workload: &WorkloadKey, hosts: BTreeSet<Hostname>) {
        if hosts.is_empty() {
            return;
        }
        let calls = hosts.iter().map(|host| (workload.clone(), host.clone(), 1)).collect();
        if self.scope.learn(calls, Sensor::Dns).await.is_err() {
            return;
        }
        // What was too much for the workload is not learned.
        let Ok(edges) = self.scope.edges(workload).await else { return };
        let edges = edges.into_iter().map(|edge| (edge.host, edge.first_seen));
        let expected = news(edges, &hosts, SystemTime::now());
        if expected.is_empty() {
            return;
        }
        let knows = |snapshot: &Option<Arc<Snapshot>>| {
            let Some(snapshot) = snapshot else { return false };
            let reader = Reader::new(snapshot);
            let learned = reader.learned(workload);
            expected.iter().all(|host| learned.is_some_and(|hosts| hosts.contains(host)))
        };
        let mut snapshots = self.mesh.snapshots();
        let Ok(revision) =
            snapshots.wait_for(knows).await.map(|it| it.as_ref().map_or(0, |it| it.revision))
        else {
            return;
        };
        self.engine.settled(revision).await;
        self.streams.taken(workload).await;
        time::sleep(HANDOVER).await;
    }
}

/// Of what was looked up, what proxies may not have been told yet. Edges come with when they were first seen, in
/// seconds since 1970.
fn news(
    edges: impl Iterator<Item = (Hostname, u64)>,
    hosts: &BTreeSet<Hostname>,
    now: SystemTime,
) -> Vec<Hostname> {
    let told = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(TOLD).as_secs();
    let new = edges.filter(|(host, first_seen)| *first_seen > told && hosts.contains(host));
    new.map(|(host, _)| host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_up_what_its_workload_called_long_ago_waits_for_nobody() {
        let edges = [("old", 100), ("new", 195), ("other", 195)];
        let edges = edges.into_iter().map(|(host, first_seen)| (host.into(), first_seen));
        let hosts = ["old", "new", "too-much"].map(Hostname::from).into();
        let now = UNIX_EPOCH + Duration::from_secs(200);
        assert_eq!(news(edges, &hosts, now), [Hostname::from("new")]);
    }
}
