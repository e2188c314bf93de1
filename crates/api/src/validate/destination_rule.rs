//! DestinationRule and its traffic policies.

use super::{Check, Path, client_tls, load_balancer, names};
use crate::{
    codes,
    istio::{
        destination_rule::DestinationRule,
        mesh_config::DefaultTrafficPolicy,
        traffic_policy::{
            ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, OutlierDetection,
            PortTrafficPolicy, TcpSettings, TrafficPolicy, TunnelSettings,
        },
    },
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, rule: &DestinationRule) {
    check.wildcard_host(&path.field("host"), &rule.host);
    traffic_policy(check, &path.field("trafficPolicy"), rule.traffic_policy.as_ref());
    let list = path.field("subsets");
    for (index, subset) in rule.subsets.iter().enumerate() {
        let at = list.index(index);
        if !names::is_label(&subset.name) {
            let message = format!("`{}` is not a valid name of a subset", subset.name);
            check.report(&codes::NAME, &at.field("name"), message, "");
        } else if rule.subsets[..index].iter().any(|other| other.name == subset.name) {
            let message = format!("there is already a subset `{}`", subset.name);
            check.report(&codes::DUPLICATE, &at.field("name"), message, "");
        }
        check.labels(&at.field("labels"), &subset.labels);
        traffic_policy(check, &at.field("trafficPolicy"), subset.traffic_policy.as_ref());
    }
    check.label_selector(&path.field("workloadSelector"), rule.workload_selector.as_ref());
    let export_to = path.field("exportTo");
    check.export_to(&export_to, &rule.export_to, false);
    if rule.workload_selector.is_some() && !rule.export_to.is_empty() {
        let own = check.object.key.namespace.as_str();
        let is_own = |entry: &String| entry == "." || entry == own;
        if !rule.export_to.iter().all(is_own) {
            let message = "a rule with a `workloadSelector` applies in its own namespace only";
            check.report(&codes::EXPORT_TO, &export_to, message, "use `.`");
        }
    }
}

fn traffic_policy(check: &mut Check<'_>, path: &Path<'_>, policy: Option<&TrafficPolicy>) {
    let Some(policy) = policy else { return };
    if *policy == TrafficPolicy::default() {
        let message = "a traffic policy must have at least one field";
        return check.report(&codes::DR_EMPTY_POLICY, path, message, "leave it out");
    }
    if policy.tunnel.is_some() && policy.proxy_protocol.is_some() {
        let message = "only one of `tunnel` and `proxyProtocol` may be set";
        check.report(&codes::EXCLUSIVE, path, message, "");
    }
    parts(
        check,
        path,
        &PortTrafficPolicy {
            port: None,
            load_balancer: policy.load_balancer.clone(),
            connection_pool: policy.connection_pool.clone(),
            outlier_detection: policy.outlier_detection.clone(),
            tls: policy.tls.clone(),
        },
    );
    let list = path.field("portLevelSettings");
    for (index, settings) in policy.port_level_settings.iter().enumerate() {
        let at = list.index(index);
        let port = at.field("port");
        match &settings.port {
            Some(selector) => check.port(&port.field("number"), selector.number),
            None => check.required(false, &port, "the port"),
        }
        let bare = PortTrafficPolicy { port: settings.port.clone(), ..Default::default() };
        if *settings == bare {
            let message = "the settings of a port must have at least one field";
            check.report(&codes::DR_EMPTY_POLICY, &at, message, "leave them out");
        }
        parts(check, &at, settings);
    }
    if let Some(settings) = &policy.tunnel {
        tunnel(check, &path.field("tunnel"), settings);
    }
    if let Some(budget) = &policy.retry_budget {
        let path = path.field("retryBudget");
        check.percent(&path.field("percent"), budget.percent.unwrap_or_default());
        check.duration(&path.field("budgetInterval"), budget.budget_interval);
    }
}

/// What holds for the whole mesh.
pub(super) fn defaults(check: &mut Check<'_>, path: &Path<'_>, policy: &DefaultTrafficPolicy) {
    if let Some(outlier) = &policy.outlier_detection {
        outlier_detection(check, &path.field("outlierDetection"), outlier);
    }
    if let Some(pool) = &policy.connection_pool {
        connection_pool(check, &path.field("connectionPool"), pool);
    }
}

fn parts(check: &mut Check<'_>, path: &Path<'_>, policy: &PortTrafficPolicy) {
    if let Some(outlier) = &policy.outlier_detection {
        outlier_detection(check, &path.field("outlierDetection"), outlier);
    }
    if let Some(pool) = &policy.connection_pool {
        connection_pool(check, &path.field("connectionPool"), pool);
    }
    if let Some(settings) = &policy.load_balancer {
        let has_outlier = policy.outlier_detection.is_some();
        load_balancer::check(check, &path.field("loadBalancer"), settings, has_outlier);
    }
    if let Some(tls) = &policy.tls {
        client_tls::check(check, &path.field("tls"), tls);
    }
}

fn tunnel(check: &mut Check<'_>, path: &Path<'_>, tunnel: &TunnelSettings) {
    if !matches!(tunnel.protocol.as_str(), "" | "CONNECT" | "POST") {
        let message = format!("`{}` is not a protocol of tunnels", tunnel.protocol);
        let hint = "use `CONNECT` or `POST`";
        check.report(&codes::DR_TUNNEL, &path.field("protocol"), message, hint);
    }
    let host = &tunnel.target_host;
    if names::check_fqdn(host).is_err() && !names::is_ip(host) {
        let message = format!("`{host}` is neither a host nor an IP address");
        check.report(&codes::DR_TUNNEL, &path.field("targetHost"), message, "");
    }
    check.port(&path.field("targetPort"), tunnel.target_port);
}

fn outlier_detection(check: &mut Check<'_>, path: &Path<'_>, outlier: &OutlierDetection) {
    check.duration(&path.field("baseEjectionTime"), outlier.base_ejection_time);
    check.duration(&path.field("interval"), outlier.interval);
    check.percent(&path.field("maxEjectionPercent"), f64::from(outlier.max_ejection_percent));
    check.percent(&path.field("minHealthPercent"), f64::from(outlier.min_health_percent));
    let local = outlier.consecutive_local_origin_failures.unwrap_or_default();
    if local > 0 && !outlier.split_external_local_origin_errors {
        let message = "`consecutiveLocalOriginFailures` needs `splitExternalLocalOriginErrors`";
        let at = path.field("consecutiveLocalOriginFailures");
        check.report(&codes::DR_OUTLIER, &at, message, "set it to `true`");
    }
    let instead = "consecutive5xxErrors";
    check.deprecated(outlier.consecutive_errors != 0, path, "consecutiveErrors", instead);
    check.unsupported(outlier.consecutive_errors != 0, path, "consecutiveErrors");
}

pub(super) fn connection_pool(
    check: &mut Check<'_>,
    path: &Path<'_>,
    pool: &ConnectionPoolSettings,
) {
    let ConnectionPoolSettings { tcp, http } = pool;
    if tcp.is_none() && http.is_none() {
        let message = "a connection pool must have `tcp` or `http`";
        check.report(&codes::DR_EMPTY_POLICY, path, message, "leave it out");
    }
    if let Some(settings) = http {
        http_settings(check, &path.field("http"), settings);
    }
    if let Some(settings) = tcp {
        tcp_settings(check, &path.field("tcp"), settings);
    }
}

fn http_settings(check: &mut Check<'_>, path: &Path<'_>, http: &HttpSettings) {
    let numbers = [
        ("http1MaxPendingRequests", http.http1_max_pending_requests),
        ("http2MaxRequests", http.http2_max_requests),
        ("maxRequestsPerConnection", http.max_requests_per_connection),
        ("maxRetries", http.max_retries),
        ("maxConcurrentStreams", http.max_concurrent_streams),
    ];
    for (name, number) in numbers {
        check.not_negative(&path.field(name), i64::from(number));
    }
    check.duration(&path.field("idleTimeout"), http.idle_timeout);
    if let Some(keep_alive) = &http.http2_keep_alive {
        let path = path.field("http2KeepAlive");
        check.duration(&path.field("interval"), keep_alive.interval);
        check.duration(&path.field("timeout"), keep_alive.timeout);
    }
    if http.h2_upgrade_policy == H2UpgradePolicy::Upgrade && http.use_client_protocol {
        let message = "`useClientProtocol` contradicts `h2UpgradePolicy: UPGRADE`";
        check.report(&codes::DR_POOL, path, message, "keep one of them");
    }
}

fn tcp_settings(check: &mut Check<'_>, path: &Path<'_>, tcp: &TcpSettings) {
    check.not_negative(&path.field("maxConnections"), i64::from(tcp.max_connections));
    check.duration(&path.field("connectTimeout"), tcp.connect_timeout);
    check.duration(&path.field("maxConnectionDuration"), tcp.max_connection_duration);
    check.duration(&path.field("idleTimeout"), tcp.idle_timeout);
    if let Some(keepalive) = &tcp.tcp_keepalive {
        let path = path.field("tcpKeepalive");
        check.duration(&path.field("time"), keepalive.time);
        check.duration(&path.field("interval"), keepalive.interval);
    }
}
