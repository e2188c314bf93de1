//! Takes endpoints that are gone from an assignment that nothing defines any more.

use envoy::{
    Resource,
    config::endpoint::v3::{
        ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
    },
    type_url,
};
use prost::Message;

use model::Set;

use crate::Compiled;

/// `assignment` without the endpoints that `whole`, the assignment of all of the service, does not
/// have. A subset that is kept because a route still names it must not lead to addresses that may
/// be somebody else's by now. `None` if they are all there.
pub fn prune_endpoints(assignment: &Compiled, whole: &Compiled) -> Option<Compiled> {
    let mut kept = ClusterLoadAssignment::decode(assignment.resource.decode_bytes()).ok()?;
    let whole = ClusterLoadAssignment::decode(whole.resource.decode_bytes()).ok()?;
    let known: Set<Vec<u8>> = endpoints(&whole.endpoints).filter_map(address).collect();
    let before = endpoints(&kept.endpoints).count();
    for locality in &mut kept.endpoints {
        locality.lb_endpoints.retain(|it| address(it).is_some_and(|it| known.contains(&it)));
    }
    if endpoints(&kept.endpoints).count() == before {
        return None;
    }
    let name = assignment.resource.name().clone();
    let resource = Resource::from_message(name, type_url::ENDPOINT, &kept);
    Some(Compiled { resource, ..assignment.clone() })
}

fn endpoints(localities: &[LocalityLbEndpoints]) -> impl Iterator<Item = &LbEndpoint> {
    localities.iter().flat_map(|locality| &locality.lb_endpoints)
}

/// The encoded address: equal addresses are equal bytes.
fn address(endpoint: &LbEndpoint) -> Option<Vec<u8>> {
    match endpoint.host_identifier.as_ref()? {
        HostIdentifier::Endpoint(endpoint) => endpoint.address.as_ref().map(Message::encode_to_vec),
        HostIdentifier::EndpointName(name) => Some(name.as_bytes().to_vec()),
    }
}
