//! Which preferences among localities hold: the DestinationRule's, the service's, or the mesh's.

use std::borrow::Cow;

use api::istio::load_balancer::LocalityLbSetting;
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
    Distribute(&'a LocalityLbSetting),
    /// The nearest locality that is healthy; `failover` pairs regions.
    Failover(&'a LocalityLbSetting),
    /// The endpoints that share the most labels with the client, in this order of labels.
    Priority(Cow<'a, [String]>),
}

impl<'a> LocalitySettings<'a> {
    /// The settings for a service. Failover needs outlier detection, or nobody would ever leave;
    /// a `trafficDistribution` asks for it by itself.
    pub(crate) fn new(policy: &Policy<'a>, service: &Service, mesh: &'a Mesh) -> Self {
        let written = policy.load_balancer.and_then(|it| it.locality_lb_setting.as_ref());
        if written.is_none()
            && let Some(labels) = distribution_labels(service.traffic_distribution)
        {
            return Self::Priority(labels.iter().map(|label| (*label).to_owned()).collect());
        }
        let settings = written.or(mesh.config.locality_lb_setting.as_ref());
        let Some(settings) = settings else {
            return match policy.outlier_detection {
                Some(_) => Self::Failover(default_settings()),
                None => Self::Off,
            };
        };
        if settings.enabled == Some(false) {
            return Self::Off;
        }
        if !settings.distribute.is_empty() {
            return Self::Distribute(settings);
        }
        if policy.outlier_detection.is_none() {
            return Self::Off;
        }
        match settings.failover_priority.is_empty() {
            true => Self::Failover(settings),
            false => Self::Priority(Cow::Borrowed(&settings.failover_priority)),
        }
    }

    /// Whether Envoy must weigh localities; without need it only disturbs the algorithm.
    pub(crate) fn is_weighted(&self) -> bool {
        match self {
            Self::Off => false,
            Self::Distribute(_) | Self::Priority(_) => true,
            Self::Failover(settings) => !settings.failover.is_empty(),
        }
    }
}

/// The mesh's default: on, and nothing said.
fn default_settings() -> &'static LocalityLbSetting {
    static DEFAULT: LocalityLbSetting = LocalityLbSetting {
        distribute: Vec::new(),
        failover: Vec::new(),
        failover_priority: Vec::new(),
        enabled: None,
    };
    &DEFAULT
}

fn distribution_labels(distribution: TrafficDistribution) -> Option<&'static [&'static str]> {
    match distribution {
        TrafficDistribution::Any => None,
        TrafficDistribution::PreferSameZone => Some(&[NETWORK_LABEL, REGION_LABEL, ZONE_LABEL]),
        TrafficDistribution::PreferClose => {
            Some(&[NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL])
        }
        TrafficDistribution::PreferSameNode => {
            Some(&[NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL, HOST_LABEL])
        }
    }
}
