//! Hash keys of consistent load balancing: DestinationRules → hash policies of routes.

use api::istio::{
    destination_rule::DestinationRule,
    load_balancer::{ConsistentHashLb, LoadBalancerSettings},
    traffic_policy::TrafficPolicy,
};
use envoy::config::route::v3::route_action::{
    HashPolicy,
    hash_policy::{
        ConnectionProperties, Cookie, CookieAttribute, Header, PolicySpecifier, QueryParameter,
    },
};
use model::Shared;
use snapshot::DestinationRuleRecord;

use super::duration;

fn of_settings(settings: Option<&LoadBalancerSettings>) -> Option<&ConsistentHashLb> {
    settings.and_then(|it| it.consistent_hash.as_ref())
}

fn of_port(policy: Option<&TrafficPolicy>, port: u16) -> Option<&ConsistentHashLb> {
    let found = policy?
        .port_level_settings
        .iter()
        .find(|settings| settings.port.as_ref().is_some_and(|it| it.number == u32::from(port)));
    of_settings(found?.load_balancer.as_ref())
}

fn of_policy(policy: Option<&TrafficPolicy>) -> Option<&ConsistentHashLb> {
    of_settings(policy?.load_balancer.as_ref())
}

/// Whether any part of a rule hashes.
pub(super) fn may_hash(rule: &DestinationRule) -> bool {
    let subsets = rule.subsets.iter().map(|subset| subset.traffic_policy.as_ref());
    std::iter::once(rule.traffic_policy.as_ref()).chain(subsets).flatten().any(|policy| {
        of_policy(Some(policy)).is_some()
            || policy
                .port_level_settings
                .iter()
                .any(|port| of_settings(port.load_balancer.as_ref()).is_some())
    })
}

/// The settings in force for a port of a subset: the most specific place that hashes.
pub(super) fn consistent_hash<'a>(
    rules: &'a [Shared<DestinationRuleRecord>],
    port: u16,
    subset: &str,
) -> Option<&'a ConsistentHashLb> {
    let own = rules.iter().find_map(|rule| rule.spec.subsets.iter().find(|it| it.name == subset));
    let own = own.and_then(|it| it.traffic_policy.as_ref());
    let general = rules.iter().find_map(|rule| rule.spec.traffic_policy.as_ref());
    of_port(own, port)
        .or_else(|| of_policy(own))
        .or_else(|| of_port(general, port))
        .or_else(|| of_policy(general))
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
