//! Names in rules that lead to other objects: found or not, and who wins where two want the same.
//!
//! - About objects as they are written, so that it also sees what no proxy is sent.
//! - Destinations are judged where they have an effect, in compiled resources (`destination`).

use std::collections::{BTreeMap, HashSet};

use api::{Object, Spec};
use model::{Diagnostic, Hostname, Kind, ObjectKey};
use snapshot::{Reader, Snapshot, VirtualServiceRecord, resolve_short_name};

use super::codes;

/// What is wrong with the references of all objects.
pub(super) fn check(objects: &[Object], snapshot: &Snapshot) -> Vec<Diagnostic> {
    let reader = Reader::new(snapshot);
    let keys: HashSet<&ObjectKey> = objects.iter().map(|object| &object.key).collect();
    let mut found = Vec::new();
    let mut rules = Vec::new();
    for object in objects {
        match &object.spec {
            Spec::VirtualService(_) => {
                let Some(rule) = reader.virtual_service(&object.key) else { continue };
                found.extend(missing_gateways(rule, &keys));
                rules.push(&**rule);
            }
            Spec::DestinationRule(rule) => {
                let domain = &snapshot.mesh().domain;
                let host = resolve_short_name(&rule.host, &object.key.namespace, domain);
                found.extend(missing_service(&object.key, &host, &reader));
            }
            _ => (),
        }
    }
    found.extend(shadowed(rules));
    found
}

fn missing_gateways<'a>(
    rule: &'a VirtualServiceRecord,
    keys: &'a HashSet<&ObjectKey>,
) -> impl Iterator<Item = Diagnostic> + 'a {
    let named = rule.gateways.iter().enumerate().filter(|(_, gateway)| &***gateway != "mesh");
    named.filter_map(|(index, gateway)| {
        let (namespace, name) = gateway.split_once('/')?;
        if keys.contains(&ObjectKey::new(Kind::Gateway, namespace, name)) {
            return None;
        }
        let finding = codes::NO_SUCH_GATEWAY.diagnostic(format!("there is no Gateway `{gateway}`"));
        Some(
            finding
                .object(rule.key.clone())
                .field(format!("spec.gateways[{index}]"))
                .hint("check name and namespace, written `namespace/name`"),
        )
    })
}

fn missing_service(rule: &ObjectKey, host: &Hostname, reader: &Reader<'_>) -> Option<Diagnostic> {
    let is_pattern = host.as_str().starts_with('*');
    if is_pattern || host.as_str().is_empty() || !reader.services_named(host).is_empty() {
        return None;
    }
    let message = format!("there is no service `{host}`, so the rule has no effect");
    let finding = codes::NO_SUCH_HOST.diagnostic(message);
    Some(finding.object(rule.clone()).field("spec.host").hint("check the host"))
}

/// Rules for one host within the mesh: a sidecar takes the oldest, and does not merge them.
fn shadowed(mut rules: Vec<&VirtualServiceRecord>) -> Vec<Diagnostic> {
    rules.retain(|rule| rule.binds_to_mesh());
    rules.sort_by_key(|rule| (rule.created, &rule.key.name, &rule.key.namespace));
    let mut first: BTreeMap<&Hostname, Vec<&VirtualServiceRecord>> = BTreeMap::new();
    let mut found = Vec::new();
    for rule in rules {
        for (index, host) in rule.hosts.iter().enumerate() {
            let owners = first.entry(host).or_default();
            let winner = owners.iter().find(|owner| {
                // Whoever sees the later rule sees the earlier one too.
                owner.visibility.includes(&rule.key.namespace)
            });
            match winner {
                Some(owner) => {
                    let message = format!("`{host}` already has the rules of {}", owner.key);
                    let finding = codes::SHADOWED.diagnostic(message);
                    let hint = "put the rules of a host into one VirtualService";
                    let field = format!("spec.hosts[{index}]");
                    found.push(finding.object(rule.key.clone()).field(field).hint(hint));
                }
                None => owners.push(rule),
            }
        }
    }
    found
}
