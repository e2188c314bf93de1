//! WorkloadEntry, WorkloadGroup and ProxyConfig.

use super::{Check, Path, names};
use crate::{
    codes,
    istio::{
        proxy_config::ProxyConfig,
        service_entry::ServiceEntry,
        workload_entry::{ReadinessProbe, WorkloadEntry, WorkloadGroup},
    },
};

pub(super) fn entry(check: &mut Check<'_>, path: &Path<'_>, entry: &WorkloadEntry) {
    self::check(check, path, entry, None);
}

/// A workload by itself, or an endpoint of a service with static addresses.
pub(super) fn check(
    check: &mut Check<'_>,
    path: &Path<'_>,
    entry: &WorkloadEntry,
    service: Option<&ServiceEntry>,
) {
    let at = path.field("address");
    let address = entry.address.as_str();
    if address.is_empty() {
        if entry.network.is_empty() {
            return check.required(false, &at, "the address");
        }
        let message = "without an address the workload is reached through its network's gateway";
        check.report(&codes::WE_NO_ADDRESS, &at, message, "");
    } else if let Some(socket) = address.strip_prefix("unix://") {
        if let Err(reason) = names::check_socket(socket) {
            check.report(&codes::WE_SOCKET, &at, reason, "");
        }
        if !entry.ports.is_empty() {
            let message = "a socket has no ports";
            check.report(&codes::WE_SOCKET, &path.field("ports"), message, "leave them out");
        }
        if service.is_some_and(|service| service.ports.len() != 1) {
            let message = "a socket serves exactly one port of the service";
            check.report(&codes::WE_SOCKET, &at, message, "");
        }
    } else if !names::is_ip(address) && (service.is_some() || names::check_fqdn(address).is_err()) {
        let expected = if service.is_some() { "" } else { " or a host" };
        let message = format!("`{address}` is not an IP address{expected}");
        let hint = if service.is_some() { "use `resolution: DNS` for hosts" } else { "" };
        check.report(&codes::ADDRESS, &at, message, hint);
    }
    ports(check, &path.field("ports"), entry, service);
    check.workload_labels(&path.field("labels"), &entry.labels);
}

pub(super) fn ports(
    check: &mut Check<'_>,
    path: &Path<'_>,
    entry: &WorkloadEntry,
    service: Option<&ServiceEntry>,
) {
    for (name, port) in &entry.ports {
        let at = path.key(name);
        let is_known = |service: &ServiceEntry| service.ports.iter().any(|p| p.name == *name);
        if service.is_some_and(|service| !is_known(service)) {
            let message = format!("the service has no port with the name `{name}`");
            check.report(&codes::SE_PORT_UNKNOWN, &at, message, "");
        }
        check.port_name(&at, name);
        check.port(&at, *port);
    }
}

pub(super) fn group(check: &mut Check<'_>, path: &Path<'_>, group: &WorkloadGroup) {
    check.later();
    check.required(group.template.is_some(), &path.field("template"), "the template");
    if let Some(template) = &group.template {
        let path = path.field("template");
        ports(check, &path.field("ports"), template, None);
        check.workload_labels(&path.field("labels"), &template.labels);
    }
    if let Some(metadata) = &group.metadata {
        let path = path.field("metadata");
        check.labels(&path.field("labels"), &metadata.labels);
    }
    if let Some(readiness) = &group.probe {
        probe(check, &path.field("probe"), readiness);
    }
}

fn probe(check: &mut Check<'_>, path: &Path<'_>, probe: &ReadinessProbe) {
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (name, number) in numbers {
        check.not_negative(&path.field(name), i64::from(number));
    }
    let given = [
        probe.http_get.is_some(),
        probe.tcp_socket.is_some(),
        probe.exec.is_some(),
        probe.grpc.is_some(),
    ];
    if given.iter().filter(|is_set| **is_set).count() != 1 {
        let message = "exactly one of `httpGet`, `tcpSocket`, `exec` and `grpc` must be set";
        check.report(&codes::ONE_OF, path, message, "");
    }
    if let Some(get) = &probe.http_get {
        let path = path.field("httpGet");
        check.port(&path.field("port"), get.port);
        if !matches!(get.scheme.as_str(), "" | "HTTP" | "HTTPS") {
            let message = format!("`{}` is not a scheme", get.scheme);
            let hint = "use `HTTP` or `HTTPS`";
            check.report(&codes::WG_PROBE, &path.field("scheme"), message, hint);
        }
        let list = path.field("httpHeaders");
        for (index, header) in get.http_headers.iter().enumerate() {
            if !names::is_header_name(&header.name) {
                let message = format!("`{}` is not a valid name of a header", header.name);
                check.report(&codes::HEADER_NAME, &list.index(index), message, "");
            }
        }
    }
    if let Some(tcp) = &probe.tcp_socket {
        let path = path.field("tcpSocket");
        check.port(&path.field("port"), tcp.port);
    }
    if let Some(grpc) = &probe.grpc {
        let path = path.field("grpc");
        check.port(&path.field("port"), grpc.port);
    }
    if probe.exec.as_ref().is_some_and(|exec| exec.command.is_empty()) {
        let path = path.field("exec");
        check.report(&codes::WG_PROBE, &path.field("command"), "the command must be set", "");
    }
}

pub(super) fn proxy_config(check: &mut Check<'_>, path: &Path<'_>, config: &ProxyConfig) {
    check.later();
    check.label_selector(&path.field("selector"), config.selector.as_ref());
    let concurrency = config.concurrency.unwrap_or_default();
    check.not_negative(&path.field("concurrency"), i64::from(concurrency));
}
