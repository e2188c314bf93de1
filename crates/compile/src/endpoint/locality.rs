//! Preferences among localities → weights and priorities of groups, as Istio computes them.

use std::collections::{BTreeMap, BTreeSet};

use api::istio::load_balancer::{LocalityDistribute, LocalityFailover};
use model::{Endpoint, Locality};

use super::{EndpointClient, assignment::Group};
use crate::traffic_policy::{
    HOST_LABEL, LocalitySettings, NETWORK_LABEL, REGION_LABEL, SUBZONE_LABEL, ZONE_LABEL,
};

/// Applies the settings in force; groups that get no traffic are left out.
pub(super) fn apply(
    groups: &mut Vec<Group<'_>>,
    settings: &LocalitySettings<'_>,
    client: &EndpointClient,
) {
    match settings {
        LocalitySettings::Off => {}
        LocalitySettings::Distribute(rules) => {
            if let Some(own) = &client.locality {
                distribute(groups, rules, own);
            }
        }
        LocalitySettings::Failover(pairs) => fail_over(groups, pairs, client),
        LocalitySettings::Priority { labels: _, failover } => {
            *groups = groups.drain(..).flat_map(|group| split(group, client)).collect();
            compact(groups);
            if !failover.is_empty() {
                fail_over(groups, failover, client);
            }
        }
    }
}

/// Gives each locality that the first fitting rule names its share.
fn distribute(groups: &mut Vec<Group<'_>>, rules: &[LocalityDistribute], own: &Locality) {
    let Some(rule) = rules.iter().find(|rule| matches(own, &rule.from)) else { return };
    let mut shares: Vec<(&str, u32)> =
        rule.to.iter().map(|(pattern, share)| (pattern.as_str(), *share)).collect();
    // A locality that is named counts there, and not for a wildcard as well.
    shares.sort_by_key(|(pattern, _)| (wildcards(pattern), *pattern));
    let mut kept = BTreeSet::new();
    for (pattern, share) in shares {
        let members: Vec<usize> = (0..groups.len())
            .filter(|index| !kept.contains(index) && matches(groups[*index].locality, pattern))
            .collect();
        let total: u64 = members.iter().map(|index| groups[*index].weight).sum();
        for index in members {
            let weight = groups[index].weight.saturating_mul(share.into());
            groups[index].weight = weight.div_ceil(total.max(1));
            kept.insert(index);
        }
    }
    let mut index = 0;
    groups.retain(|group| {
        index += 1;
        kept.contains(&(index - 1)) && group.weight > 0
    });
}

/// How unspecific a pattern is.
fn wildcards(pattern: &str) -> usize {
    3 - pattern.split('/').filter(|part| !part.is_empty() && *part != "*").count().min(3)
}

/// Whether a locality is one that `region/zone/subzone` means; `*` and what is absent mean any.
fn matches(locality: &Locality, pattern: &str) -> bool {
    let mut parts = pattern.split('/');
    [&locality.region, &locality.zone, &locality.subzone].into_iter().all(|own| {
        let part = parts.next().unwrap_or_default();
        part.is_empty() || part == "*" || part == &**own
    })
}

/// Orders localities by their distance; a region that fails over to a given one comes to others
/// last.
fn fail_over(groups: &mut [Group<'_>], pairs: &[LocalityFailover], client: &EndpointClient) {
    // Without a locality of its own the client has no neighbours.
    let Some(own) = client.locality.as_ref().filter(|it| !it.is_empty()) else { return };
    let next = pairs.iter().find(|pair| pair.from == *own.region).map(|pair| pair.to.as_str());
    for group in &mut *groups {
        let distance = match distance(own, group.locality) {
            3 if next.is_some_and(|next| next != &*group.locality.region) => 4,
            distance => distance,
        };
        group.priority = group.priority * 5 + distance;
    }
    compact(groups);
}

fn distance(own: &Locality, other: &Locality) -> u32 {
    if own.region != other.region {
        return 3;
    }
    if own.zone != other.zone {
        return 2;
    }
    u32::from(own.subzone != other.subzone)
}

/// Envoy wants priorities without gaps.
pub(crate) fn compact(groups: &mut [Group<'_>]) {
    let used: BTreeSet<u32> = groups.iter().map(|group| group.priority).collect();
    let used: Vec<u32> = used.into_iter().collect();
    for group in groups {
        let index = used.binary_search(&group.priority).unwrap_or_default();
        group.priority = u32::try_from(index).unwrap_or(u32::MAX);
    }
}

/// Splits a locality by how many labels, from the first on, the client finds in an endpoint.
fn split<'a>(group: Group<'a>, client: &EndpointClient) -> Vec<Group<'a>> {
    let mut parts: BTreeMap<u32, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in group.endpoints {
        let wanted = client.preferences.iter();
        let met = wanted.take_while(|(label, value)| label_of(endpoint, label) == &**value).count();
        let missed = u32::try_from(client.preferences.len() - met).unwrap_or(u32::MAX);
        parts.entry(missed).or_default().push(endpoint);
    }
    parts
        .into_iter()
        .map(|(priority, endpoints)| Group::new(group.locality, priority, endpoints))
        .collect()
}

/// A label, or what topology labels stand for.
fn label_of<'a>(endpoint: &'a Endpoint, label: &str) -> &'a str {
    let own = endpoint.labels.get(label).unwrap_or_default();
    let known = match label {
        NETWORK_LABEL => &endpoint.network,
        REGION_LABEL => &endpoint.locality.region,
        ZONE_LABEL => &endpoint.locality.zone,
        SUBZONE_LABEL => &endpoint.locality.subzone,
        HOST_LABEL => &endpoint.node,
        _ => return own,
    };
    if known.is_empty() { own } else { known }
}
