//! Sidecars: one for each workload, importing what exists.

use std::collections::BTreeMap;

use api::Spec;
use model::{Hostname, Kind, Namespace, ObjectKey};
use snapshot::SidecarRecord;

use crate::{codes, facts::Facts, found::Found};

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    let mut namespaces: Vec<&Namespace> = Vec::new();
    let hosts = RuleHosts::new(facts);
    for object in facts.objects(Kind::Sidecar) {
        if namespaces.last() != Some(&&object.key.namespace) {
            namespaces.push(&object.key.namespace);
        }
        let Spec::Sidecar(sidecar) = &object.spec else { continue };
        for (at, egress) in sidecar.egress.iter().enumerate() {
            for (index, host) in egress.hosts.iter().enumerate() {
                let field = format!("spec.egress[{at}].hosts[{index}]");
                check_egress(&object.key, host, field, &hosts, facts, found);
            }
        }
    }
    for namespace in namespaces {
        check_conflicts(facts.reader.sidecars(namespace), facts, found);
    }
}

/// Exact hosts of VirtualServices: they can be imported without a service.
pub(crate) struct RuleHosts<'a>(std::collections::HashSet<&'a Hostname>);

impl<'a> RuleHosts<'a> {
    pub(crate) fn new(facts: &Facts<'a>) -> Self {
        let rules = facts.objects(Kind::VirtualService);
        let records = rules.filter_map(|object| facts.reader.virtual_service(&object.key));
        Self(records.flat_map(|record| record.hosts.iter()).collect())
    }

    pub(crate) fn contains(&self, host: &Hostname) -> bool {
        self.0.contains(host)
    }
}

fn check_egress(
    sidecar: &ObjectKey,
    written: &str,
    field: String,
    rules: &RuleHosts<'_>,
    facts: &Facts<'_>,
    found: &mut Found,
) {
    let Some((namespace, host)) = written.split_once('/') else { return };
    let host = Hostname::new(host);
    // Wildcards may be for what comes, and `~` is nothing or keeps something out.
    if host.is_wildcard() || namespace.starts_with('~') || host.as_str().is_empty() {
        return;
    }
    let own = sidecar.namespace.as_str();
    let is_there = |service: &Namespace| match namespace {
        "*" => true,
        "." => service.as_str() == own,
        named => service.as_str() == named,
    };
    let services = facts.reader.services_named(&host);
    if rules.contains(&host) || facts.has_wildcard_over(&host) {
        return;
    }
    if services
        .iter()
        .any(|it| is_there(it.namespace()) && it.visibility.includes(&sidecar.namespace))
    {
        return;
    }
    let message = match services.first() {
        None => format!("there is no service `{host}`"),
        Some(service) if is_there(service.namespace()) => {
            format!("the service `{host}` is not exported to `{own}`")
        }
        Some(service) => format!("the service `{host}` is in `{}`", service.namespace()),
    };
    let hint = "check host and namespace; calls to a host that is not imported are unknown traffic";
    found.add(&codes::NO_SUCH_EGRESS, sidecar, field, message, hint);
}

/// Records come oldest first.
fn check_conflicts(records: &[model::Shared<SidecarRecord>], facts: &Facts<'_>, found: &mut Found) {
    let mut first: BTreeMap<usize, &ObjectKey> = BTreeMap::new();
    let mut general: Option<&ObjectKey> = None;
    let hint = "make one of them, or narrow their selectors";
    for record in records {
        let Some(selector) = &record.selector else {
            match general {
                Some(owner) => {
                    let message = format!("{owner} is for the whole namespace already");
                    found.add(&codes::SIDECAR_CONFLICT, &record.key, "spec", message, hint);
                }
                None => general = Some(&record.key),
            }
            continue;
        };
        let selected = facts.select_for_policy(&record.key.namespace, selector);
        let owner = selected.iter().find_map(|at| Some((at, first.get(at)?)));
        if let Some((at, owner)) = owner {
            let instance = facts.instances[*at].key;
            let message = format!("{instance} has the settings of {owner} already");
            let field = "spec.workloadSelector";
            found.add(&codes::SIDECAR_CONFLICT, &record.key, field, message, hint);
        }
        for at in selected {
            first.entry(at).or_insert(&record.key);
        }
    }
}
