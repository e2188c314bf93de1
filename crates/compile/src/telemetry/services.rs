//! Access logs of the calls to chosen services, written by their callers.
//!
//! - A service says who logs the calls to it (`meltemi.io/access-log`). Its routes then carry the
//!   names of these providers as metadata, which every log of a caller looks for: one service more
//!   is another route configuration, and no other listener.
//! - To look is an expression, so each log has a switch before it, which is on for proxies that see
//!   such a service and for no other.
//! - Only HTTP: connections have no route.

use std::{collections::BTreeSet, sync::Arc};

use api::istio::mesh_config::MeshConfig;
use envoy::config::core::v3::Metadata;
use model::{Diagnostic, Service};
use prost_types::{Struct, Value, value::Kind};

use super::{
    logs::{Condition, LOG_KINDS, Subject, defaults, mesh_file, takes_logs},
    provider::{ENVOY, Provider},
};
use crate::codes;

/// Where the metadata of a route has the names of providers.
const METADATA: &str = "meltemi.log";
/// Stands for the providers that the mesh logs with.
const OF_MESH: &str = "true";

/// When the log of a provider has an entry for the sake of the called service.
pub(super) fn condition(provider: &str) -> Condition {
    let name = provider.replace('\\', r"\\").replace('\'', r"\'");
    let expression = format!("xds.route_metadata.filter_metadata['{METADATA}']['{name}'] == true");
    Condition {
        switch: Some(switch(provider)),
        expression: Some(expression.into()),
        subject: Subject::Route,
    }
}

/// The runtime key before the expression.
pub(super) fn switch(provider: &str) -> Arc<str> {
    format!("meltemi.log.services.{provider}").into()
}

/// The providers that the marks of services stand for.
pub(super) fn providers<'a>(
    marks: impl Iterator<Item = &'a Arc<str>>,
    config: &MeshConfig,
) -> BTreeSet<Arc<str>> {
    let mut providers = BTreeSet::new();
    for mark in marks {
        match &**mark {
            OF_MESH => providers.extend(of_mesh(config)),
            name if is_log(name, config) => {
                providers.insert(mark.clone());
            }
            _ => (),
        }
    }
    providers
}

fn of_mesh(config: &MeshConfig) -> Vec<Arc<str>> {
    let mut providers = defaults(config);
    providers.retain(|name| is_log(name, config));
    if providers.is_empty() {
        providers.push(mesh_file(config).unwrap_or_else(|| ENVOY.into()));
    }
    providers
}

fn is_log(name: &str, config: &MeshConfig) -> bool {
    match Provider::find(name, config) {
        Some(Provider::Envoy) => true,
        Some(Provider::Configured(provider)) => takes_logs(provider),
        Some(Provider::Prometheus) | None => false,
    }
}

/// Marks a route that leads to services, if calls to any of them are logged.
pub(crate) fn mark_route<'a>(
    metadata: &mut Option<Metadata>,
    services: impl Iterator<Item = &'a Service>,
    config: &MeshConfig,
) {
    let marks: BTreeSet<&Arc<str>> = services.flat_map(|it| it.access_log.iter()).collect();
    let providers = providers(marks.into_iter(), config);
    if providers.is_empty() {
        return;
    }
    let logged = || Value { kind: Some(Kind::BoolValue(true)) };
    let fields = providers.iter().map(|name| (name.to_string(), logged())).collect();
    let all = &mut metadata.get_or_insert_default().filter_metadata;
    all.insert(METADATA.to_owned(), Struct { fields });
}

/// Says which marks of a service are no providers of access logs.
pub(crate) fn check_marks(service: &Service, config: &MeshConfig) -> Vec<Diagnostic> {
    let wrong = service.access_log.iter().filter(|it| &***it != OF_MESH && !is_log(it, config));
    let finding = |name: &Arc<str>| {
        codes::PROVIDER
            .diagnostic(format!("`{name}` is no provider of access logs"))
            .object(service.origin.clone())
            .field("metadata.annotations[meltemi.io/access-log]")
            .hint(format!("{LOG_KINDS}, or write `true`"))
    };
    wrong.map(finding).collect()
}
