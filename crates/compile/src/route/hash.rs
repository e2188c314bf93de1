//! Hash keys of consistent load balancing: DestinationRules → hash policies of routes.

use api::istio::{
    destination_rule::DestinationRule,
    load_balancer::{ConsistentHashLb, LoadBalancerSettings},
};
use envoy::config::route::v3::route_action::{
    HashPolicy,
    hash_policy::{
        ConnectionProperties, Cookie, CookieAttribute, Header, PolicySpecifier, QueryParameter,
    },
};

use super::duration;

fn hashes(settings: Option<&LoadBalancerSettings>) -> bool {
    settings.is_some_and(|it| it.consistent_hash.is_some())
}

/// Whether any part of a rule hashes.
pub(super) fn may_hash(rule: &DestinationRule) -> bool {
    let subsets = rule.subsets.iter().map(|subset| subset.traffic_policy.as_ref());
    std::iter::once(rule.traffic_policy.as_ref()).chain(subsets).flatten().any(|policy| {
        let ports = policy.port_level_settings.iter().map(|port| port.load_balancer.as_ref());
        std::iter::once(policy.load_balancer.as_ref()).chain(ports).any(hashes)
    })
}

/// The policy that takes the key from the request; `None` when no key is set.
pub(crate) fn hash_policy(settings: &ConsistentHashLb) -> Option<HashPolicy> {
    let specifier = if let Some(name) = &settings.http_header_name {
        PolicySpecifier::Header(Header { header_name: name.clone(), regex_rewrite: None })
    } else if let Some(cookie) = &settings.http_cookie {
        let attributes = cookie.attributes.iter().map(|attribute| CookieAttribute {
            name: attribute.name.clone(),
            value: attribute.value.clone(),
        });
        PolicySpecifier::Cookie(Cookie {
            name: cookie.name.clone(),
            ttl: cookie.ttl.map(duration),
            path: cookie.path.clone(),
            attributes: attributes.collect(),
        })
    } else if let Some(source_ip) = settings.use_source_ip {
        PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip })
    } else {
        let name = settings.http_query_parameter_name.clone()?;
        PolicySpecifier::QueryParameter(QueryParameter { name })
    };
    Some(HashPolicy { terminal: false, policy_specifier: Some(specifier) })
}
