//! ServiceEntries among each other, and beside Kubernetes Services.

use std::collections::{BTreeMap, HashMap};

use api::{
    Object, Spec,
    istio::service_entry::{Location, ServiceEntry},
};
use model::{Hostname, Kind, ObjectKey, Protocol, Registry, Service, Shared, Visibility};

use crate::{codes, facts::Facts, found::Found};

type Entry<'a> = (&'a ObjectKey, &'a ServiceEntry);

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    let mut by_host: BTreeMap<Hostname, Vec<Entry<'_>>> = BTreeMap::new();
    let mut entries: Vec<(&Object, &ServiceEntry)> = facts
        .objects(Kind::ServiceEntry)
        .filter_map(|object| match &object.spec {
            Spec::ServiceEntry(entry) => Some((object, &**entry)),
            _ => None,
        })
        .collect();
    entries.sort_by_key(|(object, _)| (object.meta.created(), &object.key));
    for (object, entry) in entries {
        for (index, host) in entry.hosts.iter().enumerate() {
            let host = Hostname::new(host);
            check_kubernetes(&object.key, entry, index, &host, facts, found);
            by_host.entry(host).or_default().push((&object.key, entry));
        }
    }
    for (host, entries) in &by_host {
        check_clashes(host, entries, facts, found);
    }
    check_addresses(facts, found);
}

fn check_kubernetes(
    key: &ObjectKey,
    entry: &ServiceEntry,
    index: usize,
    host: &Hostname,
    facts: &Facts<'_>,
    found: &mut Found,
) {
    let name = host.as_str().strip_suffix(facts.domain).and_then(|it| it.strip_suffix(".svc."));
    let Some((name, namespace)) = name.and_then(|it| it.split_once('.')) else { return };
    if entry.location == Location::MeshInternal || !facts.has(Kind::Service, namespace, name) {
        return;
    }
    let message = format!("`{host}` is a Service of Kubernetes, and the entry calls it external");
    let field = format!("spec.hosts[{index}]");
    let hint = "remove the host, or set `location: MESH_INTERNAL` to add workloads to the Service";
    found.add(&codes::ENTRY_OF_SERVICE, key, field, message, hint);
}

/// Entries come oldest first. What the first says of a port holds for those who see both.
fn check_clashes(host: &Hostname, entries: &[Entry<'_>], facts: &Facts<'_>, found: &mut Found) {
    let mesh = facts.snapshot.mesh();
    let sight = |(key, entry): &Entry<'_>| {
        mesh.visibility(&entry.export_to, &mesh.default_service_visibility, &key.namespace)
    };
    let mut ports: HashMap<u32, Vec<(&Entry<'_>, Visibility, Protocol)>> = HashMap::new();
    for later in entries.iter() {
        for (index, port) in later.1.ports.iter().enumerate() {
            let protocol = Protocol::parse(&port.protocol);
            let known = ports.entry(port.number).or_default();
            let own = sight(later);
            let clash = known.iter().find(|(earlier, seen, of)| {
                earlier.0 != later.0 && *of != protocol && meet(seen, &own)
            });
            if let Some((earlier, ..)) = clash {
                let number = port.number;
                let message =
                    format!("{} has another protocol for port {number} of `{host}`", earlier.0);
                let field = format!("spec.ports[{index}].protocol");
                let hint = "give the port one protocol, or hide one of them by `exportTo`";
                found.add(&codes::ENTRY_CLASH, later.0, field, message, hint);
            }
            known.push((later, own, protocol));
        }
    }
    let Some(first) = entries.first() else { return };
    for later in &entries[1..] {
        let same_place = first.0.namespace == later.0.namespace && first.0 != later.0;
        if same_place && first.1.resolution != later.1.resolution {
            let message = format!("{} resolves `{host}` in another way", first.0);
            let hint = "give the host one resolution";
            found.add(&codes::ENTRY_CLASH, later.0, "spec.resolution", message, hint);
        }
    }
}

fn meet(one: &Visibility, other: &Visibility) -> bool {
    match (one, other) {
        (Visibility::Public, _) | (_, Visibility::Public) => true,
        (Visibility::Namespaces(one), other) => one.iter().any(|it| other.includes(it)),
    }
}

/// Connections that carry no name are told apart by address and port alone.
fn check_addresses(facts: &Facts<'_>, found: &mut Found) {
    let mut first: HashMap<(&str, u16), &Shared<Service>> = HashMap::new();
    let mut services: Vec<&Shared<Service>> = facts.snapshot.services().collect();
    services.sort_by_key(|it| (it.created, it.registry, &it.key));
    for service in services {
        let ports = service.ports.iter().filter(|port| {
            !port.protocol.is_http() && !port.protocol.is_tls() && port.protocol != Protocol::Udp
        });
        for port in ports {
            for address in service.addresses_of(port.number).iter() {
                if &**address == "0.0.0.0" {
                    continue;
                }
                let place = (&**address, port.number);
                let Some(owner) = first.get(&place) else {
                    first.insert(place, service);
                    continue;
                };
                if owner.hostname() == service.hostname()
                    || service.origin.kind != Kind::ServiceEntry
                    || service.registry != Registry::External
                    || owner.origin == service.origin
                    || !meet(&owner.visibility, &service.visibility)
                {
                    continue;
                }
                let message =
                    format!("{} has `{address}` on port {} already", owner.origin, port.number);
                let hint = "give each host an address of its own, or leave `addresses` out";
                let code = &codes::ENTRY_ADDRESS;
                found.add(code, &service.origin, "spec.addresses", message, hint);
            }
        }
    }
}
