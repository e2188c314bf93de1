//! Rules about route configurations that Envoy has in code.

use std::collections::BTreeMap;

use envoy::config::route::v3::RouteConfiguration;

use crate::{ResourceId, Rule};

use super::Report;

/// Every domain once; Envoy compares them without case.
pub(super) fn check(id: &ResourceId, routes: &RouteConfiguration, path: &str, report: &mut Report) {
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for (index, virtual_host) in routes.virtual_hosts.iter().enumerate() {
        for domain in &virtual_host.domains {
            if let Some(other) = taken.insert(domain.to_ascii_lowercase(), &virtual_host.name) {
                let dot = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{dot}virtual_hosts[{index}]");
                let message = format!("`{other}` has the domain `{domain}` already");
                report.refuse(id, &path, Rule::DuplicateDomain, message);
            }
        }
    }
}
