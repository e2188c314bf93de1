//! Where rules lead from the hosts of a fence.

use std::collections::BTreeSet;

use model::{Hostname, Kind, Namespace};

use crate::{fence::Destinations, index::Index};

/// The VirtualServices that a namespace may see.
pub(super) struct RulesSeen<'a> {
    pub(super) index: &'a Index,
    pub(super) from: &'a Namespace,
}

impl Destinations for RulesSeen<'_> {
    fn of_host(&self, host: &Hostname) -> BTreeSet<Hostname> {
        let rules = self.index.fences.rules_of(host);
        let records = rules.filter_map(|key| self.index.view.virtual_services.get(key));
        let seen = records.filter(|record| record.visibility.includes(self.from));
        seen.flat_map(|record| record.imports().into_iter().map(Hostname::new).collect::<Vec<_>>())
            .collect()
    }

    fn out_of_namespace(&self, namespace: &Namespace) -> BTreeSet<Hostname> {
        let mut found = BTreeSet::new();
        if self.index.fences.rules.is_empty() {
            return found;
        }
        for kind in [Kind::Service, Kind::ServiceEntry] {
            for (key, _) in self.index.objects_in(kind, namespace) {
                for service in self.index.defined_by.get(key).into_iter().flatten() {
                    found.extend(self.of_host(&service.hostname));
                }
            }
        }
        let hostnames = &self.index.view.hostnames;
        let is_inside = |host: &Hostname| {
            let keys = hostnames.get(host);
            keys.is_some_and(|keys| keys.iter().all(|key| key.namespace == *namespace))
        };
        found.retain(|host| !is_inside(host));
        found
    }
}
