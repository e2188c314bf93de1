//! Outlier detection: which endpoints are left out for a while because they fail.

use api::istio::traffic_policy::OutlierDetection;
use envoy::config::cluster::v3::OutlierDetection as XdsOutlierDetection;

use crate::filters::duration;

/// Converts the settings. Only consecutive failures eject, never statistics over all endpoints.
pub(super) fn outlier_detection(settings: &OutlierDetection) -> XdsOutlierDetection {
    let enforcing = |count: Option<u32>| count.map(|count| if count > 0 { 100 } else { 0 });
    let split = settings.split_external_local_origin_errors;
    let local = settings.consecutive_local_origin_failures.filter(|count| split && *count > 0);
    XdsOutlierDetection {
        consecutive_5xx: settings.consecutive_5xx_errors,
        enforcing_consecutive_5xx: enforcing(settings.consecutive_5xx_errors),
        consecutive_gateway_failure: settings.consecutive_gateway_errors,
        enforcing_consecutive_gateway_failure: enforcing(settings.consecutive_gateway_errors),
        interval: settings.interval.map(duration),
        base_ejection_time: settings.base_ejection_time.map(duration),
        max_ejection_percent: max_ejection_percent(settings),
        enforcing_success_rate: Some(0),
        split_external_local_origin_errors: split,
        consecutive_local_origin_failure: local,
        enforcing_consecutive_local_origin_failure: enforcing(local),
        enforcing_local_origin_success_rate: split.then_some(0),
        // Else nobody is ejected from a service of fewer than ten endpoints.
        always_eject_one_host: Some(true),
        ..XdsOutlierDetection::default()
    }
}

/// The most endpoints that are left out; `None` is Envoy's default.
pub(crate) fn max_ejection_percent(settings: &OutlierDetection) -> Option<u32> {
    let written = u32::try_from(settings.max_ejection_percent).ok();
    written.filter(|percent| *percent > 0).map(|percent| percent.min(100))
}
