//! Envoy's API as Rust types, and the forms in which its messages travel.
//!
//! - The module tree [`config`], [`extensions`], [`service`], [`types`], … is generated from the
//!   descriptors of Envoy 1.40.0: `envoy::config::route::v3::RouteConfiguration`.
//! - Maps are `BTreeMap`s, so equal typed messages have equal encodings.
//! - What users write reaches Envoy through [`json`], which knows every message of Envoy.
//! - What is sent is a [`Resource`]: encoded once, shared by all streams.
//! - Not here: what goes into a message (`compile`) and who is sent it (`push`).

mod any;
mod descriptors;
pub mod deterministic;
#[allow(
    clippy::all,
    missing_docs,
    unreachable_pub,
    rustdoc::all,
    reason = "generated code follows the names and sizes of the proto files"
)]
mod generated {
    include!("generated/tree.rs");
}
pub mod json;
mod resource;
mod rope;
pub mod type_url;
pub mod wire;

pub use any::{Any, UnpackError};
pub use descriptors::descriptors;
pub use generated::envoy::{admin, config, data, extensions, service, r#type as types};
pub use generated::{cel, google, opentelemetry, udpa, xds};
pub use resource::Resource;
pub use rope::Rope;
