//! Load balancing of a cluster: algorithm, warm-up, panic threshold, weighing of localities.

use api::istio::load_balancer::{ConsistentHashLb, LoadBalancerSettings, SimpleLb};
use envoy::{
    config::{
        cluster::v3::{
            Cluster,
            cluster::{
                CommonLbConfig, LbConfig, LbPolicy, LeastRequestLbConfig, MaglevLbConfig,
                RingHashLbConfig, RoundRobinLbConfig, SlowStartConfig,
                common_lb_config::{LocalityConfigSpecifier, LocalityWeightedLbConfig},
            },
        },
        core::v3::RuntimeDouble,
    },
    types::v3::Percent,
};

use super::{Draft, discovery::Discovery};
use crate::{filters::duration, traffic_policy::LocalitySettings};

/// Istio's default: a smaller ring spreads badly.
const MINIMUM_RING_SIZE: u64 = 1024;
/// Envoy's largest ring.
const MAXIMUM_RING_SIZE: u64 = 8 * 1024 * 1024;
/// Envoy wants a name for settings that its runtime may change.
const AGGRESSION_KEY: &str = "meltemi.warmup_aggression";

impl Draft<'_> {
    /// Fills in how an endpoint is picked.
    pub(super) fn balance(&self, cluster: &mut Cluster) {
        cluster.common_lb_config = self.common_settings();
        if !self.discovery.balances() {
            return;
        }
        let settings = self.policy.load_balancer;
        if let Some(hash) = settings.and_then(|it| it.consistent_hash.as_ref()) {
            let (policy, config) = hashing(hash);
            cluster.lb_policy = policy.into();
            cluster.lb_config = Some(config);
            return;
        }
        let warmup = settings.and_then(slow_start);
        let simple = settings.and_then(|it| it.simple).unwrap_or_default();
        let (policy, config) = match simple {
            SimpleLb::RoundRobin => (
                LbPolicy::RoundRobin,
                warmup.map(|warmup| {
                    let slow_start_config = Some(warmup);
                    LbConfig::RoundRobinLbConfig(RoundRobinLbConfig { slow_start_config })
                }),
            ),
            SimpleLb::Random => (LbPolicy::Random, None),
            SimpleLb::Unspecified
            | SimpleLb::LeastConn
            | SimpleLb::LeastRequest
            | SimpleLb::Passthrough => (
                LbPolicy::LeastRequest,
                warmup.map(|warmup| {
                    LbConfig::LeastRequestLbConfig(LeastRequestLbConfig {
                        slow_start_config: Some(warmup),
                        ..LeastRequestLbConfig::default()
                    })
                }),
            ),
        };
        cluster.lb_policy = policy.into();
        cluster.lb_config = config;
    }

    fn common_settings(&self) -> Option<CommonLbConfig> {
        let outlier = self.policy.outlier_detection;
        let eds = self.discovery == Discovery::Eds;
        let threshold = match outlier {
            Some(outlier) => Some(outlier.min_health_percent.clamp(0, 100)),
            // Endpoints that are not ready are in the list: they must never be used in panic.
            None if eds && self.policy.sends_unhealthy(&self.input.mesh) => Some(0),
            None => None,
        };
        let locality = LocalitySettings::new(&self.policy, &self.input.service, &self.input.mesh);
        let weighted = eds && locality.is_weighted();
        (threshold.is_some() || weighted).then(|| CommonLbConfig {
            healthy_panic_threshold: threshold.map(|value| Percent { value: value.into() }),
            locality_config_specifier: weighted.then_some(
                LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {}),
            ),
            ..CommonLbConfig::default()
        })
    }
}

fn hashing(hash: &ConsistentHashLb) -> (LbPolicy, LbConfig) {
    if let Some(maglev) = &hash.maglev {
        let table_size = u64::try_from(maglev.table_size).ok().filter(|size| *size > 0);
        return (LbPolicy::Maglev, LbConfig::MaglevLbConfig(MaglevLbConfig { table_size }));
    }
    let written = hash.ring_hash.as_ref().map_or(hash.minimum_ring_size, |it| it.minimum_ring_size);
    let size = u64::try_from(written).ok().filter(|size| *size > 0).unwrap_or(MINIMUM_RING_SIZE);
    let config = RingHashLbConfig {
        minimum_ring_size: Some(size.min(MAXIMUM_RING_SIZE)),
        ..RingHashLbConfig::default()
    };
    (LbPolicy::RingHash, LbConfig::RingHashLbConfig(config))
}

fn slow_start(settings: &LoadBalancerSettings) -> Option<SlowStartConfig> {
    let warmup = settings.warmup.as_ref();
    let window = warmup.and_then(|it| it.duration).or(settings.warmup_duration_secs)?;
    Some(SlowStartConfig {
        slow_start_window: Some(duration(window)),
        aggression: Some(RuntimeDouble {
            default_value: warmup.and_then(|it| it.aggression).unwrap_or(1.0),
            runtime_key: AGGRESSION_KEY.to_owned(),
        }),
        min_weight_percent: Some(Percent {
            value: warmup.and_then(|it| it.minimum_percent).unwrap_or(10.0).clamp(0.0, 100.0),
        }),
    })
}
