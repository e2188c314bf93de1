//! EnvoyFilter: patches of the configuration that Envoys get.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{is_default, istio::PolicyTargetReference, istio::WorkloadSelector};

/// Patches for the selected proxies.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyFilter {
    #[serde(alias = "workload_selector", skip_serializing_if = "is_default")]
    pub workload_selector: Option<WorkloadSelector>,
    #[serde(alias = "target_refs", skip_serializing_if = "is_default")]
    pub target_refs: Vec<PolicyTargetReference>,
    #[serde(alias = "config_patches", skip_serializing_if = "is_default")]
    pub config_patches: Vec<EnvoyConfigObjectPatch>,
    #[serde(skip_serializing_if = "is_default")]
    pub priority: i32,
}

/// One patch.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyConfigObjectPatch {
    #[serde(alias = "apply_to", skip_serializing_if = "is_default")]
    pub apply_to: ApplyTo,
    #[serde(skip_serializing_if = "is_default")]
    pub match_: Option<EnvoyConfigObjectMatch>,
    #[serde(skip_serializing_if = "is_default")]
    pub patch: Option<Patch>,
}

/// What is patched.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum ApplyTo {
    #[default]
    #[serde(rename = "INVALID")]
    Invalid,
    #[serde(rename = "LISTENER")]
    Listener,
    #[serde(rename = "FILTER_CHAIN")]
    FilterChain,
    #[serde(rename = "NETWORK_FILTER")]
    NetworkFilter,
    #[serde(rename = "HTTP_FILTER")]
    HttpFilter,
    #[serde(rename = "ROUTE_CONFIGURATION")]
    RouteConfiguration,
    #[serde(rename = "VIRTUAL_HOST")]
    VirtualHost,
    #[serde(rename = "HTTP_ROUTE")]
    HttpRoute,
    #[serde(rename = "CLUSTER")]
    Cluster,
    #[serde(rename = "EXTENSION_CONFIG")]
    ExtensionConfig,
    #[serde(rename = "BOOTSTRAP")]
    Bootstrap,
    #[serde(rename = "LISTENER_FILTER")]
    ListenerFilter,
}

/// Where the patch applies. At most one of the object matches is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyConfigObjectMatch {
    #[serde(skip_serializing_if = "is_default")]
    pub context: PatchContext,
    #[serde(skip_serializing_if = "is_default")]
    pub proxy: Option<ProxyMatch>,
    #[serde(skip_serializing_if = "is_default")]
    pub listener: Option<ListenerMatch>,
    #[serde(alias = "route_configuration", skip_serializing_if = "is_default")]
    pub route_configuration: Option<RouteConfigurationMatch>,
    #[serde(skip_serializing_if = "is_default")]
    pub cluster: Option<ClusterMatch>,
    #[serde(skip_serializing_if = "is_default")]
    pub waypoint: Option<WaypointMatch>,
}

/// Side of the proxy.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum PatchContext {
    #[default]
    #[serde(rename = "ANY")]
    Any,
    #[serde(rename = "SIDECAR_INBOUND")]
    SidecarInbound,
    #[serde(rename = "SIDECAR_OUTBOUND")]
    SidecarOutbound,
    #[serde(rename = "GATEWAY")]
    Gateway,
    #[serde(rename = "WAYPOINT")]
    Waypoint,
}

/// Which proxies.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyMatch {
    #[serde(alias = "proxy_version", skip_serializing_if = "is_default")]
    pub proxy_version: String,
    #[serde(skip_serializing_if = "is_default")]
    pub metadata: BTreeMap<String, String>,
}

/// Which clusters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterMatch {
    #[serde(alias = "port_number", skip_serializing_if = "is_default")]
    pub port_number: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    #[serde(skip_serializing_if = "is_default")]
    pub subset: String,
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// Which route configurations.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteConfigurationMatch {
    #[serde(alias = "port_number", skip_serializing_if = "is_default")]
    pub port_number: u32,
    #[serde(alias = "port_name", skip_serializing_if = "is_default")]
    pub port_name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: String,
    #[serde(skip_serializing_if = "is_default")]
    pub vhost: Option<VirtualHostMatch>,
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// Which virtual hosts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualHostMatch {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(alias = "domain_name", skip_serializing_if = "is_default")]
    pub domain_name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub route: Option<RouteMatch>,
}

/// Which routes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteMatch {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub action: RouteAction,
}

/// What a route does.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum RouteAction {
    #[default]
    #[serde(rename = "ANY")]
    Any,
    #[serde(rename = "ROUTE")]
    Route,
    #[serde(rename = "REDIRECT")]
    Redirect,
    #[serde(rename = "DIRECT_RESPONSE")]
    DirectResponse,
}

/// Which listeners.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerMatch {
    #[serde(alias = "port_number", skip_serializing_if = "is_default")]
    pub port_number: u32,
    #[serde(alias = "port_name", skip_serializing_if = "is_default")]
    pub port_name: String,
    #[serde(alias = "filter_chain", skip_serializing_if = "is_default")]
    pub filter_chain: Option<FilterChainMatch>,
    #[serde(alias = "listener_filter", skip_serializing_if = "is_default")]
    pub listener_filter: String,
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// Which filter chains.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterChainMatch {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub sni: String,
    #[serde(alias = "transport_protocol", skip_serializing_if = "is_default")]
    pub transport_protocol: String,
    #[serde(alias = "application_protocols", skip_serializing_if = "is_default")]
    pub application_protocols: String,
    #[serde(skip_serializing_if = "is_default")]
    pub filter: Option<FilterMatch>,
    #[serde(alias = "destination_port", skip_serializing_if = "is_default")]
    pub destination_port: u32,
}

/// Which filters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterMatch {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(alias = "sub_filter", skip_serializing_if = "is_default")]
    pub sub_filter: Option<SubFilterMatch>,
}

/// Which filters inside a filter.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubFilterMatch {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// Which parts of a waypoint.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WaypointMatch {
    #[serde(alias = "port_number", skip_serializing_if = "is_default")]
    pub port_number: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub filter: Option<FilterMatch>,
    #[serde(skip_serializing_if = "is_default")]
    pub route: Option<WaypointRouteMatch>,
}

/// Which routes of a waypoint.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WaypointRouteMatch {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// What is done.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Patch {
    #[serde(skip_serializing_if = "is_default")]
    pub operation: Operation,
    /// The Envoy configuration as it was written.
    #[serde(skip_serializing_if = "is_default")]
    pub value: Option<serde_json::Value>,
    #[serde(alias = "filter_class", skip_serializing_if = "is_default")]
    pub filter_class: FilterClass,
}

/// How the value is applied.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum Operation {
    #[default]
    #[serde(rename = "INVALID")]
    Invalid,
    #[serde(rename = "MERGE")]
    Merge,
    #[serde(rename = "ADD")]
    Add,
    #[serde(rename = "REMOVE")]
    Remove,
    #[serde(rename = "INSERT_BEFORE")]
    InsertBefore,
    #[serde(rename = "INSERT_AFTER")]
    InsertAfter,
    #[serde(rename = "INSERT_FIRST")]
    InsertFirst,
    #[serde(rename = "REPLACE")]
    Replace,
    #[serde(rename = "MERGE_AND_REPLACE_LIST")]
    MergeAndReplaceList,
}

/// Where an added filter goes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum FilterClass {
    #[default]
    #[serde(rename = "UNSPECIFIED")]
    Unspecified,
    #[serde(rename = "AUTHN")]
    Authn,
    #[serde(rename = "AUTHZ")]
    Authz,
    #[serde(rename = "STATS")]
    Stats,
}
