//! Which kinds are read, and how.

use model::Kind;

use super::{Document, Reader};
use crate::Spec;

pub(super) enum Found {
    Known(Kind),
    /// Of Kubernetes itself, and beside every service: nothing that anybody must be told.
    Beside,
    /// With what to do about it.
    Unknown(String),
}

const NETWORKING: &str = "networking.istio.io";
const SECURITY: &str = "security.istio.io";
const TELEMETRY: &str = "telemetry.istio.io";
const EXTENSIONS: &str = "extensions.istio.io";
const SLIME: &str = "microservice.slime.io";

/// Groups of Kubernetes that say nothing about traffic.
const BESIDE: [&str; 11] = [
    "apps",
    "batch",
    "autoscaling",
    "policy",
    "rbac.authorization.k8s.io",
    "networking.k8s.io",
    "apiextensions.k8s.io",
    "admissionregistration.k8s.io",
    "storage.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
];

/// Kinds of the group without a name that say nothing about traffic.
const BESIDE_CORE: [&str; 9] = [
    "ServiceAccount",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ReplicationController",
    "PodTemplate",
    "LimitRange",
    "ResourceQuota",
    "Event",
    "Binding",
];

/// Finds the kind of an object. The versions of a group have the same schema.
pub(super) fn find(api_version: &str, name: &str) -> Found {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let is_core = group.is_empty() && version == "v1";
    if BESIDE.contains(&group) || is_core && BESIDE_CORE.contains(&name) {
        return Found::Beside;
    }
    let Some((kind, own_group)) = Kind::parse(name).and_then(|kind| Some((kind, group_of(kind)?)))
    else {
        return Found::Unknown(String::new());
    };
    let versions: &[&str] = match own_group {
        NETWORKING => &["v1", "v1beta1", "v1alpha3"],
        SECURITY => &["v1", "v1beta1"],
        TELEMETRY | EXTENSIONS => &["v1", "v1alpha1"],
        "discovery.k8s.io" => &["v1", "v1beta1"],
        SLIME => &["v1alpha1"],
        _ => &["v1"],
    };
    if group != own_group {
        // Other projects have kinds of these names too.
        return Found::Unknown(String::new());
    }
    if !versions.contains(&version) {
        return Found::Unknown(format!("known versions are {}", versions.join(", ")));
    }
    Found::Known(kind)
}

/// The group of a kind; MeshConfig is no object of Kubernetes.
fn group_of(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::VirtualService
        | Kind::DestinationRule
        | Kind::ServiceEntry
        | Kind::WorkloadEntry
        | Kind::WorkloadGroup
        | Kind::Sidecar
        | Kind::Gateway
        | Kind::ProxyConfig
        | Kind::EnvoyFilter => NETWORKING,
        Kind::PeerAuthentication | Kind::RequestAuthentication | Kind::AuthorizationPolicy => {
            SECURITY
        }
        Kind::Telemetry => TELEMETRY,
        Kind::WasmPlugin => EXTENSIONS,
        Kind::ServiceFence => SLIME,
        Kind::EndpointSlice => "discovery.k8s.io",
        Kind::Service
        | Kind::Endpoints
        | Kind::Pod
        | Kind::Node
        | Kind::Namespace
        | Kind::Secret
        | Kind::ConfigMap => "",
        Kind::MeshConfig => return None,
    })
}

impl Reader {
    pub(super) fn spec(&mut self, document: &Document<'_, '_>, kind: Kind) -> Option<Spec> {
        use crate::{istio, k8s};
        match kind {
            Kind::VirtualService => self.custom::<istio::virtual_service::VirtualService>(document),
            Kind::DestinationRule => {
                self.custom::<istio::destination_rule::DestinationRule>(document)
            }
            Kind::ServiceEntry => self.custom::<istio::service_entry::ServiceEntry>(document),
            Kind::WorkloadEntry => self.custom::<istio::workload_entry::WorkloadEntry>(document),
            Kind::WorkloadGroup => self.custom::<istio::workload_entry::WorkloadGroup>(document),
            Kind::Sidecar => self.custom::<istio::sidecar::Sidecar>(document),
            Kind::Gateway => self.custom::<istio::gateway::Gateway>(document),
            Kind::ProxyConfig => self.custom::<istio::proxy_config::ProxyConfig>(document),
            Kind::EnvoyFilter => self.custom::<istio::envoy_filter::EnvoyFilter>(document),
            Kind::PeerAuthentication => {
                self.custom::<istio::peer_authentication::PeerAuthentication>(document)
            }
            Kind::RequestAuthentication => {
                self.custom::<istio::request_authentication::RequestAuthentication>(document)
            }
            Kind::AuthorizationPolicy => {
                self.custom::<istio::authorization_policy::AuthorizationPolicy>(document)
            }
            Kind::Telemetry => self.custom::<istio::telemetry::Telemetry>(document),
            Kind::WasmPlugin => self.custom::<istio::wasm_plugin::WasmPlugin>(document),
            Kind::ServiceFence => self.fence(document),
            Kind::MeshConfig => self.custom::<istio::mesh_config::MeshConfig>(document),
            Kind::Service => self.core::<k8s::service::Service>(document),
            Kind::EndpointSlice => self.core::<k8s::endpoint_slice::EndpointSlice>(document),
            Kind::Endpoints => self.core::<k8s::endpoints::Endpoints>(document),
            Kind::Pod => self.core::<k8s::pod::Pod>(document),
            Kind::Node => self.core::<k8s::node::Node>(document),
            Kind::Namespace => self.core::<k8s::namespace::Namespace>(document),
            Kind::Secret => self.core::<k8s::secret::Secret>(document),
            Kind::ConfigMap => self.core::<k8s::config_map::ConfigMap>(document),
        }
    }
}
