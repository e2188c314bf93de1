//! A snapshot and a class of proxies → Envoy resources.
//!
//! - `select` functions read the snapshot through a `Reader` and pick shared parts; `compile_…`
//!   functions are pure and take exactly one input value, which is the cache key.
//! - Never fails as a whole: what cannot be compiled has a safe meaning and a diagnostic.
//! - Not here: streams, caches, who is sent what (`push`).

mod client;
pub mod cluster;
mod cluster_ref;
pub mod codes;
mod compiled;
pub mod endpoint;
pub mod filters;
#[cfg(test)]
mod fixture;
pub mod gateway;
pub mod grpc;
pub mod inbound;
pub mod lazy_gateway;
pub mod names;
pub mod outbound;
mod own_services;
pub mod peer;
mod route;
mod route_config;
mod route_parts;
mod scope;
pub mod sds;
pub mod secret;
pub mod security;
pub mod telemetry;
pub mod tls;
pub mod traffic_policy;
mod virtual_host;

pub use client::{Client, ClientFence, Detour, Relay, Role};
pub use cluster_ref::{ClusterForm, ClusterRef, every_cluster};
pub use compiled::Compiled;
pub use route::{
    Destination, RouteContext, Scheme, TranslatedRoutes, default_route, is_catch_all, rule_applies,
    select_destinations, translate_routes,
};
pub use route_config::{
    COMPOSITE, CatchAll, DetourInput, DispatchRoute, RouteInput, RouteName, answer, answer_nothing,
    answers_nothing, compile_detour_cluster, compile_route, host_resources, is_answered,
    own_domain, select_route, unknown_host, with_domains_of,
};
pub use route_parts::{LastHost, RouteParts};
pub use scope::{
    ChangedNames, DetourDomains, DetourTarget, EgressListener, EgressPort, Fenced, OpenPorts,
    RuleRef, Scope, ScopeKey, Untold, Visible, VisibleChange, Written, clean_host,
};
pub use virtual_host::{
    Caller, CompiledVirtualHost, DomainForm, VirtualHostInput, compile_virtual_host,
};
