//! Changes whose parts have an order: a route that comes or goes together with what it leads to.
//!
//! - Nothing is wrong with them here, where clusters come before routes and go after them. Elsewhere
//!   people send the parts one by one and wait, which is why they are told.

use api::{Spec, istio::virtual_service::Destination};
use model::{Diagnostic, Kind, Labels, ObjectKey};
use snapshot::{Reader, Snapshot, resolve_short_name};

use crate::{codes, destinations::named, found::Found};

/// The rules that begin or cease to name what comes or goes with them. Costs what the number of
/// VirtualServices costs; equal ones are passed over.
pub fn lint_order(before: &Snapshot, after: &Snapshot) -> Vec<Diagnostic> {
    let mut found = Found::default();
    let sides = [
        (after, before, "comes with the rule that leads to it"),
        (before, after, "goes with the rule that led to it"),
    ];
    for (with, without, happens) in sides {
        for object in with.objects().of_kind(Kind::VirtualService) {
            let other = without.objects().get(&object.key);
            if other.is_some_and(|other| other.hash == object.hash) {
                continue;
            }
            let Spec::VirtualService(rule) = &object.spec else { continue };
            for named in named(rule) {
                let is_there = |side| exists(side, &object.key, named.destination);
                if !is_there(with) || is_there(without) {
                    continue;
                }
                let message = format!("{} {happens}", describe(named.destination));
                let hint = "nothing is to be done: the cluster is there before the route, and goes \
                            after it; istiod sends what arrives first, and calls may get 503";
                // Where the rule goes, its field is gone.
                let field = match std::ptr::eq(with, after) {
                    true => named.field,
                    false => String::new(),
                };
                found.add(&codes::ORDERED, &object.key, field, message, hint);
            }
        }
    }
    found.into_sorted()
}

fn exists(snapshot: &Snapshot, rule: &ObjectKey, destination: &Destination) -> bool {
    let reader = Reader::new(snapshot);
    let host = resolve_short_name(&destination.host, &rule.namespace, &snapshot.mesh().domain);
    let number = destination.port.as_ref().map(|port| port.number);
    reader.services_named(&host).into_iter().any(|service| {
        let rules = reader.destination_rules(&service.key, &rule.namespace, &Labels::default());
        let has_port =
            number.is_none_or(|it| service.ports.iter().any(|port| u32::from(port.number) == it));
        let mut subsets = rules.iter().flat_map(|rule| &rule.spec.subsets);
        has_port
            && (destination.subset.is_empty()
                || subsets.any(|subset| subset.name == destination.subset))
    })
}

fn describe(destination: &Destination) -> String {
    let Destination { host, subset, port } = destination;
    match (subset.as_str(), port) {
        ("", Some(port)) => format!("the port {} of `{host}`", port.number),
        ("", None) => format!("the service `{host}`"),
        (subset, _) => format!("the subset `{subset}` of `{host}`"),
    }
}
