//! A service → the cluster that gRPC's client takes, with the few settings that it carries out.

use api::istio::{
    load_balancer::{ConsistentHashLb, LoadBalancerSettings, SimpleLb},
    traffic_policy::{ClientTlsMode, ConnectionPoolSettings, OutlierDetection},
};
use envoy::{
    Any,
    config::{
        cluster::v3::{
            CircuitBreakers, Cluster, LoadBalancingPolicy, OutlierDetection as XdsOutlierDetection,
            circuit_breakers::Thresholds,
            cluster::{
                ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbConfig, LbPolicy,
                RingHashLbConfig,
            },
            load_balancing_policy,
        },
        core::v3::{
            AggregatedConfigSource, ApiVersion, ConfigSource, TypedExtensionConfig,
            config_source::ConfigSourceSpecifier,
        },
        endpoint::v3::ClusterLoadAssignment,
    },
    extensions::load_balancing_policies::{
        least_request::v3::LeastRequest, round_robin::v3::RoundRobin, wrr_locality::v3::WrrLocality,
    },
};
use model::{Diagnostics, EndpointAddress, Protocol, Resolution};
use prost::{Message, Name};

use crate::{
    cluster::{ClusterInput, max_ejection_percent},
    codes,
    endpoint::{Described, group_by_locality, load_assignment},
    filters::duration,
    traffic_policy::Policy,
};

/// As for Envoy: a smaller ring spreads badly, a larger one is refused.
const RING_SIZES: std::ops::RangeInclusive<u64> = 1024..=8 * 1024 * 1024;
/// More than this share of an endpoint's calls must fail: all of them.
const FAILED_PERCENT: u32 = 99;

/// Whether gRPC asks for the endpoints of the cluster.
pub(crate) fn is_eds(input: &ClusterInput) -> bool {
    exists(input) && !is_resolved(input)
}

/// Compiles a cluster. `None` when there is nothing to connect to.
pub(crate) fn compile_cluster(input: &ClusterInput) -> Option<(Cluster, Diagnostics)> {
    if !exists(input) {
        return None;
    }
    let policy = input.rules.policy(input.port, &input.subset);
    let mut report = Report { input, diagnostics: Diagnostics::default() };
    let mut cluster = Cluster {
        name: input.name(),
        circuit_breakers: policy.connection_pool.and_then(circuit_breakers),
        outlier_detection: policy.outlier_detection.and_then(outlier_detection),
        ..Cluster::default()
    };
    balance(&mut cluster, policy.load_balancer);
    if is_resolved(input) {
        cluster.load_assignment = Some(resolved_endpoint(input, &cluster.name, &mut report)?);
        let logical = ClusterDiscoveryType::Type(DiscoveryType::LogicalDns.into());
        cluster.cluster_discovery_type = Some(logical);
    } else {
        cluster.cluster_discovery_type =
            Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into()));
        cluster.eds_cluster_config = Some(EdsClusterConfig {
            eds_config: Some(ConfigSource {
                resource_api_version: ApiVersion::V3.into(),
                config_source_specifier: Some(ConfigSourceSpecifier::Ads(
                    AggregatedConfigSource {},
                )),
                ..ConfigSource::default()
            }),
            service_name: cluster.name.clone(),
        });
    }
    report.policy(&policy);
    Some((cluster, report.diagnostics))
}

/// Whether a rule asks for encryption by certificates that gRPC's client is not given.
pub(super) fn is_encrypted(policy: &Policy<'_>) -> bool {
    policy.tls.is_some_and(|tls| tls.mode != ClientTlsMode::Disable)
}

fn exists(input: &ClusterInput) -> bool {
    let known = input.service.port(input.port).is_some_and(|it| it.protocol != Protocol::Udp)
        && input.rules.subset_labels(&input.subset).is_some();
    known && !matches!(input.service.resolution, Resolution::Alias | Resolution::DynamicDns)
}

/// Names are resolved by the client. Where encryption is asked for it gets no address at all.
fn is_resolved(input: &ClusterInput) -> bool {
    let dns = matches!(input.service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    let policy = input.rules.policy(input.port, &input.subset);
    dns && !is_encrypted(&policy) && !has_only_addresses(input)
}

/// Endpoints of a resolved service may be addresses: then nothing has to be resolved.
fn has_only_addresses(input: &ClusterInput) -> bool {
    let endpoints = input.endpoints.iter().flat_map(|set| set.iter());
    let mut endpoints = endpoints.peekable();
    endpoints.peek().is_some()
        && endpoints.all(|endpoint| matches!(endpoint.address, EndpointAddress::Ip(_)))
}

/// The one name that a cluster of gRPC's may have.
fn resolved_endpoint(
    input: &ClusterInput,
    name: &str,
    report: &mut Report<'_>,
) -> Option<ClusterLoadAssignment> {
    let port = input.service.port(input.port)?;
    let labels = input.rules.subset_labels(&input.subset)?;
    let all = input.endpoints.as_ref()?.iter().filter(|endpoint| {
        !matches!(endpoint.address, EndpointAddress::Unix(_))
            && endpoint.ports.contains_key(&port.name)
            && labels.selects(&endpoint.labels)
    });
    let chosen: Vec<_> = all.collect();
    let first = *chosen.first()?;
    if chosen.len() > 1 {
        report.warn("", "gRPC clients without a proxy use only the first name of the service");
    }
    let groups = group_by_locality(std::iter::once(first));
    let described = Described {
        port: &port.name,
        cluster_id: &input.client.cluster_id,
        plain: &input.plain,
        mutual: false,
    };
    Some(load_assignment(name, &described, groups))
}

fn circuit_breakers(pool: &ConnectionPoolSettings) -> Option<CircuitBreakers> {
    let requests = pool.http.as_ref()?.http2_max_requests;
    let max_requests = u32::try_from(requests).ok().filter(|requests| *requests > 0)?;
    let thresholds = Thresholds { max_requests: Some(max_requests), ..Thresholds::default() };
    Some(CircuitBreakers { thresholds: vec![thresholds], ..CircuitBreakers::default() })
}

/// gRPC knows no consecutive failures. An endpoint leaves when it failed every call of an interval
/// and there were as many of them as the rule allows in a row.
fn outlier_detection(settings: &OutlierDetection) -> Option<XdsOutlierDetection> {
    let counts = [settings.consecutive_5xx_errors, settings.consecutive_gateway_errors];
    let written = counts.iter().any(Option::is_some);
    let least = counts.into_iter().flatten().filter(|count| *count > 0).min();
    // Envoy's default.
    let failures = if written { least? } else { 5 };
    Some(XdsOutlierDetection {
        interval: settings.interval.map(duration),
        base_ejection_time: settings.base_ejection_time.map(duration),
        max_ejection_percent: max_ejection_percent(settings),
        enforcing_success_rate: Some(0),
        enforcing_failure_percentage: Some(100),
        failure_percentage_threshold: Some(FAILED_PERCENT),
        failure_percentage_minimum_hosts: Some(1),
        failure_percentage_request_volume: Some(failures),
        ..XdsOutlierDetection::default()
    })
}

/// Round robin is what every version of gRPC has; of a list each takes the first that it knows.
fn balance(cluster: &mut Cluster, settings: Option<&LoadBalancerSettings>) {
    cluster.lb_policy = LbPolicy::RoundRobin.into();
    if let Some(hash) = settings.and_then(|it| it.consistent_hash.as_ref()) {
        let size = ring_size(hash).clamp(1, *RING_SIZES.end());
        cluster.lb_policy = LbPolicy::RingHash.into();
        cluster.lb_config = Some(LbConfig::RingHashLbConfig(RingHashLbConfig {
            minimum_ring_size: Some(size),
            ..RingHashLbConfig::default()
        }));
        return;
    }
    match settings.and_then(|it| it.simple) {
        Some(SimpleLb::LeastRequest | SimpleLb::LeastConn) => {
            let picking = LoadBalancingPolicy {
                policies: vec![
                    policy("envoy.load_balancing_policies.least_request", &LeastRequest::default()),
                    policy("envoy.load_balancing_policies.round_robin", &RoundRobin::default()),
                ],
            };
            let localities = WrrLocality { endpoint_picking_policy: Some(picking) };
            cluster.load_balancing_policy = Some(LoadBalancingPolicy {
                policies: vec![policy("envoy.load_balancing_policies.wrr_locality", &localities)],
            });
        }
        Some(
            SimpleLb::Unspecified | SimpleLb::RoundRobin | SimpleLb::Random | SimpleLb::Passthrough,
        )
        | None => {}
    }
}

fn ring_size(hash: &ConsistentHashLb) -> u64 {
    let written = hash.ring_hash.as_ref().map_or(hash.minimum_ring_size, |it| it.minimum_ring_size);
    u64::try_from(written).ok().filter(|size| *size > 0).unwrap_or(*RING_SIZES.start())
}

fn policy<M: Message + Name>(name: &str, config: &M) -> load_balancing_policy::Policy {
    load_balancing_policy::Policy {
        typed_extension_config: Some(TypedExtensionConfig {
            name: name.to_owned(),
            typed_config: Some(Any::pack(config)),
        }),
    }
}

/// Findings about one cluster.
struct Report<'a> {
    input: &'a ClusterInput,
    diagnostics: Diagnostics,
}

impl Report<'_> {
    fn warn(&mut self, field: &str, message: &str) {
        let rule = self.input.rules.records.first().map(|record| &record.key);
        let object = rule.unwrap_or(&self.input.service.origin).clone();
        let field = if field.is_empty() { String::new() } else { format!("trafficPolicy.{field}") };
        let finding = codes::NOT_IN_GRPC.diagnostic(message).object(object).field(field);
        self.diagnostics.push(finding);
    }

    /// Everything in a policy that has another meaning, or none.
    fn policy(&mut self, policy: &Policy<'_>) {
        const NO_EFFECT: &str = "it has no effect on gRPC clients without a proxy";
        if is_encrypted(policy) {
            let message = "gRPC clients without a proxy have no certificates: their calls fail";
            self.warn("tls", message);
        }
        if policy.outlier_detection.is_some() {
            let message = "gRPC clients without a proxy count failed calls per interval, \
                           not in a row";
            self.warn("outlierDetection", message);
        }
        let balancer = policy.load_balancer;
        let hash = balancer.and_then(|it| it.consistent_hash.as_ref());
        let (pool, simple) = (policy.connection_pool, balancer.and_then(|it| it.simple));
        let warms =
            |it: &LoadBalancerSettings| it.warmup.is_some() || it.warmup_duration_secs.is_some();
        let unknown = [
            ("tunnel", policy.tunnel.is_some()),
            ("proxyProtocol", policy.proxy_protocol.is_some()),
            ("retryBudget", policy.retry_budget.is_some()),
            ("connectionPool.tcp", pool.is_some_and(|pool| pool.tcp.is_some())),
            ("connectionPool.http", pool.is_some_and(has_more_than_requests)),
            ("loadBalancer.warmup", balancer.is_some_and(warms)),
            (
                "loadBalancer.consistentHash.httpCookie",
                hash.is_some_and(|it| it.http_cookie.is_some()),
            ),
            (
                "loadBalancer.consistentHash.httpQueryParameterName",
                hash.is_some_and(|it| it.http_query_parameter_name.is_some()),
            ),
            ("loadBalancer.consistentHash.maglev", hash.is_some_and(|it| it.maglev.is_some())),
            (
                "loadBalancer.simple",
                matches!(simple, Some(SimpleLb::Random | SimpleLb::Passthrough)),
            ),
        ];
        for (field, _) in unknown.iter().filter(|(_, written)| *written) {
            self.warn(field, NO_EFFECT);
        }
    }
}

/// Limits of HTTP beside the number of requests.
fn has_more_than_requests(pool: &ConnectionPoolSettings) -> bool {
    pool.http.as_ref().is_some_and(|http| {
        let rest =
            api::istio::traffic_policy::HttpSettings { http2_max_requests: 0, ..http.clone() };
        rest != api::istio::traffic_policy::HttpSettings::default()
    })
}
