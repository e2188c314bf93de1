//! The DestinationRules for a service → the policy in force for one of its ports and subsets.
//!
//! - Several rules for one host act as one: subsets are united, the first of a name wins, and the
//!   first traffic policy wins.
//! - A subset's policy replaces the service's block by block; settings of a port replace pools,
//!   balancing, ejection and TLS together, so that an absent block means its default.
//! - The mesh's own settings fill in pools and ejection that nothing else says.
//! - Not here: which rules apply (`snapshot`), what Envoy is told (`cluster`, `endpoint`).

mod locality;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use api::istio::{
    destination_rule::Subset,
    load_balancer::LoadBalancerSettings,
    mesh_config::DefaultTrafficPolicy,
    traffic_policy::{
        ClientTlsSettings, ConnectionPoolSettings, OutlierDetection, ProxyProtocol, RetryBudget,
        TrafficPolicy, TunnelSettings,
    },
};
use model::{Labels, ObjectKey, Service, Shared};
use snapshot::{DestinationRuleRecord, Mesh, Reader};

pub(crate) use locality::{
    CLUSTER_LABEL, HOST_LABEL, LocalitySettings, NETWORK_LABEL, REGION_LABEL, SUBZONE_LABEL,
    ZONE_LABEL,
};

use crate::Client;

/// The DestinationRules for one service as one class of clients has them, first to win first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    pub records: Vec<Shared<DestinationRuleRecord>>,
    /// The mesh's settings, for what no rule says.
    pub defaults: Option<Arc<DefaultTrafficPolicy>>,
}

/// What is in force for one port of a service, or of a subset.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Policy<'a> {
    pub load_balancer: Option<&'a LoadBalancerSettings>,
    pub connection_pool: Option<&'a ConnectionPoolSettings>,
    pub outlier_detection: Option<&'a OutlierDetection>,
    pub tls: Option<&'a ClientTlsSettings>,
    pub tunnel: Option<&'a TunnelSettings>,
    pub proxy_protocol: Option<&'a ProxyProtocol>,
    pub retry_budget: Option<&'a RetryBudget>,
}

/// Selects the rules for a service.
pub fn select_rules(service: &Service, client: &Client, reader: &Reader<'_>) -> Rules {
    let records = reader.destination_rules(&service.key, &client.namespace, &client.labels);
    let defaults = reader.mesh().config.default_traffic_policy.clone();
    Rules { records, defaults }
}

impl Rules {
    /// Names and labels of the subsets, in the order in which they are written.
    pub fn subsets(&self) -> Vec<(Arc<str>, Labels)> {
        let mut found: Vec<(Arc<str>, Labels)> = Vec::new();
        for subset in self.records.iter().flat_map(|record| &record.spec.subsets) {
            if !found.iter().any(|(name, _)| **name == subset.name) {
                found.push((subset.name.as_str().into(), labels(subset)));
            }
        }
        found
    }

    /// The labels of a subset; those of the empty name, the whole service, are empty.
    pub fn subset_labels(&self, name: &str) -> Option<Labels> {
        if name.is_empty() {
            return Some(Labels::default());
        }
        self.subset(name).map(labels)
    }

    /// The objects that the rules were made from.
    pub fn origins(&self) -> Vec<ObjectKey> {
        self.records.iter().map(|record| record.key.clone()).collect()
    }

    /// The policy in force for a port; an empty subset is the whole service.
    pub fn policy(&self, port: u16, subset: &str) -> Policy<'_> {
        let general = self.records.iter().find_map(|record| record.spec.traffic_policy.as_ref());
        let chosen = self.subset(subset).and_then(|it| it.traffic_policy.as_ref());
        let layers = general.into_iter().chain(chosen);
        let policy = layers.fold(Policy::default(), |policy, layer| policy.overlaid(layer, port));
        let defaults = self.defaults.as_deref();
        Policy {
            connection_pool: policy
                .connection_pool
                .or(defaults.and_then(|it| it.connection_pool.as_ref())),
            outlier_detection: policy
                .outlier_detection
                .or(defaults.and_then(|it| it.outlier_detection.as_ref())),
            ..policy
        }
    }

    fn subset(&self, name: &str) -> Option<&Subset> {
        if name.is_empty() {
            return None;
        }
        self.records.iter().flat_map(|record| &record.spec.subsets).find(|it| it.name == name)
    }
}

fn labels(subset: &Subset) -> Labels {
    subset.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

impl<'a> Policy<'a> {
    /// Whether endpoints that are not ready are sent, marked as such: Envoy then keeps connections
    /// to them. With a health threshold it may use them in panic, so they are left out.
    pub(crate) fn sends_unhealthy(&self, mesh: &Mesh) -> bool {
        mesh.features.flag("PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS", true)
            && self.outlier_detection.is_none_or(|it| it.min_health_percent <= 0)
    }

    fn overlaid(self, layer: &'a TrafficPolicy, port: u16) -> Self {
        let merged = Self {
            load_balancer: layer.load_balancer.as_ref().or(self.load_balancer),
            connection_pool: layer.connection_pool.as_ref().or(self.connection_pool),
            outlier_detection: layer.outlier_detection.as_ref().or(self.outlier_detection),
            tls: layer.tls.as_ref().or(self.tls),
            tunnel: layer.tunnel.as_ref().or(self.tunnel),
            proxy_protocol: layer.proxy_protocol.as_ref().or(self.proxy_protocol),
            retry_budget: layer.retry_budget.as_ref().or(self.retry_budget),
        };
        let own = layer
            .port_level_settings
            .iter()
            .find(|settings| settings.port.as_ref().is_some_and(|it| it.number == u32::from(port)));
        let Some(own) = own else { return merged };
        Self {
            load_balancer: own.load_balancer.as_ref(),
            connection_pool: own.connection_pool.as_ref(),
            outlier_detection: own.outlier_detection.as_ref(),
            tls: own.tls.as_ref(),
            ..merged
        }
    }
}
