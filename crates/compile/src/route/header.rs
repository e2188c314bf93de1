//! Changes of headers. The authority is no header to Envoy and is handed back instead.

use std::collections::BTreeMap;

use api::istio::virtual_service::{HeaderOperations, Headers};
use envoy::config::{
    core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction},
    route::v3::{Route, weighted_cluster::ClusterWeight},
};

/// Appends the changes to those of a route. Gives back the authority to set, if any.
pub(super) fn apply_to_route(headers: Option<&Headers>, route: &mut Route) -> Option<String> {
    let headers = headers?;
    if let Some(request) = &headers.request {
        route.request_headers_to_add.extend(additions(request));
        route.request_headers_to_remove.extend(removals(request));
    }
    if let Some(response) = &headers.response {
        route.response_headers_to_add.extend(additions(response));
        route.response_headers_to_remove.extend(removals(response));
    }
    headers.request.as_ref().and_then(authority)
}

/// The same for one share of the traffic.
pub(super) fn apply_to_share(
    headers: Option<&Headers>,
    share: &mut ClusterWeight,
) -> Option<String> {
    let headers = headers?;
    if let Some(request) = &headers.request {
        share.request_headers_to_add = additions(request).collect();
        share.request_headers_to_remove = removals(request).collect();
    }
    if let Some(response) = &headers.response {
        share.response_headers_to_add = additions(response).collect();
        share.response_headers_to_remove = removals(response).collect();
    }
    headers.request.as_ref().and_then(authority)
}

fn additions(operations: &HeaderOperations) -> impl Iterator<Item = HeaderValueOption> {
    let options = |pairs: &BTreeMap<String, String>, action: HeaderAppendAction| {
        let kept = pairs.iter().filter(|(name, _)| !is_internal(name));
        let options = kept.map(move |(name, value)| HeaderValueOption {
            header: Some(HeaderValue {
                key: name.clone(),
                value: value.clone(),
                ..HeaderValue::default()
            }),
            append_action: action.into(),
            ..HeaderValueOption::default()
        });
        options.collect::<Vec<_>>()
    };
    let set = options(&operations.set, HeaderAppendAction::OverwriteIfExistsOrAdd);
    set.into_iter().chain(options(&operations.add, HeaderAppendAction::AppendIfExistsOrAdd))
}

fn removals(operations: &HeaderOperations) -> impl Iterator<Item = String> {
    operations.remove.iter().filter(|name| !is_internal(name)).cloned()
}

/// `set` beats `add`.
fn authority(operations: &HeaderOperations) -> Option<String> {
    let find = |pairs: &BTreeMap<String, String>| {
        let found = pairs.iter().rfind(|(name, _)| {
            name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
        });
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    find(&operations.set).or_else(|| find(&operations.add))
}

/// Envoy refuses configuration that changes these as headers.
fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}
