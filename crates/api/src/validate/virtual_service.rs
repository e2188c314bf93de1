//! VirtualService: hosts, gateways, TLS and TCP rules.

use model::Hostname;

use super::{Check, Path, http_route, names, reach};
use crate::{
    codes,
    istio::virtual_service::{
        Destination, L4MatchAttributes, RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute,
        VirtualService,
    },
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, service: &VirtualService) {
    let is_delegate = service.hosts.is_empty();
    if is_delegate {
        let set = [
            ("gateways", !service.gateways.is_empty()),
            ("tls", !service.tls.is_empty()),
            ("tcp", !service.tcp.is_empty()),
        ];
        for (name, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
            let message = format!("a VirtualService without hosts cannot have `{name}`");
            let hint = "add hosts, unless it is the target of a `delegate`";
            check.report(&codes::VS_DELEGATE, &path.field(name), message, hint);
        }
    }
    gateways(check, &path.field("gateways"), &service.gateways);
    let on_gateways_only = on_gateways_only(service);
    hosts(check, &path.field("hosts"), service, on_gateways_only);
    if service.http.is_empty() && service.tls.is_empty() && service.tcp.is_empty() {
        let message = "one of `http`, `tls` and `tcp` must be set";
        check.report(&codes::REQUIRED, path, message, "");
    }
    let list = path.field("http");
    for (index, route) in service.http.iter().enumerate() {
        http_route::check(check, &list.index(index), route, is_delegate, on_gateways_only);
    }
    let list = path.field("tls");
    for (index, route) in service.tls.iter().enumerate() {
        tls(check, &list.index(index), route, service);
    }
    let list = path.field("tcp");
    for (index, route) in service.tcp.iter().enumerate() {
        tcp(check, &list.index(index), route);
    }
    check.export_to(&path.field("exportTo"), &service.export_to, false);
    reach::check(check, path, service);
}

fn on_gateways_only(service: &VirtualService) -> bool {
    !service.gateways.is_empty() && !service.gateways.iter().any(|name| name == "mesh")
}

fn hosts(check: &mut Check<'_>, path: &Path<'_>, service: &VirtualService, on_gateways: bool) {
    let has_sni = service.tls.iter().flat_map(|tls| &tls.match_).any(|m| !m.sni_hosts.is_empty());
    let mut valid = true;
    for (index, host) in service.hosts.iter().enumerate() {
        let at = path.index(index);
        if names::is_ip(host) || (on_gateways && has_sni && host.starts_with("outbound_.")) {
            continue;
        }
        if !check.wildcard_host(&at, host) {
            valid = false;
        } else if host == "*" && !on_gateways {
            let message = "the host `*` is only possible with a gateway";
            check.report(&codes::VS_WILDCARD, &at, message, "name the hosts, or set `gateways`");
            valid = false;
        }
    }
    if !valid {
        return;
    }
    let hosts: Vec<Hostname> = service.hosts.iter().map(|host| Hostname::new(host)).collect();
    for (index, host) in hosts.iter().enumerate() {
        if let Some(other) = hosts[..index].iter().find(|other| other.overlaps(host)) {
            let message = format!("the host `{host}` overlaps `{other}` of the same object");
            check.report(&codes::VS_DUPLICATE_HOST, &path.index(index), message, "");
        }
    }
}

pub(super) fn gateways(check: &mut Check<'_>, path: &Path<'_>, gateways: &[String]) {
    for (index, gateway) in gateways.iter().enumerate() {
        let at = path.index(index);
        let Some((namespace, name)) = gateway.split_once('/') else {
            if names::check_fqdn(gateway).is_err() {
                let message = format!("`{gateway}` is not a valid name of a gateway");
                check.report(&codes::VS_GATEWAY_NAME, &at, message, "use `namespace/name`");
            } else if let Some((name, rest)) = gateway.split_once('.') {
                let namespace = rest.split('.').next().unwrap_or_default();
                let message = format!("`{gateway}` is the old form of a gateway's name");
                let hint = format!("use `{namespace}/{name}`");
                check.report(&codes::VS_GATEWAY_LEGACY, &at, message, hint);
            }
            continue;
        };
        if !names::is_label(namespace) || !names::is_label(name) {
            let message = format!("`{gateway}` is not a valid name of a gateway");
            check.report(&codes::VS_GATEWAY_NAME, &at, message, "use `namespace/name`");
        }
    }
}

fn tls(check: &mut Check<'_>, path: &Path<'_>, route: &TlsRoute, service: &VirtualService) {
    let matches = path.field("match");
    check.required(!route.match_.is_empty(), &matches, "at least one match");
    for (index, tls_match) in route.match_.iter().enumerate() {
        let TlsMatchAttributes {
            sni_hosts,
            destination_subnets,
            port,
            source_labels,
            gateways: names,
            source_namespace: _,
        } = tls_match;
        let at = matches.index(index);
        let sni = at.field("sniHosts");
        if sni_hosts.is_empty() {
            check.report(&codes::VS_SNI, &sni, "at least one SNI host must be set", "");
        }
        for (index, host) in sni_hosts.iter().enumerate() {
            sni_host(check, &sni.index(index), host, service);
        }
        check.subnets(&at.field("destinationSubnets"), destination_subnets);
        if *port != 0 {
            check.port(&at.field("port"), *port);
        }
        check.labels(&at.field("sourceLabels"), source_labels);
        gateways(check, &at.field("gateways"), names);
    }
    destinations(check, &path.field("route"), &route.route);
}

fn sni_host(check: &mut Check<'_>, path: &Path<'_>, host: &str, service: &VirtualService) {
    if names::is_ip(host) {
        let message = format!("`{host}` is an address, and clients send no address as SNI");
        return check.report(&codes::VS_SNI_ADDRESS, path, message, "use a DNS name");
    }
    let is_generated = on_gateways_only(service) && host.starts_with("outbound_.");
    if !is_generated && !check.wildcard_host(path, host) {
        return;
    }
    let name = Hostname::new(host);
    if !service.hosts.iter().any(|own| Hostname::new(own).covers(&name)) {
        let message = format!("the SNI host `{host}` is not covered by the hosts of the object");
        check.report(&codes::VS_SNI, path, message, "add it to `hosts`");
    }
}

fn tcp(check: &mut Check<'_>, path: &Path<'_>, route: &TcpRoute) {
    let matches = path.field("match");
    for (index, tcp_match) in route.match_.iter().enumerate() {
        let L4MatchAttributes {
            destination_subnets,
            port,
            source_subnet,
            source_labels,
            gateways: names,
            source_namespace: _,
        } = tcp_match;
        let at = matches.index(index);
        check.subnets(&at.field("destinationSubnets"), destination_subnets);
        if *port != 0 {
            check.port(&at.field("port"), *port);
        }
        check.unsupported(!source_subnet.is_empty(), &at, "sourceSubnet");
        check.labels(&at.field("sourceLabels"), source_labels);
        gateways(check, &at.field("gateways"), names);
    }
    destinations(check, &path.field("route"), &route.route);
}

fn destinations(check: &mut Check<'_>, path: &Path<'_>, routes: &[RouteDestination]) {
    check.required(!routes.is_empty(), path, "at least one destination");
    for (index, route) in routes.iter().enumerate() {
        let at = path.index(index);
        let to = at.field("destination");
        check.required(route.destination.is_some(), &to, "the destination");
        destination(check, &to, route.destination.as_ref());
    }
    weights(check, path, routes.iter().map(|route| route.weight));
}

/// Weights are shares of their sum, which must not be zero when there is a choice.
pub(super) fn weights(check: &mut Check<'_>, path: &Path<'_>, weights: impl Iterator<Item = i32>) {
    let (mut count, mut sum) = (0, 0i64);
    for (index, weight) in weights.enumerate() {
        if weight < 0 {
            let at = path.index(index);
            let message = format!("the weight {weight} is negative");
            check.report(&codes::VS_WEIGHT, &at.field("weight"), message, "");
        }
        count += 1;
        sum += i64::from(weight);
    }
    if count > 1 && sum == 0 {
        let message = "the weights of several destinations add up to 0";
        check.report(&codes::VS_WEIGHT, path, message, "give each destination a weight");
    } else if sum > i64::from(u32::MAX) {
        check.report(&codes::VS_WEIGHT, path, "the sum of the weights is too large", "");
    }
}

pub(super) fn destination(
    check: &mut Check<'_>,
    path: &Path<'_>,
    destination: Option<&Destination>,
) {
    let Some(destination) = destination else { return };
    let host = path.field("host");
    if destination.host == "*" {
        check.report(&codes::HOST, &host, "a destination cannot be `*`", "name one service");
    } else {
        check.wildcard_host(&host, &destination.host);
    }
    if !destination.subset.is_empty() && !names::is_label(&destination.subset) {
        let message = format!("`{}` is not a valid name of a subset", destination.subset);
        check.report(&codes::NAME, &path.field("subset"), message, "");
    }
    if let Some(port) = &destination.port {
        let at = path.field("port");
        check.port(&at.field("number"), port.number);
    }
}
