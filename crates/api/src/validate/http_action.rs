//! HTTP rules of a VirtualService: redirects, rewrites, faults, retries, cross-origin rules.

use super::{Check, Path, http_route};
use crate::{
    codes, grpc_status,
    istio::{
        HttpBody, StringMatch,
        virtual_service::{
            CorsPolicy, FaultAbort, FaultDelay, HttpDirectResponse, HttpFaultInjection,
            HttpRedirect, HttpRetry, HttpRewrite, HttpRoute, Percent,
        },
    },
};

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"];

const RETRY_ON: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, route: &HttpRoute) {
    if let Some(policy) = &route.cors_policy {
        cors(check, &path.field("corsPolicy"), policy);
    }
    if let Some(fault) = &route.fault {
        injection(check, &path.field("fault"), fault);
    }
    if let Some(action) = &route.redirect {
        redirect(check, &path.field("redirect"), action);
    }
    if let Some(response) = &route.direct_response {
        direct_response(check, &path.field("directResponse"), response);
    }
    if let Some(policy) = &route.retries {
        retries(check, &path.field("retries"), policy);
    }
    if let Some(change) = &route.rewrite {
        rewrite(check, &path.field("rewrite"), change);
    }
    authority(check, path, route);
}

/// The authority can be changed in one place only.
fn authority(check: &mut Check<'_>, path: &Path<'_>, route: &HttpRoute) {
    let rewritten = route.rewrite.as_ref().is_some_and(|rewrite| !rewrite.authority.is_empty());
    let request = route.headers.as_ref().and_then(|headers| headers.request.as_ref());
    let in_headers = request.map_or(0, |request| {
        let names = request.set.keys().chain(request.add.keys());
        names.filter(|name| http_route::is_authority(name)).count()
    });
    if usize::from(rewritten) + in_headers > 1 {
        let message = "the authority is changed in more than one place";
        check.report(&codes::VS_REWRITE, path, message, "keep `rewrite.authority` or one header");
    }
}

fn cors(check: &mut Check<'_>, path: &Path<'_>, policy: &CorsPolicy) {
    let list = path.field("allowOrigins");
    for (index, origin) in policy.allow_origins.iter().enumerate() {
        let at = list.index(index);
        match origin {
            StringMatch::Unset => {
                let message = "an origin needs `exact`, `prefix` or `regex`";
                check.report(&codes::VS_CORS, &at, message, "");
            }
            StringMatch::Exact(text) | StringMatch::Prefix(text) if text.is_empty() => {
                check.report(&codes::VS_CORS, &at, "an origin must not be empty", "");
            }
            StringMatch::Exact(_) | StringMatch::Prefix(_) => (),
            StringMatch::Regex(pattern) => check.regex(&at.field("regex"), pattern),
        }
    }
    check.deprecated(!policy.allow_origin.is_empty(), path, "allowOrigin", "allowOrigins");
    let list = path.field("allowMethods");
    for (index, method) in policy.allow_methods.iter().enumerate() {
        if method != "*" && !METHODS.contains(&method.as_str()) {
            let message = format!("`{method}` is not a known HTTP method");
            let hint = "methods are written in capitals, such as `GET`";
            check.report(&codes::VS_CORS, &list.index(index), message, hint);
        }
    }
    for (name, headers) in
        [("allowHeaders", &policy.allow_headers), ("exposeHeaders", &policy.expose_headers)]
    {
        let list = path.field(name);
        for (index, header) in headers.iter().enumerate() {
            if header != "*" && !super::names::is_header_name(header) {
                let message = format!("`{header}` is not a valid name of a header");
                check.report(&codes::HEADER_NAME, &list.index(index), message, "");
            }
        }
    }
    let max_age = path.field("maxAge");
    check.duration(&max_age, policy.max_age);
    if policy.max_age.is_some_and(|age| age.split().1 > 0) {
        check.report(&codes::VS_CORS, &max_age, "`maxAge` is counted in whole seconds", "");
    }
}

fn injection(check: &mut Check<'_>, path: &Path<'_>, fault: &HttpFaultInjection) {
    let HttpFaultInjection { delay: slow, abort: fail } = fault;
    if slow.is_none() && fail.is_none() {
        let message = "one of `delay` and `abort` must be set";
        check.report(&codes::VS_FAULT, path, message, "");
    }
    if let Some(slow) = slow {
        delay(check, &path.field("delay"), slow);
    }
    if let Some(fail) = fail {
        abort(check, &path.field("abort"), fail);
    }
}

/// Shares are counted in millionths.
fn fraction(check: &mut Check<'_>, path: &Path<'_>, percentage: Option<&Percent>) {
    let Some(Percent { value }) = percentage else { return };
    if *value < 0.0 || *value > 100.0 || (*value > 0.0 && *value < 0.0001) {
        let message = format!("{value} is neither 0 nor in the range 0.0001 to 100");
        check.report(&codes::PERCENT, path, message, "");
    }
}

fn delay(check: &mut Check<'_>, path: &Path<'_>, delay: &FaultDelay) {
    fraction(check, &path.field("percentage"), delay.percentage.as_ref());
    check.percent(&path.field("percent"), f64::from(delay.percent));
    check.deprecated(delay.percent != 0, path, "percent", "percentage");
    check.duration(&path.field("fixedDelay"), delay.fixed_delay);
    if delay.exponential_delay.is_some() {
        let message = "exponential delays are not supported";
        let hint = "use `fixedDelay`";
        check.report(&codes::VS_FAULT, &path.field("exponentialDelay"), message, hint);
    } else if delay.fixed_delay.is_none() {
        check.report(&codes::NO_EFFECT, path, "a delay without `fixedDelay` has no effect", "");
    }
}

fn abort(check: &mut Check<'_>, path: &Path<'_>, abort: &FaultAbort) {
    fraction(check, &path.field("percentage"), abort.percentage.as_ref());
    let given = [abort.http_status.is_some(), abort.grpc_status.is_some()];
    if given.iter().all(|is_set| *is_set) {
        let message = "only one of `httpStatus` and `grpcStatus` may be set";
        check.report(&codes::EXCLUSIVE, path, message, "");
    }
    if abort.http2_error.is_some() {
        let message = "HTTP/2 errors cannot be injected";
        check.report(&codes::VS_FAULT, &path.field("http2Error"), message, "");
    } else if !given.contains(&true) {
        let message = "an abort without a status has no effect";
        check.report(&codes::NO_EFFECT, path, message, "set `httpStatus` or `grpcStatus`");
    }
    if let Some(code) = abort.http_status {
        status(check, &path.field("httpStatus"), i64::from(code));
    }
    if let Some(name) = &abort.grpc_status
        && grpc_status(name).is_none()
    {
        let message = format!("`{name}` is not a gRPC status");
        let hint = "use a name such as `UNAVAILABLE`";
        check.report(&codes::VS_FAULT, &path.field("grpcStatus"), message, hint);
    }
}

fn status(check: &mut Check<'_>, path: &Path<'_>, status: i64) {
    if !(200..600).contains(&status) {
        let message = format!("the status {status} is not in the range 200 to 599");
        check.report(&codes::VS_STATUS, path, message, "");
    }
}

fn redirect(check: &mut Check<'_>, path: &Path<'_>, redirect: &HttpRedirect) {
    if redirect.port.is_some() && redirect.derive_port.is_some() {
        let message = "only one of `port` and `derivePort` may be set";
        check.report(&codes::EXCLUSIVE, path, message, "");
    }
    let has_port = redirect.port.is_some() || redirect.derive_port.is_some();
    let texts = [&redirect.uri, &redirect.authority, &redirect.scheme, &redirect.prefix_rewrite];
    if !has_port && texts.iter().all(|text| text.is_empty()) {
        let message = "a redirect changes the path, the authority, the scheme or the port";
        check.report(&codes::VS_REDIRECT, path, message, "");
    }
    if !matches!(redirect.redirect_code, 0 | 300..=399) {
        let message = format!("{} is not a redirect code", redirect.redirect_code);
        check.report(&codes::VS_REDIRECT, &path.field("redirectCode"), message, "use 301 or 302");
    }
    if !matches!(redirect.scheme.as_str(), "" | "http" | "https") {
        let message = format!("`{}` is not a scheme", redirect.scheme);
        let hint = "use `http` or `https`";
        check.report(&codes::VS_REDIRECT, &path.field("scheme"), message, hint);
    }
    if let Some(port) = redirect.port.filter(|port| *port > 0) {
        check.port(&path.field("port"), port);
    }
}

fn direct_response(check: &mut Check<'_>, path: &Path<'_>, response: &HttpDirectResponse) {
    const LARGE: usize = 100 * 1024;
    const LARGEST: usize = 1024 * 1024;
    let size = match &response.body {
        None | Some(HttpBody::Unset) => 0,
        Some(HttpBody::Text(text)) => text.len(),
        Some(HttpBody::Bytes(bytes)) => bytes.0.len(),
    };
    let body = path.field("body");
    if size > LARGEST {
        let message = "the body is larger than 1 MiB";
        check.report(&codes::VS_BODY_SIZE, &body, message, "");
    } else if size > LARGE {
        let message = "a large body is sent to every proxy and slows updates down";
        check.report(&codes::VS_BODY_LARGE, &body, message, "");
    }
    status(check, &path.field("status"), i64::from(response.status));
}

pub(super) fn retries(check: &mut Check<'_>, path: &Path<'_>, retries: &HttpRetry) {
    check.not_negative(&path.field("attempts"), i64::from(retries.attempts));
    let is_configured = retries.per_try_timeout.is_some()
        || !retries.retry_on.is_empty()
        || retries.retry_remote_localities.is_some();
    if retries.attempts == 0 && is_configured {
        let message = "retries are set up but `attempts` is 0";
        check.report(&codes::VS_RETRY, path, message, "set `attempts`, or leave the rest out");
    }
    check.duration(&path.field("perTryTimeout"), retries.per_try_timeout);
    check.duration(&path.field("backoff"), retries.backoff);
    for condition in retries.retry_on.split(',').filter(|_| !retries.retry_on.is_empty()) {
        let is_status = condition.parse::<u16>().is_ok_and(|code| (100..=599).contains(&code));
        if !is_status && !RETRY_ON.contains(&condition) {
            let message = format!("`{condition}` is not a condition for retries");
            let hint = "use names such as `5xx` or `connect-failure`, without spaces";
            check.report(&codes::VS_RETRY, &path.field("retryOn"), message, hint);
        }
    }
}

fn rewrite(check: &mut Check<'_>, path: &Path<'_>, rewrite: &HttpRewrite) {
    let regex = rewrite.uri_regex_rewrite.as_ref();
    if !rewrite.uri.is_empty() && regex.is_some() {
        let message = "only one of `uri` and `uriRegexRewrite` may be set";
        check.report(&codes::VS_REWRITE, path, message, "");
    }
    if rewrite.uri.is_empty() && regex.is_none() && rewrite.authority.is_empty() {
        let message = "one of `uri`, `uriRegexRewrite` and `authority` must be set";
        check.report(&codes::VS_REWRITE, path, message, "");
    }
    if let Some(regex) = regex {
        let path = path.field("uriRegexRewrite");
        if regex.match_.is_empty() || regex.rewrite.is_empty() {
            let message = "`match` and `rewrite` must both be set";
            check.report(&codes::VS_REWRITE, &path, message, "");
        } else {
            check.regex(&path.field("match"), &regex.match_);
        }
    }
}
