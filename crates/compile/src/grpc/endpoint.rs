//! Groups of endpoints → the ones that gRPC's client takes.
//!
//! It refuses a whole assignment for one address that is no IP address or comes twice, for a
//! locality that comes twice within a priority, and for a priority without localities.

use std::collections::BTreeMap;

use model::{EndpointAddress, Locality, Set};

use super::cluster::is_encrypted;
use crate::{
    endpoint::{Group, compact},
    traffic_policy::Policy,
};

/// Fits the groups; `port` is the name of the service's port. Where encryption is asked for
/// nothing is left, so that no call goes out in plain text.
pub(crate) fn fit_groups(groups: &mut Vec<Group<'_>>, port: &str, policy: &Policy<'_>) {
    if is_encrypted(policy) {
        groups.clear();
        return;
    }
    let mut seen = Set::default();
    let mut merged: BTreeMap<(u32, &Locality), Group<'_>> = BTreeMap::new();
    for mut group in groups.drain(..) {
        group.endpoints.retain(|endpoint| match endpoint.address {
            EndpointAddress::Ip(ip) => seen.insert((ip, endpoint.ports.get(port))),
            EndpointAddress::Dns(_) | EndpointAddress::Unix(_) => false,
        });
        if group.endpoints.is_empty() {
            continue;
        }
        let key = (group.priority, group.locality);
        match merged.get_mut(&key) {
            Some(first) => {
                first.weight += group.weight;
                first.endpoints.append(&mut group.endpoints);
            }
            None => {
                merged.insert(key, group);
            }
        }
    }
    groups.extend(merged.into_values());
    compact(groups);
}
