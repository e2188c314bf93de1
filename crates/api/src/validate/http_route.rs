//! HTTP rules of a VirtualService: what they match and where they send.

use std::collections::BTreeMap;

use super::{Check, Path, http_action, names, virtual_service};
use crate::{
    codes,
    istio::{
        StringMatch,
        virtual_service::{Headers, HttpMatchRequest, HttpMirrorPolicy, HttpRoute},
    },
};

pub(super) fn check(
    check: &mut Check<'_>,
    path: &Path<'_>,
    route: &HttpRoute,
    is_delegate: bool,
    on_gateways_only: bool,
) {
    conflicts(check, path, route, is_delegate);
    let delegates = is_delegate || route.delegate.is_some();
    let matches = path.field("match");
    for (index, request) in route.match_.iter().enumerate() {
        match_request(check, &matches.index(index), request, delegates);
        if !on_gateways_only {
            claims(check, &matches.index(index), request);
        }
    }
    headers(check, &path.field("headers"), route.headers.as_ref());
    mirrors(check, path, route);
    http_action::check(check, path, route);
    let list = path.field("route");
    for (index, route) in route.route.iter().enumerate() {
        let at = list.index(index);
        let to = at.field("destination");
        check.required(route.destination.is_some(), &to, "the destination");
        virtual_service::destination(check, &to, route.destination.as_ref());
        headers(check, &at.field("headers"), route.headers.as_ref());
    }
    virtual_service::weights(check, &list, route.route.iter().map(|route| route.weight));
    check.duration(&path.field("timeout"), route.timeout);
}

/// A rule has one action; the rest must go with it.
fn conflicts(check: &mut Check<'_>, path: &Path<'_>, route: &HttpRoute, is_delegate: bool) {
    if route.delegate.is_some() {
        if is_delegate {
            let message = "the target of a `delegate` cannot delegate again";
            check.report(&codes::VS_DELEGATE, &path.field("delegate"), message, "");
            return;
        }
        let set = [
            ("redirect", route.redirect.is_some()),
            ("route", !route.route.is_empty()),
            ("directResponse", route.direct_response.is_some()),
        ];
        for (name, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
            let message = format!("a rule cannot have both `delegate` and `{name}`");
            check.report(&codes::VS_DELEGATE, &path.field(name), message, "");
        }
        return;
    }
    let set = [
        ("route", !route.route.is_empty()),
        ("fault", route.fault.is_some()),
        ("rewrite", route.rewrite.is_some()),
    ];
    let (action, forbidden) = match (&route.redirect, &route.direct_response) {
        (Some(_), Some(_)) => {
            let message = "a rule cannot have both `redirect` and `directResponse`";
            return check.report(&codes::VS_ROUTE_CONFLICT, path, message, "");
        }
        (Some(_), None) => ("redirect", &set[..]),
        (None, Some(_)) => ("directResponse", &set[..]),
        (None, None) => {
            if route.route.is_empty() {
                let message =
                    "one of `route`, `redirect`, `directResponse` and `delegate` must be set";
                check.report(&codes::VS_ROUTE_CONFLICT, path, message, "");
            }
            return;
        }
    };
    for (name, _) in forbidden.iter().filter(|(_, is_set)| *is_set) {
        // A direct response may be delayed or replaced by a fault.
        if (action, *name) == ("directResponse", "fault") {
            continue;
        }
        let message = format!("a rule cannot have both `{action}` and `{name}`");
        check.report(&codes::VS_ROUTE_CONFLICT, &path.field(name), message, "");
    }
}

fn match_request(
    check: &mut Check<'_>,
    path: &Path<'_>,
    request: &HttpMatchRequest,
    delegates: bool,
) {
    let texts = [
        ("uri", &request.uri),
        ("scheme", &request.scheme),
        ("method", &request.method),
        ("authority", &request.authority),
    ];
    for (name, text) in texts {
        check.string_match(&path.field(name), text.as_ref());
        no_regex(check, &path.field(name), text.as_ref(), delegates);
    }
    let maps = [
        ("headers", &request.headers),
        ("withoutHeaders", &request.without_headers),
        ("queryParams", &request.query_params),
    ];
    for (name, map) in maps {
        let path = path.field(name);
        for (key, text) in map {
            let at = path.key(key);
            if name != "queryParams" && !names::is_header_name(key) && !names::is_claim(key) {
                let message = format!("`{key}` is not a valid name of a header");
                check.report(&codes::HEADER_NAME, &at, message, "");
            }
            check.string_match(&at, Some(text));
            no_regex(check, &at, Some(text), delegates);
        }
    }
    if request.port != 0 {
        check.port(&path.field("port"), request.port);
    }
    check.labels(&path.field("sourceLabels"), &request.source_labels);
    virtual_service::gateways(check, &path.field("gateways"), &request.gateways);
    if !request.source_namespace.is_empty() && !names::is_label(&request.source_namespace) {
        let message = format!("`{}` is not a namespace", request.source_namespace);
        check.report(&codes::NAME, &path.field("sourceNamespace"), message, "");
    }
}

/// The matches of a root and its delegate are combined, which is impossible for expressions.
fn no_regex(check: &mut Check<'_>, path: &Path<'_>, text: Option<&StringMatch>, delegates: bool) {
    if delegates && matches!(text, Some(StringMatch::Regex(_))) {
        let message = "regular expressions are not possible together with `delegate`";
        check.report(&codes::VS_DELEGATE, path, message, "use `exact` or `prefix`");
    }
}

fn claims(check: &mut Check<'_>, path: &Path<'_>, request: &HttpMatchRequest) {
    for (name, map) in [("headers", &request.headers), ("withoutHeaders", &request.without_headers)]
    {
        for key in map.keys().filter(|key| names::is_claim(key)) {
            let message = format!("routing by the claim `{key}` is only possible on gateways");
            let hint = "set `gateways` without `mesh`";
            let path = path.field(name);
            check.report(&codes::VS_CLAIM, &path.key(key), message, hint);
        }
    }
}

pub(super) fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

fn headers(check: &mut Check<'_>, path: &Path<'_>, headers: Option<&Headers>) {
    let Some(headers) = headers else { return };
    for (side, operations) in [("request", &headers.request), ("response", &headers.response)] {
        let Some(operations) = operations else { continue };
        let path = path.field(side);
        for (name, values) in [("set", &operations.set), ("add", &operations.add)] {
            header_values(check, &path.field(name), values, side == "request");
        }
        let list = path.field("remove");
        for (index, name) in operations.remove.iter().enumerate() {
            if name.is_empty() || name.starts_with(':') || name.eq_ignore_ascii_case("host") {
                let message = format!("the header `{name}` cannot be removed");
                check.report(&codes::HEADER_NAME, &list.index(index), message, "");
            }
        }
    }
}

fn header_values(
    check: &mut Check<'_>,
    path: &Path<'_>,
    values: &BTreeMap<String, String>,
    is_request: bool,
) {
    for (name, value) in values {
        let is_internal = name.starts_with(':') || name.eq_ignore_ascii_case("host");
        if name.is_empty() || (is_internal && !(is_request && is_authority(name))) {
            let message = format!("the header `{name}` cannot be set here");
            check.report(&codes::HEADER_NAME, &path.key(name), message, "");
        }
        if !names::is_header_value(value) {
            let message = format!("`{value}` is not a valid value of a header");
            check.report(&codes::HEADER_VALUE, &path.key(name), message, "write `%` as `%%`");
        }
    }
}

fn mirrors(check: &mut Check<'_>, path: &Path<'_>, route: &HttpRoute) {
    virtual_service::destination(check, &path.field("mirror"), route.mirror.as_ref());
    if let Some(percent) = route.mirror_percent {
        check.percent(&path.field("mirrorPercent"), f64::from(percent));
        check.deprecated(true, path, "mirrorPercent", "mirrorPercentage");
    }
    if let Some(percentage) = &route.mirror_percentage {
        check.percent(&path.field("mirrorPercentage"), percentage.value);
    }
    if route.mirror.is_some() && !route.mirrors.is_empty() {
        let message = "only one of `mirror` and `mirrors` may be set";
        check.report(&codes::EXCLUSIVE, &path.field("mirrors"), message, "");
    }
    let list = path.field("mirrors");
    for (index, mirror) in route.mirrors.iter().enumerate() {
        let HttpMirrorPolicy { destination, percentage } = mirror;
        let at = list.index(index);
        let to = at.field("destination");
        check.required(destination.is_some(), &to, "the destination");
        virtual_service::destination(check, &to, destination.as_ref());
        if let Some(percentage) = percentage {
            check.percent(&at.field("percentage"), percentage.value);
        }
    }
}
