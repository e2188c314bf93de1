//! What fetching achieved, under istiod's names.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// Counts fetches. Clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct KeyMetrics {
    pub(crate) success: Counter,
    pub(crate) fail: Counter,
}

impl KeyMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("pilot_jwks_resolver_network_fetch");
        registry.register("success", "Key sets that were fetched", metrics.success.clone());
        registry.register("fail", "Fetches of key sets that failed", metrics.fail.clone());
        metrics
    }
}
