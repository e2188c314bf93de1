//! Says which parts of a rule have no effect on gRPC's own clients.

use api::istio::{
    StringMatch,
    virtual_service::{Headers, HttpMatchRequest, HttpRetry, HttpRoute},
};
use model::{Diagnostics, ObjectKey};

use super::route::{MAX_WITHOUT_HEADERS, is_retry_condition};
use crate::codes;

const NO_EFFECT: &str = "it has no effect on gRPC clients without a proxy";
const NEVER: &str = "gRPC clients without a proxy cannot evaluate it: for them it never matches";
const FAILS: &str = "gRPC clients without a proxy make no answers: for them a matching call fails";
/// What gRPC does by itself, or what means nothing to it without a status code.
const SILENT: [&str; 3] = ["connect-failure", "refused-stream", "retriable-status-codes"];

/// Reports one `http` rule of a VirtualService.
pub(crate) fn report_rule(
    rule: &ObjectKey,
    index: usize,
    http: &HttpRoute,
    diagnostics: &mut Diagnostics,
) {
    let mut report = |field: &str, message: &str| {
        diagnostics.push(
            codes::NOT_IN_GRPC
                .diagnostic(message)
                .object(rule.clone())
                .field(format!("spec.http[{index}].{field}")),
        );
    };
    let whole = [
        ("redirect", http.redirect.is_some(), FAILS),
        ("directResponse", http.direct_response.is_some(), FAILS),
        ("rewrite", http.rewrite.is_some(), NO_EFFECT),
        ("mirror", http.mirror.is_some(), NO_EFFECT),
        ("mirrors", !http.mirrors.is_empty(), NO_EFFECT),
        ("corsPolicy", http.cors_policy.is_some(), NO_EFFECT),
        ("headers", changes(http.headers.as_ref()), NO_EFFECT),
    ];
    for (field, _, message) in whole.iter().filter(|(_, written, _)| *written) {
        report(field, message);
    }
    for (at, share) in http.route.iter().enumerate() {
        if changes(share.headers.as_ref()) {
            report(&format!("route[{at}].headers"), NO_EFFECT);
        }
    }
    if let Some(retries) = &http.retries {
        report_retries(retries, &mut report);
    }
    for (at, condition) in http.match_.iter().enumerate() {
        for field in unknown_conditions(condition) {
            report(&format!("match[{at}].{field}"), NEVER);
        }
        if !condition.stat_prefix.is_empty() {
            report(&format!("match[{at}].statPrefix"), NO_EFFECT);
        }
    }
}

fn changes(headers: Option<&Headers>) -> bool {
    headers.is_some_and(|headers| headers.request.is_some() || headers.response.is_some())
}

fn report_retries(retries: &HttpRetry, report: &mut dyn FnMut(&str, &str)) {
    let written = [
        ("retries.perTryTimeout", retries.per_try_timeout.is_some()),
        ("retries.retryRemoteLocalities", retries.retry_remote_localities.is_some()),
        ("retries.retryIgnorePreviousHosts", retries.retry_ignore_previous_hosts.is_some()),
    ];
    for (field, _) in written.iter().filter(|(_, written)| *written) {
        report(field, NO_EFFECT);
    }
    let conditions = retries.retry_on.split(',').map(str::trim).filter(|it| !it.is_empty());
    let unknown: Vec<&str> =
        conditions.filter(|it| !is_retry_condition(it) && !SILENT.contains(it)).collect();
    if !unknown.is_empty() {
        let message =
            format!("gRPC clients without a proxy do not retry on {}", unknown.join(", "));
        report("retries.retryOn", &message);
    }
}

fn unknown_conditions(condition: &HttpMatchRequest) -> Vec<&'static str> {
    let claim = |name: &String| name.to_ascii_lowercase().starts_with("@request.auth.claims");
    let regex = matches!(condition.method, Some(StringMatch::Regex(_)));
    let found = [
        ("scheme", condition.scheme.is_some()),
        ("authority", condition.authority.is_some()),
        ("method", regex),
        ("queryParams", !condition.query_params.is_empty()),
        ("headers", condition.headers.keys().any(claim)),
        (
            "withoutHeaders",
            condition.without_headers.keys().any(claim)
                || condition.without_headers.len() > MAX_WITHOUT_HEADERS,
        ),
    ];
    found.into_iter().filter(|(_, written)| *written).map(|(field, _)| field).collect()
}
