//! ServiceEntry.

use model::Protocol;

use super::{Check, Path, names, workload};
use crate::{
    codes,
    istio::service_entry::{Resolution, ServiceEntry},
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, entry: &ServiceEntry) {
    check.workload_selector(&path.field("workloadSelector"), entry.workload_selector.as_ref());
    if entry.workload_selector.is_some() && !entry.endpoints.is_empty() {
        let message = "only one of `workloadSelector` and `endpoints` may be set";
        check.report(&codes::EXCLUSIVE, path, message, "");
    }
    hosts(check, &path.field("hosts"), entry);
    let addresses = path.field("addresses");
    check.subnets(&addresses, &entry.addresses);
    let has_range = entry.addresses.iter().any(|address| address.contains('/'));
    if has_range && !matches!(entry.resolution, Resolution::None | Resolution::Static) {
        let message = "address ranges are only possible with the resolution NONE or STATIC";
        check.report(&codes::SE_CIDR, &addresses, message, "");
    }
    ports(check, &path.field("ports"), entry);
    resolution(check, path, entry);
    let is_opaque = |protocol: &str| {
        let protocol = Protocol::parse(protocol);
        !is_http(protocol) && !matches!(protocol, Protocol::Https | Protocol::Tls)
    };
    if entry.resolution != Resolution::None
        && entry.hosts.len() > 1
        && let Some(index) = entry.ports.iter().position(|port| is_opaque(&port.protocol))
    {
        let message = "several hosts cannot be told apart on a port without HTTP or TLS";
        let hint = "use one ServiceEntry per host";
        let path = path.field("ports");
        check.report(&codes::SE_TCP_HOSTS, &path.index(index), message, hint);
    }
    check.export_to(&path.field("exportTo"), &entry.export_to, true);
}

pub(super) fn is_http(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::Http | Protocol::Http2 | Protocol::HttpProxy | Protocol::Grpc | Protocol::GrpcWeb
    )
}

fn hosts(check: &mut Check<'_>, path: &Path<'_>, entry: &ServiceEntry) {
    check.required(!entry.hosts.is_empty(), path, "at least one host");
    for (index, host) in entry.hosts.iter().enumerate() {
        let at = path.index(index);
        if host == "*" {
            let message = "a ServiceEntry cannot stand for every host";
            check.report(&codes::SE_WILDCARD, &at, message, "name the hosts");
            continue;
        }
        check.wildcard_host(&at, host);
        if names::is_partial_wildcard(host) {
            let message = format!("the wildcard of `{host}` stands for a part of a label");
            check.report(&codes::SE_PARTIAL_WILDCARD, &at, message, "use `*.` and a domain");
        }
    }
}

fn ports(check: &mut Check<'_>, path: &Path<'_>, entry: &ServiceEntry) {
    for (index, port) in entry.ports.iter().enumerate() {
        let at = path.index(index);
        let before = &entry.ports[..index];
        if before.iter().any(|other| other.name == port.name) {
            let message = format!("there is already a port with the name `{}`", port.name);
            check.report(&codes::DUPLICATE, &at.field("name"), message, "");
        }
        if before.iter().any(|other| other.number == port.number) {
            let message = format!("there is already a port {}", port.number);
            check.report(&codes::DUPLICATE, &at.field("number"), message, "");
        }
        check.port_name(&at.field("name"), &port.name);
        check.protocol(&at.field("protocol"), &port.protocol);
        check.port(&at.field("number"), port.number);
        if port.target_port != 0 {
            check.port(&at.field("targetPort"), port.target_port);
            if entry.resolution == Resolution::None {
                let message = "`targetPort` has no effect with the resolution NONE";
                check.report(&codes::NO_EFFECT, &at.field("targetPort"), message, "");
            }
        }
    }
}

fn resolution(check: &mut Check<'_>, path: &Path<'_>, entry: &ServiceEntry) {
    let selector = path.field("workloadSelector");
    let endpoints = path.field("endpoints");
    let is_selected = entry.workload_selector.is_some();
    match entry.resolution {
        Resolution::None => {
            if !entry.endpoints.is_empty() {
                let message = "endpoints are not possible with the resolution NONE";
                let hint = "set `resolution: STATIC`";
                check.report(&codes::SE_ENDPOINTS, &endpoints, message, hint);
            }
        }
        Resolution::Static => {
            for (index, endpoint) in entry.endpoints.iter().enumerate() {
                let at = endpoints.index(index);
                workload::check(check, &at, endpoint, Some(entry));
            }
        }
        Resolution::Dns | Resolution::DnsRoundRobin => dns(check, path, entry),
        Resolution::DynamicDns => (),
    }
    if is_selected && entry.resolution != Resolution::Static {
        let message = "`workloadSelector` has no effect without `resolution: STATIC`";
        check.report(&codes::NO_EFFECT, &selector, message, "");
    }
}

fn dns(check: &mut Check<'_>, path: &Path<'_>, entry: &ServiceEntry) {
    let endpoints = path.field("endpoints");
    if entry.endpoints.is_empty() {
        let list = path.field("hosts");
        for (index, host) in entry.hosts.iter().enumerate() {
            if host.contains('*') {
                let message = format!("the host `{host}` cannot be resolved");
                let hint = "name a host without wildcard, or set `endpoints`";
                check.report(&codes::SE_ENDPOINTS, &list.index(index), message, hint);
            }
        }
    }
    if entry.resolution == Resolution::DnsRoundRobin && entry.endpoints.len() > 1 {
        let message = "DNS_ROUND_ROBIN allows one endpoint at most";
        check.report(&codes::SE_ENDPOINTS, &endpoints, message, "use `resolution: DNS`");
    }
    for (index, endpoint) in entry.endpoints.iter().enumerate() {
        let at = endpoints.index(index);
        let address = &endpoint.address;
        if !names::is_ip(address) && names::check_fqdn(address).is_err() {
            let message = format!("`{address}` is neither an IP address nor a host");
            check.report(&codes::ADDRESS, &at.field("address"), message, "");
        }
        check.workload_labels(&at.field("labels"), &endpoint.labels);
        workload::ports(check, &at.field("ports"), endpoint, Some(entry));
    }
}
