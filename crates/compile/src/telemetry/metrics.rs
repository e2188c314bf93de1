//! Istio's standard metrics from a stock Envoy, by its access logger that counts.
//!
//! - Prometheus reads the names without a prefix where the bootstrap has a Wasm VM, which makes
//!   Envoy know the namespace `wasmcustom`; elsewhere they begin with `envoy_wasmcustom_`.
//! - The number of series of a listener is limited, whatever callers send.
//! - What is not known is `unknown`, as in Istio: a caller's workload, which its certificate does
//!   not name. The called side counts a request for the service that its port belongs to.

use api::istio::telemetry::{IstioMetric, MetricsOverrides, TagOperation, Telemetry as Object};
use envoy::{
    Any,
    config::{
        accesslog::v3::{
            AccessLog, AccessLogFilter, AndFilter, LogTypeFilter, OrFilter, access_log,
            access_log_filter::FilterSpecifier,
        },
        listener::v3::Filter,
    },
    data::accesslog::v3::AccessLogType,
    extensions::access_loggers::{
        filters::cel::v3::ExpressionFilter,
        stats::v3::{
            Config,
            config::{Counter, Histogram, Stat, Tag, histogram::Unit},
        },
    },
    types::v3::Scope,
};
use model::{Diagnostic, ObjectKey};
use snapshot::{PolicyRecord, Reader};

use super::{
    Side,
    access_log::extension_filter,
    cel::check_expression,
    labels::{self, Known, Tags},
    provider::Provider,
};
use crate::codes;

/// Series of one listener, of counters and of histograms each. A limit for the whole process
/// (`sharing_name`) makes Envoy 1.40 crash when it ends.
const MAX_SERIES: u32 = 10_000;
/// Of a connection that ends: it never got to the other side.
const NEVER_CONNECTED: &str = "!has(upstream.local_address)";

/// The loggers that count, written down once for all listeners.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Metrics {
    http: Option<Any>,
    opened: Option<Any>,
    tcp: Option<Any>,
    connection: Any,
}

/// A metric: what it is called, what it adds, and whether it is a histogram in this unit.
struct Metric {
    kind: IstioMetric,
    name: &'static str,
    value: Option<&'static str>,
    unit: Option<Unit>,
}

const fn metric(
    kind: IstioMetric,
    name: &'static str,
    value: Option<&'static str>,
    unit: Option<Unit>,
) -> Metric {
    Metric { kind, name, value, unit }
}

const HTTP: [Metric; 4] = [
    metric(IstioMetric::RequestCount, "istio_requests_total", None, None),
    metric(
        IstioMetric::RequestDuration,
        "istio_request_duration_milliseconds",
        Some("%DURATION%"),
        Some(Unit::Milliseconds),
    ),
    metric(
        IstioMetric::RequestSize,
        "istio_request_bytes",
        Some("%BYTES_RECEIVED%"),
        Some(Unit::Bytes),
    ),
    metric(
        IstioMetric::ResponseSize,
        "istio_response_bytes",
        Some("%BYTES_SENT%"),
        Some(Unit::Bytes),
    ),
];

/// Counted when a connection ends: what Envoy tells of an open one is all that it has carried so
/// far, which a counter would add up.
const TCP: [Metric; 4] = [
    metric(IstioMetric::TcpOpenedConnections, "istio_tcp_connections_opened_total", None, None),
    metric(IstioMetric::TcpClosedConnections, "istio_tcp_connections_closed_total", None, None),
    metric(IstioMetric::TcpSentBytes, "istio_tcp_sent_bytes_total", Some("%BYTES_SENT%"), None),
    metric(
        IstioMetric::TcpReceivedBytes,
        "istio_tcp_received_bytes_total",
        Some("%BYTES_RECEIVED%"),
        None,
    ),
];

type Objects<'a, 'b> = &'b [&'a PolicyRecord<Object>];
type Override<'a> = (&'a ObjectKey, &'a MetricsOverrides);

/// The metrics of a side, with some labels known beforehand; none unless a Prometheus provider is
/// asked for.
pub(super) fn select(
    side: Side,
    objects: Objects<'_, '_>,
    known: &Known,
    reader: &Reader<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Option<Metrics> {
    let config = &reader.mesh().config;
    let mut providers: Vec<&str> = config
        .default_providers
        .iter()
        .flat_map(|it| it.metrics.iter().map(String::as_str))
        .collect();
    let mut overrides: Vec<Override<'_>> = Vec::new();
    for object in objects {
        for rule in &object.spec.metrics {
            if !rule.providers.is_empty() {
                providers = rule.providers.iter().map(|it| it.name.as_str()).collect();
            }
            let own = rule
                .overrides
                .iter()
                .filter(|change| change.match_.as_ref().is_none_or(|it| side.is_meant_by(it.mode)));
            overrides.extend(own.map(|change| (&object.key, change)));
        }
    }
    let exports = providers.iter().any(|name| match Provider::find(name, config) {
        Some(Provider::Prometheus) => true,
        Some(Provider::Configured(provider)) => provider.prometheus.is_some(),
        Some(Provider::Envoy) | None => false,
    });
    if !exports {
        return None;
    }
    report(&overrides, findings);
    let general = labels::tags(side, known);
    let logger = |metrics: &[Metric], protocol: &[(&str, Tag)]| {
        let own = protocol.iter().map(|(name, tag)| ((*name).to_owned(), tag.clone()));
        let tags = general.clone().into_iter().chain(own).collect();
        logger(metrics, &tags, &overrides)
    };
    // The caller counts a connection when it has got to the other side, or ends without. The called
    // side connects to its application before it knows who calls, and so can tell at the end only.
    let (opened, ended) = match side {
        Side::Client => (TCP.get(..1), &TCP[1..]),
        Side::Server => (None, &TCP[..]),
    };
    Some(Metrics {
        http: logger(&HTTP, &labels::http_tags()),
        opened: opened.and_then(|it| logger(it, &labels::tcp_tags())),
        tcp: logger(ended, &labels::tcp_tags()),
        connection: labels::on_connection(side),
    })
}

fn report(overrides: &[Override<'_>], findings: &mut Vec<Diagnostic>) {
    for (key, change) in overrides {
        for (name, tag) in &change.tag_overrides {
            if tag.operation == TagOperation::Upsert
                && let Err(why) = check_expression(&tag.value)
            {
                let message = format!("the label `{name}` is left out, as {why}");
                let finding = codes::EXPRESSION.diagnostic(message).object((*key).clone());
                findings.push(finding.field("spec.metrics.overrides.tagOverrides"));
            }
        }
    }
}

impl Metrics {
    pub(super) fn http(&self) -> Option<AccessLog> {
        self.http.clone().map(|config| stats_log(config, None))
    }

    pub(super) fn tcp(&self) -> impl Iterator<Item = AccessLog> {
        let opened = self.opened.clone().map(|config| {
            let never = ExpressionFilter {
                expression: NEVER_CONNECTED.to_owned(),
                ..ExpressionFilter::default()
            };
            let never = extension_filter("envoy.access_loggers.extension_filters.cel", &never);
            let filters = [connected(Is::Only), FilterSpecifier::ExtensionFilter(never)];
            let filters = filters.map(filter).to_vec();
            stats_log(config, Some(filter(FilterSpecifier::OrFilter(OrFilter { filters }))))
        });
        let filter = self.tells_of_connects().then(|| filter(connected(Is::LeftOut)));
        let rest = self.tcp.clone().map(|config| stats_log(config, filter));
        opened.into_iter().chain(rest)
    }

    /// TCP proxies log a connection also when it has got to the other side.
    pub(super) fn tells_of_connects(&self) -> bool {
        self.opened.is_some()
    }

    /// Finds what labels need of a connection.
    pub(super) fn connection(&self) -> Filter {
        labels::connection_filter(self.connection.clone())
    }
}

/// A log of connections that is not told when they get to the other side.
pub(super) fn without_connects(log: AccessLog) -> AccessLog {
    let own = filter(connected(Is::LeftOut));
    let filter = match log.filter {
        None => own,
        Some(AccessLogFilter { filter_specifier: Some(FilterSpecifier::AndFilter(all)) }) => {
            let filters = all.filters.into_iter().chain([own]).collect();
            filter(FilterSpecifier::AndFilter(AndFilter { filters }))
        }
        Some(other) => filter(FilterSpecifier::AndFilter(AndFilter { filters: vec![other, own] })),
    };
    AccessLog { filter: Some(filter), ..log }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    Only,
    LeftOut,
}

/// What is logged when a connection has got to the other side.
fn connected(is: Is) -> FilterSpecifier {
    FilterSpecifier::LogTypeFilter(LogTypeFilter {
        types: vec![AccessLogType::TcpUpstreamConnected.into()],
        exclude: is == Is::LeftOut,
    })
}

fn filter(specifier: FilterSpecifier) -> AccessLogFilter {
    AccessLogFilter { filter_specifier: Some(specifier) }
}

fn stats_log(config: Any, filter: Option<AccessLogFilter>) -> AccessLog {
    AccessLog {
        name: "envoy.access_loggers.stats".to_owned(),
        filter,
        config_type: Some(access_log::ConfigType::TypedConfig(config)),
    }
}

fn logger(metrics: &[Metric], tags: &Tags, overrides: &[Override<'_>]) -> Option<Any> {
    let (mut counters, mut histograms) = (Vec::new(), Vec::new());
    for metric in metrics {
        let mut tags = tags.clone();
        if !change(metric.kind, &mut tags, overrides) {
            continue;
        }
        let tags = tags.into_iter().map(|(name, tag)| Tag { name, ..tag }).collect();
        let stat = Some(Stat { name: metric.name.to_owned(), tags });
        let value_format = metric.value.unwrap_or_default().to_owned();
        match metric.unit {
            Some(unit) => histograms.push(Histogram { stat, unit: unit.into(), value_format }),
            None => {
                let value_fixed = metric.value.is_none().then_some(1);
                counters.push(Counter { stat, value_format, value_fixed });
            }
        }
    }
    if counters.is_empty() && histograms.is_empty() {
        return None;
    }
    let scope = Scope {
        prefix: "wasmcustom".to_owned(),
        max_counters: Some(MAX_SERIES),
        max_histograms: Some(MAX_SERIES),
        enable_eviction: true,
        ..Scope::default()
    };
    let stats_scope = Some(scope);
    Some(Any::pack(&Config { stats_scope, counters, histograms, ..Config::default() }))
}

/// Applies what objects say of a metric. Whether it is still wanted.
fn change(kind: IstioMetric, tags: &mut Tags, overrides: &[Override<'_>]) -> bool {
    let mut wanted = true;
    for (_, change) in overrides {
        let selector = change.match_.as_ref();
        let about = match selector {
            Some(it) if it.custom_metric.is_some() => false,
            Some(it) => it.metric.is_none_or(|it| it == IstioMetric::AllMetrics || it == kind),
            None => true,
        };
        if !about {
            continue;
        }
        if let Some(disabled) = change.disabled {
            wanted = !disabled;
        }
        for (name, tag) in &change.tag_overrides {
            match tag.operation {
                TagOperation::Remove => {
                    tags.remove(name);
                }
                TagOperation::Upsert if check_expression(&tag.value).is_ok() => {
                    tags.insert(name.clone(), labels::expression(&tag.value));
                }
                TagOperation::Upsert => {}
            }
        }
    }
    wanted
}
