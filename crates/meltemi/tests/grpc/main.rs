//! gRPC's own client (`xds:///host:port`), without an Envoy, under the real binary.

mod application;
mod calls;
mod changes;
mod shop;
