//! Routes of delegate VirtualServices, merged into the root that names them.
//!
//! The root's match is narrowed by the delegate's; a combination that can never match is left out.

use std::collections::BTreeMap;

use api::istio::{
    StringMatch,
    virtual_service::{HttpMatchRequest, HttpRoute},
};

/// The delegate's routes as they stand in the place of `root`.
pub(super) fn merge_delegate(root: &HttpRoute, delegate: &[HttpRoute]) -> Vec<HttpRoute> {
    delegate.iter().filter_map(|route| merge_route(root, route)).collect()
}

fn merge_route(root: &HttpRoute, delegate: &HttpRoute) -> Option<HttpRoute> {
    let conditions = merge_conditions(&root.match_, &delegate.match_)?;
    let mut merged = delegate.clone();
    merged.match_ = conditions;
    merged.delegate = None;
    if !root.name.is_empty() {
        merged.name = match merged.name.as_str() {
            "" => root.name.clone(),
            name => format!("{}-{name}", root.name),
        };
    }
    merged.rewrite = merged.rewrite.or_else(|| root.rewrite.clone());
    merged.timeout = merged.timeout.or(root.timeout);
    merged.retries = merged.retries.or_else(|| root.retries.clone());
    merged.fault = merged.fault.or_else(|| root.fault.clone());
    merged.mirror = merged.mirror.or_else(|| root.mirror.clone());
    merged.mirror_percent = merged.mirror_percent.or(root.mirror_percent);
    merged.mirror_percentage = merged.mirror_percentage.or_else(|| root.mirror_percentage.clone());
    if merged.mirrors.is_empty() {
        merged.mirrors = root.mirrors.clone();
    }
    merged.cors_policy = merged.cors_policy.or_else(|| root.cors_policy.clone());
    merged.headers = merged.headers.or_else(|| root.headers.clone());
    Some(merged)
}

/// Every pair of conditions that can hold together; `None` when there are conditions but no such
/// pair.
fn merge_conditions(
    root: &[HttpMatchRequest],
    delegate: &[HttpMatchRequest],
) -> Option<Vec<HttpMatchRequest>> {
    if root.is_empty() || delegate.is_empty() {
        return Some([root, delegate].concat());
    }
    let merged: Vec<_> = root
        .iter()
        .flat_map(|outer| delegate.iter().filter_map(|inner| merge_condition(outer, inner)))
        .collect();
    (!merged.is_empty()).then_some(merged)
}

fn merge_condition(
    root: &HttpMatchRequest,
    delegate: &HttpMatchRequest,
) -> Option<HttpMatchRequest> {
    let mut merged = delegate.clone();
    if !root.name.is_empty() {
        merged.name = match merged.name.as_str() {
            "" => root.name.clone(),
            name => format!("{}-{name}", root.name),
        };
    }
    merged.uri = merge_text(root.uri.as_ref(), delegate.uri.as_ref()).ok()?;
    merged.scheme = merge_text(root.scheme.as_ref(), delegate.scheme.as_ref()).ok()?;
    merged.method = merge_text(root.method.as_ref(), delegate.method.as_ref()).ok()?;
    merged.authority = merge_text(root.authority.as_ref(), delegate.authority.as_ref()).ok()?;
    merge_map(&mut merged.headers, &root.headers)?;
    merge_map(&mut merged.without_headers, &root.without_headers)?;
    merge_map(&mut merged.query_params, &root.query_params)?;
    merged.port = match (root.port, delegate.port) {
        (0, port) | (port, 0) => port,
        (root, delegate) if root == delegate => root,
        _ => return None,
    };
    for (key, value) in &root.source_labels {
        if merged.source_labels.get(key).is_some_and(|other| other != value) {
            return None;
        }
        merged.source_labels.insert(key.clone(), value.clone());
    }
    if !root.source_namespace.is_empty() {
        if !merged.source_namespace.is_empty() && merged.source_namespace != root.source_namespace {
            return None;
        }
        merged.source_namespace.clone_from(&root.source_namespace);
    }
    if !root.gateways.is_empty() {
        merged.gateways.clone_from(&root.gateways);
    }
    merged.ignore_uri_case |= root.ignore_uri_case;
    Some(merged)
}

/// The narrower of two matches; an error when none can match both.
fn merge_text(
    root: Option<&StringMatch>,
    delegate: Option<&StringMatch>,
) -> Result<Option<StringMatch>, ()> {
    let (root, delegate) = match (root, delegate) {
        (None, other) | (other, None) => return Ok(other.cloned()),
        (Some(root), Some(delegate)) => (root, delegate),
    };
    let narrower = match (root, delegate) {
        (StringMatch::Prefix(outer), StringMatch::Prefix(inner) | StringMatch::Exact(inner)) => {
            inner.starts_with(outer.as_str())
        }
        // An expression can't be compared: the delegate's own match counts.
        (StringMatch::Prefix(_) | StringMatch::Exact(_), StringMatch::Regex(_)) => false,
        (outer, inner) => outer == inner,
    };
    if narrower { Ok(Some(delegate.clone())) } else { Err(()) }
}

fn merge_map(
    merged: &mut BTreeMap<String, StringMatch>,
    root: &BTreeMap<String, StringMatch>,
) -> Option<()> {
    for (name, condition) in root {
        let narrower = merge_text(Some(condition), merged.get(name)).ok()?;
        merged.extend(narrower.map(|it| (name.clone(), it)));
    }
    Some(())
}
