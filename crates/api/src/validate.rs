//! What is wrong with one object, judged by itself.
//!
//! - The rules are Istio's: what its webhook and its schemas refuse is an error here too.
//! - A known field without an effect yet is always reported, never ignored in silence.
//! - Not here: references to other objects (`snapshot`), what the types already refuse (`parse`).

mod authorization;
mod check;
mod client_tls;
mod destination_rule;
mod envoy_filter;
mod gateway;
mod http_action;
mod http_route;
mod load_balancer;
mod mesh_config;
mod names;
mod path;
mod reach;
mod security;
mod service_entry;
mod service_fence;
mod sidecar;
mod telemetry;
mod virtual_service;
mod wasm_plugin;
mod workload;

use model::{Diagnostics, Kind};

use crate::{Object, Spec, codes};
use check::Check;
pub(crate) use names::{check_wildcard_host, is_label};
use path::Path;

/// Judges one object by itself. An error means that the object must have no effect.
pub fn validate(object: &Object) -> Diagnostics {
    let mut check = Check::new(object);
    let spec = Path::root("spec");
    if !is_core(object.key.kind) {
        annotations(&mut check);
    }
    match &object.spec {
        Spec::VirtualService(value) => virtual_service::check(&mut check, &spec, value),
        Spec::DestinationRule(value) => destination_rule::check(&mut check, &spec, value),
        Spec::ServiceEntry(value) => service_entry::check(&mut check, &spec, value),
        Spec::WorkloadEntry(value) => workload::entry(&mut check, &spec, value),
        Spec::WorkloadGroup(value) => workload::group(&mut check, &spec, value),
        Spec::Sidecar(value) => sidecar::check(&mut check, &spec, value),
        Spec::Gateway(value) => gateway::check(&mut check, &spec, value),
        Spec::ProxyConfig(value) => workload::proxy_config(&mut check, &spec, value),
        Spec::EnvoyFilter(value) => envoy_filter::check(&mut check, &spec, value),
        Spec::PeerAuthentication(value) => security::peer(&mut check, &spec, value),
        Spec::RequestAuthentication(value) => security::request(&mut check, &spec, value),
        Spec::AuthorizationPolicy(value) => authorization::check(&mut check, &spec, value),
        Spec::Telemetry(value) => telemetry::check(&mut check, &spec, value),
        Spec::WasmPlugin(value) => wasm_plugin::check(&mut check, &spec, value),
        Spec::ServiceFence(value) => service_fence::check(&mut check, &spec, &value.spec),
        Spec::MeshConfig(value) => mesh_config::check(&mut check, value),
        // The API server has judged these.
        Spec::Service(_)
        | Spec::EndpointSlice(_)
        | Spec::Endpoints(_)
        | Spec::Pod(_)
        | Spec::Node(_)
        | Spec::Namespace(_)
        | Spec::Secret(_)
        | Spec::ConfigMap(_) => (),
    }
    check.finish()
}

/// Objects of Kubernetes itself.
fn is_core(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Service
            | Kind::EndpointSlice
            | Kind::Endpoints
            | Kind::Pod
            | Kind::Node
            | Kind::Namespace
            | Kind::Secret
            | Kind::ConfigMap
    )
}

fn annotations(check: &mut Check<'_>) {
    use crate::istio::authorization_policy::Action;
    let annotations = &check.object.meta.annotations;
    let metadata = Path::root("metadata");
    let path = metadata.field("annotations");
    if annotations.contains_key("internal.istio.io/webhook-always-reject") {
        let message = "the annotation `internal.istio.io/webhook-always-reject` is set";
        check.report(&codes::REJECT_ANNOTATION, &path, message, "");
    }
    let Some(value) = annotations.get("istio.io/dry-run") else { return };
    let path = path.key("istio.io/dry-run");
    let is_possible = matches!(
        &check.object.spec,
        Spec::AuthorizationPolicy(policy)
            if matches!(policy.action, Action::Allow | Action::Deny)
    );
    let known = ["1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"];
    if !is_possible {
        let message = "dry runs are only possible for AuthorizationPolicies that allow or deny";
        check.report(&codes::DRY_RUN, &path, message, "remove the annotation");
    } else if !known.contains(&value.as_str()) {
        let message = format!("`{value}` is not a truth value");
        check.report(&codes::DRY_RUN, &path, message, "use `true` or `false`");
    }
}

#[cfg(test)]
mod tests;
