//! What the tests of all crates share: real Envoys, a real Prometheus, backends, clients, ports, certificates.
//!
//! - For tests alone: no shipped crate depends on it, but as a dev-dependency.
//! - Everything listens on loopback, and ends when its value is dropped.
//! - What a test cannot have is said on standard error, never passed over in silence.

pub mod certs;
pub mod child;
pub mod collector;
pub mod corpus;
pub mod envoy_process;
pub mod http;
pub mod jwt;
pub mod mesh;
pub mod ports;
pub mod prometheus;
pub mod tools;

pub use crate::{collector::OtelCollector, envoy_process::EnvoyProcess, mesh::Mesh};
