//! Which preferences among localities hold: the DestinationRule's, the service's, or the mesh's.

use std::borrow::Cow;

use api::istio::load_balancer::{LocalityDistribute, LocalityFailover, LocalityLbSetting};
use model::{Service, TrafficDistribution};
use snapshot::Mesh;

use super::Policy;

pub(crate) const NETWORK_LABEL: &str = "topology.istio.io/network";
pub(crate) const CLUSTER_LABEL: &str = "topology.istio.io/cluster";
pub(crate) const REGION_LABEL: &str = "topology.kubernetes.io/region";
pub(crate) const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
pub(crate) const SUBZONE_LABEL: &str = "topology.istio.io/subzone";
pub(crate) const HOST_LABEL: &str = "kubernetes.io/hostname";

/// The preferences in force for a cluster.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LocalitySettings<'a> {
    /// All localities are alike.
    Off,
    /// Shares of the traffic.
    Distribute(&'a [LocalityDistribute]),
    /// The nearest locality that is healthy, with pairs of regions.
    Failover(&'a [LocalityFailover]),
    /// The endpoints that share the most labels with the client, in this order of labels; then as
    /// `failover` says, if it says something.
    Priority { labels: Cow<'a, [String]>, failover: &'a [LocalityFailover] },
}

impl<'a> LocalitySettings<'a> {
    /// The settings for a service. Failover needs outlier detection, or nobody would ever leave;
    /// a `trafficDistribution` asks for it by itself.
    pub(crate) fn new(policy: &Policy<'a>, service: &Service, mesh: &'a Mesh) -> Self {
        let written = policy.load_balancer.and_then(|it| it.locality_lb_setting.as_ref());
        if written.is_none()
            && let Some(labels) = distribution_labels(service.traffic_distribution)
        {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            return Self::Priority { labels, failover: &[] };
        }
        let ejects = policy.outlier_detection.is_some();
        match written.or(mesh.config.locality_lb_setting.as_ref()) {
            Some(settings) => Self::written(settings, ejects),
            None if ejects => Self::Failover(&[]),
            None => Self::Off,
        }
    }

    fn written(settings: &'a LocalityLbSetting, ejects: bool) -> Self {
        if settings.enabled == Some(false) {
            return Self::Off;
        }
        if !settings.distribute.is_empty() {
            return Self::Distribute(&settings.distribute);
        }
        match (ejects, settings.failover_priority.is_empty()) {
            (false, _) => Self::Off,
            (true, true) => Self::Failover(&settings.failover),
            (true, false) => Self::Priority {
                labels: Cow::Borrowed(&settings.failover_priority),
                failover: &settings.failover,
            },
        }
    }

    /// Whether Envoy must weigh localities; without need it only disturbs the algorithm.
    pub(crate) fn is_weighted(&self) -> bool {
        match self {
            Self::Off => false,
            Self::Distribute(_) | Self::Priority { .. } => true,
            Self::Failover(pairs) => !pairs.is_empty(),
        }
    }
}

fn distribution_labels(distribution: TrafficDistribution) -> Option<&'static [&'static str]> {
    match distribution {
        TrafficDistribution::Any => None,
        TrafficDistribution::PreferSameZone | TrafficDistribution::PreferClose => {
            Some(&[NETWORK_LABEL, REGION_LABEL, ZONE_LABEL])
        }
        TrafficDistribution::PreferSameNode => {
            Some(&[NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL, HOST_LABEL])
        }
    }
}
