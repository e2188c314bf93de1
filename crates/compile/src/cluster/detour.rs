//! The cluster of the gateway for what callers are not told of: its pods are passed by as soon as they
//! cannot be reached.
//!
//! - What a pod answers may be the answer of any service, so that only connections count against it.
//! - Settings of a DestinationRule come first.

use envoy::{
    config::cluster::v3::{Cluster, OutlierDetection, cluster::CommonLbConfig},
    types::v3::Percent,
};

use super::Draft;
use crate::filters::seconds;

/// How long a pod may take to accept a connection.
const CONNECT_TIMEOUT: i64 = 1;
/// How many connections in a row must fail.
const FAILURES: u32 = 2;
/// How long a pod is then left out the first time.
const EJECTION: i64 = 5;

impl Draft<'_> {
    pub(super) fn fit_detour(&self, cluster: &mut Cluster) {
        if !self.input.is_detour {
            return;
        }
        let tcp = self.policy.connection_pool.and_then(|pool| pool.tcp.as_ref());
        if tcp.is_none_or(|tcp| tcp.connect_timeout.is_none()) {
            cluster.connect_timeout = Some(seconds(CONNECT_TIMEOUT));
        }
        if self.policy.outlier_detection.is_some() {
            return;
        }
        cluster.outlier_detection = Some(OutlierDetection {
            interval: Some(seconds(1)),
            base_ejection_time: Some(seconds(EJECTION)),
            max_ejection_percent: Some(100),
            always_eject_one_host: Some(true),
            split_external_local_origin_errors: true,
            consecutive_local_origin_failure: Some(FAILURES),
            enforcing_consecutive_local_origin_failure: Some(100),
            enforcing_local_origin_success_rate: Some(0),
            enforcing_consecutive_5xx: Some(0),
            enforcing_consecutive_gateway_failure: Some(0),
            enforcing_success_rate: Some(0),
            ..OutlierDetection::default()
        });
        // With nobody left, the next cluster is tried, and not those that were left out.
        let balancing = cluster.common_lb_config.get_or_insert_with(CommonLbConfig::default);
        balancing.healthy_panic_threshold = Some(Percent { value: 0.0 });
    }
}
