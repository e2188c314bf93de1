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
    merged.direct_response = merged.direct_response.or_else(|| root.direct_response.clone());
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

/// Every pair of conditions that can hold together; `None` when a condition of the delegate goes
/// with none of the root: the route would serve requests that it was not written for.
fn merge_conditions(
    root: &[HttpMatchRequest],
    delegate: &[HttpMatchRequest],
) -> Option<Vec<HttpMatchRequest>> {
    if root.is_empty() || delegate.is_empty() {
        return Some([root, delegate].concat());
    }
    let mut merged = Vec::with_capacity(delegate.len());
    for inner in delegate {
        let before = merged.len();
        merged.extend(root.iter().filter_map(|outer| merge_condition(outer, inner)));
        if merged.len() == before {
            return None;
        }
    }
    Some(merged)
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
    merged.gateways = narrower_gateways(&root.gateways, &delegate.gateways)?;
    if merged.stat_prefix.is_empty() {
        merged.stat_prefix.clone_from(&root.stat_prefix);
    }
    (root.ignore_uri_case == delegate.ignore_uri_case).then_some(merged)
}

/// The delegate's gateways, which the root must have too; `None` when it has not.
fn narrower_gateways(root: &[String], delegate: &[String]) -> Option<Vec<String>> {
    match (root, delegate) {
        ([], gateways) | (gateways, []) => Some(gateways.to_vec()),
        (root, delegate) => delegate.iter().all(|it| root.contains(it)).then(|| delegate.to_vec()),
    }
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
        // Expressions cannot be compared.
        (StringMatch::Regex(_), _) | (_, StringMatch::Regex(_)) => false,
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

#[cfg(test)]
mod tests {
    use api::istio::virtual_service::HttpRoute;

    use super::*;

    /// Names of conditions by `prefix`, of the routes that are left.
    fn merged(root: &[HttpMatchRequest], delegate: &[HttpMatchRequest]) -> Option<Vec<String>> {
        let route = |conditions: &[HttpMatchRequest]| HttpRoute {
            match_: conditions.to_vec(),
            ..HttpRoute::default()
        };
        let routes = merge_delegate(&route(root), &[route(delegate)]);
        routes.into_iter().next().map(|route| route.match_.into_iter().map(|it| it.name).collect())
    }

    fn prefix(name: &str, prefix: &str) -> HttpMatchRequest {
        HttpMatchRequest {
            name: name.to_owned(),
            uri: Some(StringMatch::Prefix(prefix.to_owned())),
            ..HttpMatchRequest::default()
        }
    }

    fn regex(name: &str, pattern: &str) -> HttpMatchRequest {
        let uri = Some(StringMatch::Regex(pattern.to_owned()));
        HttpMatchRequest { uri, ..prefix(name, "") }
    }

    #[test]
    fn conditions_go_in_the_order_of_the_delegate() {
        let found = merged(
            &[prefix("a", "/a"), prefix("b", "/b")],
            &[prefix("x", "/b/x"), prefix("y", "/a/y")],
        );
        assert_eq!(found.unwrap(), ["b-x", "a-y"]);
    }

    #[test]
    fn a_condition_outside_of_the_root_takes_the_route_with_it() {
        assert_eq!(merged(&[prefix("a", "/a")], &[prefix("x", "/a/x"), prefix("y", "/y")]), None);
    }

    #[test]
    fn expressions_are_not_compared() {
        assert_eq!(merged(&[prefix("a", "/a")], &[regex("x", "/a/.*")]), None);
        assert_eq!(merged(&[regex("a", "/a/.*")], &[regex("x", "/a/.*")]), None);
        let open = HttpMatchRequest { uri: None, ..prefix("x", "") };
        assert_eq!(merged(&[regex("a", "/a/.*")], &[open]).unwrap(), ["a-x"]);
    }

    #[test]
    fn letter_case_and_gateways_must_agree() {
        let ignoring = HttpMatchRequest { ignore_uri_case: true, ..prefix("a", "/a") };
        assert_eq!(merged(&[ignoring], &[prefix("x", "/a/x")]), None);
        let at = |name: &str, gateways: &[&str]| HttpMatchRequest {
            gateways: gateways.iter().map(|&gateway| gateway.to_owned()).collect(),
            ..prefix(name, "/a")
        };
        assert_eq!(merged(&[at("a", &["one"])], &[at("x", &["one", "two"])]), None);
        assert_eq!(merged(&[at("a", &["one", "two"])], &[at("x", &["two"])]).unwrap(), ["a-x"]);
    }
}
