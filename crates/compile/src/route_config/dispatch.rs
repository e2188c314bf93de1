//! Ways of their own for requests for some of the hosts that nothing defines (`lazyload.dispatches`).
//!
//! - They are routes in front of the one for everything else, each for an authority: so they need no
//!   virtual hosts, and hold for the answers to questions about unknown hosts as well.
//! - As in virtual hosts, exact names come before the longest wildcard; expressions come last.

use std::{cmp::Reverse, sync::Arc};

use envoy::{
    config::route::v3::{
        HeaderMatcher, Route, RouteMatch, header_matcher::HeaderMatchSpecifier, route::Action,
        route_action::ClusterSpecifier,
    },
    types::matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
};
use snapshot::{Dispatch, DispatchTarget, Reader};

use crate::{
    Client,
    names::PASSTHROUGH_CLUSTER,
    route::{every_path, forward},
};

/// Where requests for some authorities go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DispatchRoute {
    pub name: Arc<str>,
    /// RE2, over all of it.
    pub authority: Arc<str>,
    /// Without one, to where all others go.
    pub cluster: Option<Arc<str>>,
}

/// Those of a fenced class, in the order in which they are tried.
pub(super) fn select_dispatches(client: &Client, reader: &Reader<'_>) -> Arc<[DispatchRoute]> {
    if client.fence.is_none() {
        return Arc::from([]);
    }
    let dispatches = &reader.fencing().dispatches;
    let mut domains: Vec<(&str, &Dispatch)> = dispatches
        .iter()
        .flat_map(|dispatch| dispatch.domains.iter().map(move |domain| (&**domain, dispatch)))
        .collect();
    domains.sort_by_key(|(domain, _)| (rank(domain), Reverse(domain.len())));
    let domains = domains.into_iter().map(|(domain, it)| (of_domain(domain), it));
    let expressions = dispatches.iter().filter_map(|it| Some((it.domain_regex.clone()?, it)));
    let route = |(authority, dispatch): (String, &Dispatch)| DispatchRoute {
        name: dispatch.name.as_str().into(),
        authority: authority.into(),
        cluster: match &dispatch.target {
            DispatchTarget::Passthrough => Some(PASSTHROUGH_CLUSTER.into()),
            DispatchTarget::Cluster(name) => Some(name.as_str().into()),
            DispatchTarget::Gateway => None,
        },
    };
    domains.chain(expressions).map(route).collect()
}

/// The order in which Envoy looks at domains.
fn rank(domain: &str) -> u8 {
    match domain {
        "*" => 3,
        _ if domain.starts_with('*') => 1,
        _ if domain.ends_with('*') => 2,
        _ => 0,
    }
}

/// An authority of the domain, with or without a port.
fn of_domain(domain: &str) -> String {
    let (front, middle, back) = match rank(domain) {
        3 => return ".*".to_owned(),
        1 => (".+", &domain[1..], ""),
        2 => ("", &domain[..domain.len() - 1], ".+"),
        _ => ("", domain, ""),
    };
    format!("(?i){front}{}{back}(:[0-9]+)?", escape(middle))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_ascii_punctuation() && !matches!(character, '-' | '_') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

impl DispatchRoute {
    /// In front of the route for all others.
    pub(super) fn compile(&self, others: &Route) -> Route {
        let regex = RegexMatcher { regex: self.authority.to_string(), engine_type: None };
        let pattern = Some(MatchPattern::SafeRegex(regex));
        let matcher = StringMatcher { match_pattern: pattern, ..StringMatcher::default() };
        let authority = HeaderMatcher {
            name: ":authority".to_owned(),
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(matcher)),
            ..HeaderMatcher::default()
        };
        let matches = RouteMatch { headers: vec![authority], ..every_path() };
        let Some(cluster) = &self.cluster else {
            return Route { r#match: Some(matches), ..others.clone() };
        };
        let mut action = forward(None);
        action.cluster_specifier = Some(ClusterSpecifier::Cluster(cluster.to_string()));
        Route {
            name: self.name.to_string(),
            r#match: Some(matches),
            action: Some(Action::Route(action)),
            ..Route::default()
        }
    }
}
