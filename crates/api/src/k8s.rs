//! Kubernetes objects, as far as the mesh reads them. Fields that it does not read are skipped
//! without a word.

pub mod config_map;
pub mod endpoint_slice;
pub mod endpoints;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod secret;
pub mod service;

mod reference;

pub use reference::ObjectReference;
