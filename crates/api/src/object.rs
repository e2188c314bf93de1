//! One object of any kind, with where it was written.

use std::sync::Arc;

use model::{Kind, Location, ObjectKey};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    istio::{
        authorization_policy::AuthorizationPolicy, destination_rule::DestinationRule,
        envoy_filter::EnvoyFilter, gateway::Gateway, mesh_config::MeshConfig,
        peer_authentication::PeerAuthentication, proxy_config::ProxyConfig,
        request_authentication::RequestAuthentication, service_entry::ServiceEntry,
        sidecar::Sidecar, telemetry::Telemetry, virtual_service::VirtualService,
        wasm_plugin::WasmPlugin, workload_entry::WorkloadEntry, workload_entry::WorkloadGroup,
    },
    k8s::{
        config_map::ConfigMap, endpoint_slice::EndpointSlice, endpoints::Endpoints,
        namespace::Namespace, node::Node, pod::Pod, secret::Secret, service::Service,
    },
    meta::ObjectMeta,
    slime::service_fence::ServiceFence,
};

/// An object as it was read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Object {
    pub key: ObjectKey,
    pub meta: Arc<ObjectMeta>,
    pub spec: Spec,
    pub location: Location,
    /// Hash of the labels, annotations, creation time and content: equal hashes, equal objects.
    pub hash: u128,
}

macro_rules! spec {
    ($($kind:ident),+ $(,)?) => {
        /// The content of an object, one variant per kind.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Spec {
            $($kind(Arc<$kind>)),+
        }

        impl Spec {
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind),+
                }
            }

            /// Reads the JSON that a content of this kind was written as.
            pub(crate) fn from_json(kind: Kind, json: &[u8]) -> serde_json::Result<Self> {
                Ok(match kind {
                    $(Kind::$kind => Self::$kind(serde_json::from_slice(json).map(Arc::new)?)),+
                })
            }
        }

        $(
            impl From<$kind> for Spec {
                fn from(value: $kind) -> Self {
                    Self::$kind(Arc::new(value))
                }
            }
        )+
    };
}

spec!(
    VirtualService,
    DestinationRule,
    ServiceEntry,
    WorkloadEntry,
    WorkloadGroup,
    Sidecar,
    Gateway,
    ProxyConfig,
    EnvoyFilter,
    PeerAuthentication,
    RequestAuthentication,
    AuthorizationPolicy,
    Telemetry,
    WasmPlugin,
    ServiceFence,
    MeshConfig,
    Service,
    EndpointSlice,
    Endpoints,
    Pod,
    Node,
    Namespace,
    Secret,
    ConfigMap,
);

impl Object {
    /// Makes an object and the hash of its content. The kind of `spec` is the kind of the key.
    pub fn new(meta: ObjectMeta, spec: Spec, location: Location) -> Self {
        let key = ObjectKey::new(spec.kind(), &meta.namespace, &meta.name);
        let hash = content_hash(&meta, &spec);
        Self { key, meta: Arc::new(meta), spec, location, hash }
    }
}

/// Equal content in another order of fields or with other comments has the same hash.
fn content_hash(meta: &ObjectMeta, spec: &Spec) -> u128 {
    #[derive(Serialize)]
    struct Hashed<'a>(&'a ObjectMeta, &'a Spec);

    let mut buffer = Vec::with_capacity(512);
    // Writing to memory cannot fail, and every map of these types has text keys.
    let _ = serde_json::to_writer(&mut buffer, &Hashed(meta, spec));
    xxh3_128(&buffer)
}
