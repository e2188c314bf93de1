//! What is sent ahead while a request waits, so that it waits for one round trip and not for three.
//!
//! - Envoy asks for the assignment of a cluster when it has taken in the cluster. What is right behind the
//!   cluster on the stream it reads after that, when it wants it: an assignment goes out with its cluster,
//!   before it is asked for. What Envoy asks for while it is under way is that; otherwise it may have looked past
//!   it, and is sent it as ever.
//! - A virtual host that answers a question goes out right behind what it leads to, and not when that is
//!   acknowledged, if Envoy can use a cluster as soon as it has read the assignment. One that has to
//!   look up names, check health or fetch a secret is usable later: its acknowledgement says when.
//! - Only of clusters that the proxy never had, and only for what something waits for.

use std::{collections::BTreeSet, sync::Arc};

use compile::Compiled;
use envoy::{
    config::{
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType},
        },
        core::v3::transport_socket::ConfigType,
    },
    extensions::transport_sockets::{raw_buffer::v3::RawBuffer, tls::v3::UpstreamTlsContext},
};
use prost::Message;
use xds::{Protocol, client::secrets_over_ads};

use super::{
    Held, StreamState,
    types::{InFlight, TypeState},
};
use crate::ResourceKind;

impl StreamState {
    /// Of clusters that are about to be sent, those whose assignments go with them.
    pub(super) fn assignments_ahead(
        &self,
        clusters: &[(Arc<str>, Arc<Compiled>)],
    ) -> BTreeSet<Arc<str>> {
        let endpoints = self.of(ResourceKind::Endpoint);
        if self.protocol != Protocol::Delta || !endpoints.requested || endpoints.held.is_due() {
            return BTreeSet::new();
        }
        let is_awaited = self.awaited_clusters();
        let held = &self.of(ResourceKind::Cluster).held;
        let names = clusters.iter().map(|(name, _)| name).filter(|name| {
            is_awaited(name)
                && !held.contains(name)
                && !endpoints.held.is_named(name)
                && self.target(ResourceKind::Endpoint, name).is_some()
        });
        names.cloned().collect()
    }

    /// Whether the proxy can use a cluster by the time that it reads what is sent now.
    pub(super) fn comes_first(&self, cluster: &str) -> bool {
        let held = |kind: ResourceKind| self.of(kind).held.get(cluster);
        let assignments = self.of(ResourceKind::Endpoint).in_flight.as_ref();
        let Some(Held { sent: Some(Some(_)), .. }) = held(ResourceKind::Endpoint) else {
            return false;
        };
        match held(ResourceKind::Cluster) {
            // An assignment before it was for another version, which may be refused.
            Some(Held { sent: Some(Some(sent)), .. }) => {
                assignments.map(|open| open.nonce) > self.open_response(cluster)
                    && self.needs_no_more(&sent)
            }
            Some(Held { sent: None, acknowledged: Some(held), .. }) => self.needs_no_more(&held),
            Some(_) | None => false,
        }
    }

    /// The same of a cluster that was sent and is not acknowledged.
    pub(super) fn sent_needs_no_more(&self, cluster: &str) -> bool {
        let held = self.of(ResourceKind::Cluster).held.get(cluster);
        held.and_then(|it| it.sent).flatten().is_some_and(|sent| self.needs_no_more(&sent))
    }

    /// Whether a cluster can be used as soon as its assignment is there.
    fn needs_no_more(&self, cluster: &Compiled) -> bool {
        let Ok(cluster) = Cluster::decode(cluster.resource.decode_bytes()) else { return false };
        let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
        let sockets = cluster.transport_socket_matches.iter();
        let sockets = sockets.filter_map(|entry| entry.transport_socket.as_ref());
        let mut sockets = sockets.chain(&cluster.transport_socket);
        let has_secret = |name: &str| {
            self.of(ResourceKind::Secret).held.get(name).is_some_and(|it| it.is_live())
        };
        cluster.cluster_discovery_type == Some(eds)
            && cluster.health_checks.is_empty()
            && sockets.all(|socket| match &socket.config_type {
                Some(ConfigType::TypedConfig(any)) => {
                    any.unpack::<RawBuffer>().is_ok()
                        || any.unpack::<UpstreamTlsContext>().is_ok_and(|context| {
                            let secrets = secrets_over_ads(context.common_tls_context);
                            secrets.is_some_and(|names| names.iter().all(|it| has_secret(it)))
                        })
                }
                None => true,
            })
    }
}

impl TypeState {
    /// The proxy asks for a name. Whether what is under way was sent ahead, so that this is the answer.
    pub(super) fn was_sent_ahead(&mut self, name: &str) -> bool {
        let is_ahead = self.ahead.remove(name);
        is_ahead && self.in_flight.iter().any(|open| open.names.iter().any(|it| **it == *name))
    }

    /// A response was answered: takes the names for which the proxy has not asked yet. It may have looked past
    /// them.
    pub(super) fn take_unasked(&mut self, open: &InFlight) -> Vec<Arc<str>> {
        open.names.iter().filter(|name| self.ahead.remove(*name)).cloned().collect()
    }

    /// The proxy counts as not having these, and is sent them when it asks.
    pub(super) fn forget(&mut self, names: &[Arc<str>]) {
        for name in names {
            self.held.remove(name);
            self.rejected.remove(name);
            self.dirty.remove(name);
            self.force.remove(name);
        }
    }
}
