//! Sidecar: listeners and what they may reach.

use std::collections::{BTreeMap, BTreeSet};

use model::Protocol;

use super::{
    Check, Path, destination_rule, gateway, names, service_entry::is_http, virtual_service,
};
use crate::{
    codes,
    istio::{
        gateway::{ServerTlsMode, ServerTlsSettings},
        sidecar::{
            CaptureMode, IstioEgressListener, IstioIngressListener, OutboundTrafficPolicy,
            OutboundTrafficPolicyMode, Sidecar, SidecarPort,
        },
    },
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, sidecar: &Sidecar) {
    check.workload_selector(&path.field("workloadSelector"), sidecar.workload_selector.as_ref());
    let is_empty = sidecar.egress.is_empty()
        && sidecar.ingress.is_empty()
        && sidecar.outbound_traffic_policy.is_none()
        && sidecar.inbound_connection_pool.is_none();
    if is_empty {
        let message = "the Sidecar has no settings";
        let hint = "set `egress`, `ingress` or `outboundTrafficPolicy`";
        return check.report(&codes::SC_EMPTY, path, message, hint);
    }
    let list = path.field("ingress");
    let mut ports = BTreeSet::new();
    for (index, listener) in sidecar.ingress.iter().enumerate() {
        ingress(check, &list.index(index), listener, &mut ports);
    }
    if let Some(pool) = &sidecar.inbound_connection_pool {
        destination_rule::connection_pool(check, &path.field("inboundConnectionPool"), pool);
    }
    let list = path.field("egress");
    let mut bound = BTreeSet::new();
    for (index, listener) in sidecar.egress.iter().enumerate() {
        let at = list.index(index);
        if listener.port.is_none() && index + 1 < sidecar.egress.len() {
            let message = "a listener without a port must be the last one";
            check.report(&codes::SC_CATCH_ALL, &at, message, "");
        }
        egress(check, &at, listener, &mut bound);
    }
    if let Some(policy) = &sidecar.outbound_traffic_policy {
        outbound(check, &path.field("outboundTrafficPolicy"), policy);
    }
}

fn port_fields(check: &mut Check<'_>, path: &Path<'_>, port: &SidecarPort) {
    if !port.name.is_empty() {
        check.port_name(&path.field("name"), &port.name);
    }
    check.protocol(&path.field("protocol"), &port.protocol);
    if port.target_port > 0 {
        let message = "`targetPort` has no meaning for a Sidecar";
        check.report(&codes::SC_LISTENER, &path.field("targetPort"), message, "leave it out");
    }
}

fn ingress(
    check: &mut Check<'_>,
    path: &Path<'_>,
    listener: &IstioIngressListener,
    ports: &mut BTreeSet<u32>,
) {
    let at = path.field("port");
    let Some(port) = &listener.port else {
        return check.required(false, &at, "the port");
    };
    port_fields(check, &at, port);
    check.port(&at.field("number"), port.number);
    if !listener.bind.is_empty() {
        check.ip(&path.field("bind"), &listener.bind);
    }
    if !ports.insert(port.number) {
        let message = format!("there is already a listener on the port {}", port.number);
        check.report(&codes::DUPLICATE, &at.field("number"), message, "");
    }
    default_endpoint(check, &path.field("defaultEndpoint"), &listener.default_endpoint);
    if let Some(settings) = &listener.tls {
        tls(check, &path.field("tls"), settings);
        check.unsupported(true, path, "tls");
    }
    if let Some(pool) = &listener.connection_pool {
        destination_rule::connection_pool(check, &path.field("connectionPool"), pool);
        if pool.http.is_some() && !is_http(Protocol::parse(&port.protocol)) {
            let message = "HTTP settings have no effect on a port without HTTP";
            check.report(&codes::NO_EFFECT, &path.field("connectionPool"), message, "");
        }
    }
}

/// `127.0.0.1:port`, `0.0.0.0:port`, the same for IPv6, `:port`, or a socket.
fn default_endpoint(check: &mut Check<'_>, path: &Path<'_>, endpoint: &str) {
    if endpoint.is_empty() {
        return;
    }
    if let Some(socket) = endpoint.strip_prefix("unix://") {
        if let Err(reason) = names::check_socket(socket) {
            check.report(&codes::SC_ENDPOINT, path, reason, "");
        }
        return;
    }
    let (host, port) = endpoint.rsplit_once(':').unwrap_or((endpoint, ""));
    let is_local = matches!(host, "" | "127.0.0.1" | "0.0.0.0" | "[::1]" | "[::]");
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    if !is_local || !is_port {
        let message = format!("`{endpoint}` is not an endpoint of the workload");
        let hint =
            "use `127.0.0.1:PORT`, `0.0.0.0:PORT`, `[::1]:PORT`, `[::]:PORT` or `unix://PATH`";
        check.report(&codes::SC_ENDPOINT, path, message, hint);
    }
}

fn tls(check: &mut Check<'_>, path: &Path<'_>, tls: &ServerTlsSettings) {
    let refused = [
        ("subjectAltNames", !tls.subject_alt_names.is_empty()),
        ("httpsRedirect", tls.https_redirect),
        ("credentialName", !tls.credential_name.is_empty()),
        ("mode", matches!(tls.mode, ServerTlsMode::IstioMutual | ServerTlsMode::AutoPassthrough)),
    ];
    for (name, _) in refused.into_iter().filter(|(_, is_set)| *is_set) {
        let message = format!("this value of `{name}` is not possible in a Sidecar");
        check.report(&codes::SC_TLS, &path.field(name), message, "");
    }
    gateway::tls(check, path, tls);
}

fn egress<'l>(
    check: &mut Check<'_>,
    path: &Path<'_>,
    listener: &'l IstioEgressListener,
    bound: &mut BTreeSet<(u32, &'l str)>,
) {
    let bind = path.field("bind");
    if let Some(port) = &listener.port {
        let at = path.field("port");
        port_fields(check, &at, port);
        let key = if port.number == 0 {
            let socket = listener.bind.strip_prefix("unix://");
            let result = socket.map_or(Err("the port 0 needs a socket"), names::check_socket);
            if let Err(reason) = result {
                check.report(&codes::SC_LISTENER, &bind, reason, "write it as `unix://PATH`");
            }
            if listener.capture_mode == CaptureMode::Iptables {
                let message = "traffic to a socket cannot be captured";
                check.report(&codes::SC_LISTENER, &path.field("captureMode"), message, "");
            }
            (0, listener.bind.as_str())
        } else {
            check.port(&at.field("number"), port.number);
            if !listener.bind.is_empty() {
                check.ip(&bind, &listener.bind);
            }
            (port.number, "")
        };
        if !bound.insert(key) {
            let message = "there is already a listener on this port or socket";
            check.report(&codes::DUPLICATE, &at, message, "");
        }
    }
    egress_hosts(check, &path.field("hosts"), &listener.hosts);
}

fn egress_hosts(check: &mut Check<'_>, path: &Path<'_>, hosts: &[String]) {
    check.required(!hosts.is_empty(), path, "at least one host");
    let own = check.object.key.namespace.clone();
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (index, text) in hosts.iter().enumerate() {
        let at = path.index(index);
        // `~` before a namespace, or in its place, keeps the hosts out that follow.
        let (is_excluded, written) = match text.strip_prefix('~') {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        let Some((namespace, host)) = written.split_once('/') else {
            let message = format!("`{text}` is not of the form `namespace/host`");
            let mark = if is_excluded { "~" } else { "" };
            let hint = format!("write `{mark}./{written}` or `{mark}*/{written}`");
            check.report(&codes::SC_EGRESS_HOST, &at, message, hint);
            continue;
        };
        let is_any = namespace == "*" || (is_excluded && namespace.is_empty());
        if !is_any && namespace != "." && !names::is_label(namespace) {
            let message = format!("`{namespace}` is not a namespace");
            check.report(&codes::SC_EGRESS_HOST, &at, message, "use a namespace, `*`, `.` or `~`");
        }
        egress_host(check, &at, host);
        if is_excluded {
            continue;
        }
        let namespace = if namespace == "." { own.as_str() } else { namespace };
        let known = seen.entry(namespace).or_default();
        let is_covered = known.contains(host) || known.contains("*");
        if is_covered || (host == "*" && !known.is_empty()) {
            let message = format!("the host `{text}` overlaps another one of the listener");
            check.report(&codes::SC_DUPLICATE_HOST, &at, message, "");
        }
        known.insert(host);
    }
    if seen.len() > 1 && seen.get("*").is_some_and(|hosts| hosts.contains("*")) {
        let message = "`*/*` stands for everything, so the other hosts have no effect";
        check.report(&codes::SC_DUPLICATE_HOST, path, message, "");
    }
}

fn egress_host(check: &mut Check<'_>, path: &Path<'_>, host: &str) {
    if host != "*" && !host.contains('.') {
        let message = format!("`{host}` is a short name");
        let hint = "write the full name, such as `reviews.shop.svc.cluster.local`";
        check.report(&codes::SC_EGRESS_HOST, path, message, hint);
    } else if let Err(reason) = names::check_wildcard_host(host) {
        let message = format!("the host `{host}` {reason}");
        check.report(&codes::SC_EGRESS_HOST, path, message, "");
    } else if names::is_partial_wildcard(host) {
        let message = format!("the wildcard of `{host}` stands for a part of a label");
        check.report(&codes::SC_EGRESS_HOST, path, message, "use `*.` and a domain");
    }
}

fn outbound(check: &mut Check<'_>, path: &Path<'_>, policy: &OutboundTrafficPolicy) {
    let Some(proxy) = &policy.egress_proxy else { return };
    let at = path.field("egressProxy");
    if policy.mode != OutboundTrafficPolicyMode::AllowAny {
        let message = "an egress proxy needs the mode ALLOW_ANY";
        return check.report(&codes::SC_PROXY, &at, message, "set `mode: ALLOW_ANY`");
    }
    check.fqdn(&at.field("host"), &proxy.host);
    if proxy.port.is_none() {
        let message = "the port of the egress proxy must be set";
        check.report(&codes::SC_PROXY, &at.field("port"), message, "");
    }
    virtual_service::destination(check, &at, Some(proxy));
}
