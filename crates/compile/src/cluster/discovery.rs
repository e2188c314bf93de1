//! How a cluster finds its endpoints.

use api::istio::load_balancer::SimpleLb;
use envoy::{
    Any,
    config::{
        cluster::v3::{
            Cluster,
            cluster::{
                ClusterDiscoveryType, CustomClusterType, DiscoveryType, EdsClusterConfig, LbPolicy,
            },
        },
        core::v3::{
            AggregatedConfigSource, ApiVersion, ConfigSource, config_source::ConfigSourceSpecifier,
        },
        endpoint::v3::ClusterLoadAssignment,
    },
    extensions::clusters::{
        common::dns::v3::DnsLookupFamily,
        dns::v3::DnsCluster,
        dynamic_forward_proxy::v3::{
            ClusterConfig, cluster_config::ClusterImplementationSpecifier,
        },
    },
};
use model::{EndpointAddress, ProxyKind, Resolution};

use super::{ClusterClient, ClusterInput, Draft};
use crate::{
    codes,
    endpoint::{Described, group_by_locality, load_assignment},
    filters::{duration, dynamic_dns_cache, seconds},
    traffic_policy::Policy,
};

/// How endpoints are found, once client and policy have had their say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discovery {
    Eds,
    /// Every address behind the names.
    Dns,
    /// One address at a time behind one name.
    LogicalDns,
    /// The caller's own destination.
    OriginalDestination,
    /// The name in the request.
    DynamicDns,
}

impl Discovery {
    pub(super) fn new(input: &ClusterInput, policy: &Policy<'_>) -> Self {
        let simple = policy.load_balancer.and_then(|balancer| balancer.simple);
        let passthrough = simple == Some(SimpleLb::Passthrough);
        match input.service.resolution {
            Resolution::DynamicDns => Self::DynamicDns,
            _ if passthrough => Self::OriginalDestination,
            Resolution::Dns => Self::Dns,
            Resolution::DnsRoundRobin => Self::LogicalDns,
            Resolution::ClientSide | Resolution::Alias => Self::Eds,
            // A gateway's caller has the gateway's own address as its destination.
            Resolution::Passthrough if input.client.kind == ProxyKind::Router => Self::Eds,
            Resolution::Passthrough if input.service.is_headless() => {
                let known = "PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES";
                match input.mesh.features.flag(known, false) {
                    true => Self::Eds,
                    false => Self::OriginalDestination,
                }
            }
            Resolution::Passthrough => Self::OriginalDestination,
        }
    }

    /// Whether Envoy chooses among endpoints.
    pub(super) fn balances(self) -> bool {
        match self {
            Self::Eds | Self::Dns | Self::LogicalDns => true,
            Self::OriginalDestination | Self::DynamicDns => false,
        }
    }
}

impl Draft<'_> {
    /// Fills in how endpoints are found; `None` when none ever can be.
    pub(super) fn discover(&mut self, cluster: &mut Cluster) -> Option<()> {
        cluster.cluster_discovery_type = Some(match self.discovery {
            Discovery::Eds => {
                cluster.eds_cluster_config = Some(EdsClusterConfig {
                    eds_config: Some(ConfigSource {
                        // Without it a cluster waits for its endpoints however long they take.
                        initial_fetch_timeout: Some(seconds(0)),
                        ..ads()
                    }),
                    service_name: cluster.name.clone(),
                });
                ClusterDiscoveryType::Type(DiscoveryType::Eds.into())
            }
            Discovery::Dns => {
                cluster.load_assignment = Some(self.inline_endpoints(&cluster.name)?);
                self.dns_cluster(false)
            }
            Discovery::LogicalDns => {
                cluster.load_assignment = Some(self.inline_endpoints(&cluster.name)?);
                self.dns_cluster(true)
            }
            Discovery::OriginalDestination => {
                cluster.lb_policy = LbPolicy::ClusterProvided.into();
                ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())
            }
            Discovery::DynamicDns => {
                cluster.lb_policy = LbPolicy::ClusterProvided.into();
                dynamic_forward_proxy()
            }
        });
        Some(())
    }

    fn dns_cluster(&self, logical: bool) -> ClusterDiscoveryType {
        let refresh = self.input.mesh.config.dns_refresh_rate;
        let config = DnsCluster {
            dns_refresh_rate: Some(refresh.map_or(seconds(60), duration)),
            respect_dns_ttl: true,
            dns_jitter: Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 }),
            dns_lookup_family: lookup_family(&self.input.client).into(),
            all_addresses_in_single_endpoint: logical,
            ..DnsCluster::default()
        };
        ClusterDiscoveryType::ClusterType(CustomClusterType {
            name: "envoy.cluster.dns".to_owned(),
            typed_config: Some(Any::pack(&config)),
        })
    }

    /// The endpoints to resolve. Sockets have no name, and a logical cluster takes one name only.
    fn inline_endpoints(&mut self, name: &str) -> Option<ClusterLoadAssignment> {
        let input = self.input;
        let labels = input.rules.subset_labels(&input.subset)?;
        let all = input.endpoints.as_ref()?.iter().filter(|endpoint| {
            !matches!(endpoint.address, EndpointAddress::Unix(_))
                && endpoint.ports.contains_key(&self.port.name)
                && labels.selects(&endpoint.labels)
        });
        let mut chosen: Vec<_> = all.collect();
        if self.discovery == Discovery::LogicalDns && chosen.len() > 1 {
            chosen.truncate(1);
            let message = format!("only the first endpoint of `{}` is used", name);
            self.warn(&codes::ONE_NAME, message, "use the resolution `DNS` to use all of them");
        }
        if chosen.is_empty() {
            return None;
        }
        let groups = group_by_locality(chosen.into_iter());
        Some(load_assignment(
            name,
            &Described {
                port: &self.port.name,
                cluster_id: &input.client.cluster_id,
                plain: &input.plain,
                mutual: !input.service.mesh_external,
            },
            groups,
        ))
    }
}

/// The stream that everything else comes over.
fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}

/// The families of addresses that the proxy can reach.
fn lookup_family(client: &ClusterClient) -> DnsLookupFamily {
    match (client.ipv4, client.ipv6) {
        (true, true) => DnsLookupFamily::All,
        (false, true) => DnsLookupFamily::V6Only,
        (_, false) => DnsLookupFamily::V4Only,
    }
}

/// Resolves the host of each request, through the cache that the filter fills.
pub(super) fn dynamic_forward_proxy() -> ClusterDiscoveryType {
    let config = ClusterConfig {
        cluster_implementation_specifier: Some(ClusterImplementationSpecifier::DnsCacheConfig(
            dynamic_dns_cache(),
        )),
        // Plain text is possible, and TLS is checked as in every other cluster.
        allow_insecure_cluster_options: true,
        ..ClusterConfig::default()
    };
    ClusterDiscoveryType::ClusterType(CustomClusterType {
        name: "envoy.clusters.dynamic_forward_proxy".to_owned(),
        typed_config: Some(Any::pack(&config)),
    })
}
