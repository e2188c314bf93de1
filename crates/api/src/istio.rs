//! Types of Istio's API groups, one module per kind.
//!
//! Fields have the names of the protobuf messages; JSON names are their camel case, and the
//! protobuf names are accepted too. Absent fields have their protobuf defaults, and fields whose
//! presence matters are options.

pub mod authorization_policy;
pub mod destination_rule;
pub mod envoy_filter;
pub mod extension_provider;
pub mod gateway;
pub mod load_balancer;
pub mod mesh_config;
pub mod mesh_proxy_config;
pub mod peer_authentication;
pub mod proxy_config;
pub mod request_authentication;
pub mod service_entry;
pub mod sidecar;
pub mod telemetry;
pub mod traffic_policy;
pub mod virtual_service;
pub mod wasm_plugin;
pub mod workload_entry;

mod fault;
mod oneof;
mod selector;

pub use oneof::{CustomTag, HttpBody, StringMatch};
pub use selector::{LabelSelector, PolicyTargetReference, WorkloadSelector};
