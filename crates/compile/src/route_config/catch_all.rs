//! The last virtual host: what happens to requests for unknown hosts.

use std::sync::Arc;

use bytes::Bytes;
use envoy::config::route::v3::{
    DirectResponseAction, Route, VirtualHost, route::Action, route_action::ClusterSpecifier,
};

use crate::{
    names::{DYNAMIC_DNS_CLUSTER, PASSTHROUGH_CLUSTER},
    route::every_path,
    route::forward,
    virtual_host::encode_field,
};

/// Where requests for unknown hosts go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CatchAll {
    /// No such host: Envoy answers 404.
    None,
    /// Refused with 502.
    Block,
    /// On to where they were going.
    Passthrough,
    /// To where the Host header resolves.
    DynamicDns,
    /// To this cluster (`egressProxy` of a Sidecar).
    Cluster(Arc<str>),
}

impl CatchAll {
    pub(super) fn cluster(&self) -> Option<Arc<str>> {
        match self {
            Self::None | Self::Block => None,
            Self::Passthrough => Some(PASSTHROUGH_CLUSTER.into()),
            Self::DynamicDns => Some(DYNAMIC_DNS_CLUSTER.into()),
            Self::Cluster(name) => Some(name.clone()),
        }
    }

    /// The encoded field of a route configuration, if there is one.
    pub(super) fn encode(&self, counts_attempts: bool) -> Option<Bytes> {
        self.host("*", counts_attempts).map(|host| encode_field(&host))
    }

    /// The host for what a domain stands for.
    pub(super) fn host(&self, domain: &str, counts_attempts: bool) -> Option<VirtualHost> {
        let (name, action) = match (self, self.cluster()) {
            (Self::None, _) => return None,
            (_, Some(cluster)) => {
                let mut action = forward(None);
                action.cluster_specifier = Some(ClusterSpecifier::Cluster(cluster.to_string()));
                ("allow_any", Action::Route(action))
            }
            (_, None) => {
                let refusal =
                    DirectResponseAction { status: 502, ..DirectResponseAction::default() };
                ("block_all", Action::DirectResponse(refusal))
            }
        };
        let route = Route {
            name: name.to_owned(),
            r#match: Some(every_path()),
            action: Some(action),
            ..Route::default()
        };
        Some(VirtualHost {
            name: name.to_owned(),
            domains: vec![domain.to_owned()],
            routes: vec![route],
            include_request_attempt_count: counts_attempts,
            ..VirtualHost::default()
        })
    }
}
