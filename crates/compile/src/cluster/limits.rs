//! Limits of a cluster: connections, requests, retries, timeouts of connecting.

use api::istio::traffic_policy::{RetryBudget, TcpKeepalive};
use envoy::{
    config::{
        cluster::v3::{
            CircuitBreakers, UpstreamConnectionOptions,
            circuit_breakers::{Thresholds, thresholds::RetryBudget as XdsRetryBudget},
        },
        core::v3::TcpKeepalive as XdsTcpKeepalive,
    },
    types::v3::Percent,
};
use snapshot::Mesh;

use super::Draft;
use crate::{
    filters::{duration, seconds},
    traffic_policy::Policy,
};

/// Retries may be this share of the active requests, so that they never become a storm.
const RETRY_PERCENT: f64 = 20.0;
/// Retries that are always allowed at once.
const RETRY_CONCURRENCY: u32 = 3;

/// Circuit breakers that break nothing but storms of retries, unless the pool's settings say more.
pub(super) fn circuit_breakers(policy: &Policy<'_>) -> CircuitBreakers {
    let pool = policy.connection_pool;
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let http = pool.and_then(|pool| pool.http.as_ref());
    let limit = |value: Option<i32>| positive(value).unwrap_or(u32::MAX);
    let retries = positive(http.map(|http| http.max_retries));
    let budget = match (policy.retry_budget, retries) {
        (Some(budget), _) => Some(retry_budget(budget)),
        (None, None) => Some(retry_budget(&RetryBudget::default())),
        // A number was asked for: a budget would take its place.
        (None, Some(_)) => None,
    };
    let thresholds = Thresholds {
        max_connections: Some(limit(tcp.map(|tcp| tcp.max_connections))),
        max_pending_requests: Some(limit(http.map(|http| http.http1_max_pending_requests))),
        max_requests: Some(limit(http.map(|http| http.http2_max_requests))),
        max_retries: Some(retries.unwrap_or(u32::MAX)),
        retry_budget: budget,
        track_remaining: true,
        ..Thresholds::default()
    };
    CircuitBreakers { thresholds: vec![thresholds], ..CircuitBreakers::default() }
}

/// A limit that is set: 0 leaves it to the default.
pub(crate) fn positive(value: Option<i32>) -> Option<u32> {
    value.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0)
}

fn retry_budget(budget: &RetryBudget) -> XdsRetryBudget {
    let value = budget.percent.unwrap_or(RETRY_PERCENT).clamp(0.0, 100.0);
    let least = match budget.min_retry_concurrency {
        0 => RETRY_CONCURRENCY,
        least => least,
    };
    XdsRetryBudget {
        budget_percent: Some(Percent { value }),
        budget_interval: budget.budget_interval.map(duration),
        min_retry_concurrency: Some(least),
    }
}

/// How long a connection may take to be made when no rule says so.
pub(crate) fn default_connect_timeout(mesh: &Mesh) -> prost_types::Duration {
    mesh.config.connect_timeout.filter(|it| !it.is_zero()).map_or(seconds(10), duration)
}

impl Draft<'_> {
    pub(super) fn connect_timeout(&self) -> prost_types::Duration {
        let tcp = self.policy.connection_pool.and_then(|pool| pool.tcp.as_ref());
        let written = tcp.and_then(|tcp| tcp.connect_timeout).filter(|it| !it.is_zero());
        written.map_or_else(|| default_connect_timeout(&self.input.mesh), duration)
    }

    /// Keep-alive probes, the rule's or else the mesh's.
    pub(super) fn connection_options(&self) -> Option<UpstreamConnectionOptions> {
        let tcp = self.policy.connection_pool.and_then(|pool| pool.tcp.as_ref());
        let written = tcp.and_then(|tcp| tcp.tcp_keepalive.as_ref());
        let settings = written.or(self.input.mesh.config.tcp_keepalive.as_ref())?;
        Some(UpstreamConnectionOptions {
            tcp_keepalive: Some(keepalive(settings)),
            ..UpstreamConnectionOptions::default()
        })
    }
}

pub(crate) fn keepalive(settings: &TcpKeepalive) -> XdsTcpKeepalive {
    let whole = |length: Option<api::Duration>| {
        length.and_then(|length| u32::try_from(length.split().0).ok()).filter(|it| *it > 0)
    };
    XdsTcpKeepalive {
        keepalive_probes: Some(settings.probes).filter(|probes| *probes > 0),
        keepalive_time: whole(settings.time),
        keepalive_interval: whole(settings.interval),
    }
}
