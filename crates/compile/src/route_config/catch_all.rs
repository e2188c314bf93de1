//! The last virtual host: what happens to requests for unknown hosts.

use std::{collections::BTreeSet, sync::Arc};

use envoy::config::route::v3::{
    DirectResponseAction, Route, VirtualHost, route::Action, route_action::ClusterSpecifier,
};

use super::RouteInput;
use crate::{
    lazy_gateway::UNKNOWN_ROUTE,
    names::{DYNAMIC_DNS_CLUSTER, PASSTHROUGH_CLUSTER},
    route::every_path,
    route::forward,
};

/// Where requests for unknown hosts go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CatchAll {
    /// No such host: Envoy answers 404.
    None,
    /// Refused with 502.
    Block,
    /// The lazy gateway knows no such host: its callers may try elsewhere.
    Unknown,
    /// On to where they were going.
    Passthrough,
    /// To where the Host header resolves.
    DynamicDns,
    /// To this cluster (`egressProxy` of a Sidecar).
    Cluster(Arc<str>),
}

impl CatchAll {
    fn cluster(&self) -> Option<Arc<str>> {
        match self {
            Self::None | Self::Block | Self::Unknown => None,
            Self::Passthrough => Some(PASSTHROUGH_CLUSTER.into()),
            Self::DynamicDns => Some(DYNAMIC_DNS_CLUSTER.into()),
            Self::Cluster(name) => Some(name.clone()),
        }
    }

    /// What happens to all requests; `None` where Envoy answers by itself.
    fn route(&self) -> Option<Route> {
        let (name, action) = match (self, self.cluster()) {
            (Self::None, _) => return None,
            (_, Some(cluster)) => {
                let mut action = forward(None);
                action.cluster_specifier = Some(ClusterSpecifier::Cluster(cluster.to_string()));
                ("allow_any", Action::Route(action))
            }
            (own, None) => {
                let refusal =
                    DirectResponseAction { status: 502, ..DirectResponseAction::default() };
                let name = if *own == Self::Unknown { UNKNOWN_ROUTE } else { "block_all" };
                (name, Action::DirectResponse(refusal))
            }
        };
        Some(Route {
            name: name.to_owned(),
            r#match: Some(every_path()),
            action: Some(action),
            ..Route::default()
        })
    }
}

impl RouteInput {
    /// The host for what a domain stands for, if nothing defines it.
    pub(super) fn last_host(&self, domain: &str) -> Option<VirtualHost> {
        let last = self.catch_all.route()?;
        let dispatched = self.dispatches.iter().map(|it| it.compile(&last));
        Some(VirtualHost {
            name: last.name.clone(),
            domains: vec![domain.to_owned()],
            routes: dispatched.chain([last.clone()]).collect(),
            include_request_attempt_count: self.counts_attempts,
            ..VirtualHost::default()
        })
    }

    /// The clusters that it names, sorted.
    pub(super) fn last_clusters(&self) -> Vec<Arc<str>> {
        let dispatched = self.dispatches.iter().filter_map(|it| it.cluster.clone());
        let clusters: BTreeSet<Arc<str>> = dispatched.chain(self.catch_all.cluster()).collect();
        clusters.into_iter().collect()
    }
}
