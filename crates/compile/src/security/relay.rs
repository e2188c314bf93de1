//! Callers that come through the lazy gateway: whom they are judged as.
//!
//! - The gateway proves to be itself, and says who its caller has proven to be. A policy about callers is
//!   about those; one that names the gateway is about nobody.
//! - What the gateway cannot say (the caller's address, what an external authorizer would be told) cannot
//!   be judged: where a policy asks for it, nothing comes in through the gateway. The next call comes
//!   directly, once it is learned.

use std::sync::Arc;

use api::istio::authorization_policy::{Action, Rule};
use envoy::{
    config::{
        rbac::v3::{Permission, Policy, Principal, Rbac, principal::Identifier, rbac},
        route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
    },
    extensions::filters::{
        http::rbac::v3::Rbac as HttpRbac, network::http_connection_manager::v3::HttpFilter,
    },
    types::matcher::v3::StringMatcher,
};

use super::{
    SecurityInput, matcher,
    node::{Node, authenticated, principal},
    rbac::{HTTP_RBAC, rules_of},
};
use crate::{filters::http_filter, lazy_gateway::CALLER_HEADER};

/// The caller has this name: in its certificate, or by the word of one of `relays`.
pub(super) fn caller(name: StringMatcher, relays: &[Arc<str>]) -> Principal {
    if relays.is_empty() {
        return authenticated(name);
    }
    let said = principal(Identifier::Header(HeaderMatcher {
        name: CALLER_HEADER.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(name.clone())),
        ..HeaderMatcher::default()
    }));
    Principal::one_of(vec![
        Principal::all_of(vec![authenticated(name), is_one_of(relays).negate()]),
        Principal::all_of(vec![is_one_of(relays), said]),
    ])
}

fn is_one_of(peers: &[Arc<str>]) -> Principal {
    Principal::one_of(peers.iter().map(|it| authenticated(matcher::exact(&**it))).collect())
}

/// Whether policies ask for what only a caller itself shows.
pub(super) fn needs_direct_callers(input: &SecurityInput) -> bool {
    !input.relays.is_empty()
        && input.policies.iter().any(|record| {
            record.spec.action == Action::Custom || record.spec.rules.iter().any(asks_for_addresses)
        })
}

fn asks_for_addresses(rule: &Rule) -> bool {
    let sources = rule.from.iter().filter_map(|from| from.source.as_ref());
    let mut blocks = sources.flat_map(|it| {
        [&it.ip_blocks, &it.not_ip_blocks, &it.remote_ip_blocks, &it.not_remote_ip_blocks]
    });
    blocks.any(|blocks| !blocks.is_empty())
        || rule.when.iter().any(|it| matches!(it.key.as_str(), "source.ip" | "remote.ip"))
}

/// Refuses requests of these peers, and on the lazy gateway those of callers with several names: a
/// policy about one of them could be passed by.
pub(crate) fn refuse_ambiguous(name: &str, peers: &[Arc<str>]) -> HttpFilter {
    let several = principal(Identifier::Header(HeaderMatcher {
        name: CALLER_HEADER.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(matcher::regex(".*,.*"))),
        ..HeaderMatcher::default()
    }));
    refuse(name, vec![is_one_of(peers), several])
}

/// Refuses requests of these peers.
pub(super) fn refuse_peers(name: &str, peers: &[Arc<str>]) -> HttpFilter {
    refuse(name, vec![is_one_of(peers)])
}

/// Refuses requests of any of these.
pub(crate) fn refuse(name: &str, principals: Vec<Principal>) -> HttpFilter {
    let rules = Some(denial_of(name, principals));
    http_filter(HTTP_RBAC, &HttpRbac { rules, ..HttpRbac::default() })
}

pub(super) fn denial(name: &str, peers: &[Arc<str>]) -> Rbac {
    denial_of(name, vec![is_one_of(peers)])
}

fn denial_of(name: &str, principals: Vec<Principal>) -> Rbac {
    let policy = Policy { permissions: vec![Permission::any()], principals, ..Policy::default() };
    let policies = [(name.to_owned(), policy)].into();
    Rbac { policies, ..rules_of(rbac::Action::Deny) }
}
