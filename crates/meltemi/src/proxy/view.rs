//! Resources of one type → the columns that istioctl's users expect.
//!
//! The content comes as JSON with Envoy's field names; what is not there is shown as `-`.

mod cluster;
mod endpoint;
mod listener;
mod route;
mod secret;

use admin::ResourceStatus;
use serde_json::Value;

pub(super) use self::cluster::ClusterName;
use crate::output::Table;

/// One type of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Clusters,
    Listeners,
    Routes,
    Endpoints,
    Secrets,
}

impl View {
    /// The types as the API names them.
    fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Clusters => &["cluster"],
            Self::Listeners => &["listener"],
            Self::Routes => &["route", route::ON_DEMAND],
            Self::Endpoints => &["endpoint"],
            Self::Secrets => &["secret"],
        }
    }

    pub(super) fn shows(self, resource: &ResourceStatus) -> bool {
        self.kinds().contains(&resource.kind.as_str())
    }
}

pub(super) fn table(view: View, resources: &[&ResourceStatus]) -> Table {
    match view {
        View::Clusters => cluster::table(resources),
        View::Listeners => listener::table(resources),
        View::Routes => route::table(resources),
        View::Endpoints => endpoint::table(resources),
        View::Secrets => secret::table(resources),
    }
}

/// The port of a listener, or of a route configuration that is named after one.
pub(super) fn port(resource: &ResourceStatus) -> Option<u16> {
    let listened = at(&resource.resource, "address/socket_address/port_value").as_u64();
    let named = || route::configuration(resource).rsplit(':').next()?.parse().ok();
    listened.and_then(|port| u16::try_from(port).ok()).or_else(named)
}

/// A field below a value, by a path such as `address/socket_address`; null where it is absent.
fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('/').fold(value, |value, field| &value[field])
}

fn list<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    at(value, path).as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    at(value, path).as_str().unwrap_or_default()
}

fn or_dash(text: impl Into<String>) -> String {
    let text = text.into();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// The objects of one kind that a resource was made from, as `name.namespace`.
fn origins(resource: &ResourceStatus, kind: &str) -> String {
    let named = resource.origins.iter().filter_map(|origin| {
        let (namespace, name) = origin.strip_prefix(kind)?.trim().split_once('/')?;
        Some(format!("{name}.{namespace}"))
    });
    or_dash(named.collect::<Vec<_>>().join(", "))
}

/// `10.0.0.1:80`, `[::1]:80` or a path.
fn address(value: &Value) -> String {
    let socket = &value["socket_address"];
    let (host, port) = (text(socket, "address"), &socket["port_value"]);
    match (host, text(value, "pipe/path")) {
        ("", "") => text(value, "envoy_internal_address/server_listener_name").to_owned(),
        ("", path) => format!("unix://{path}"),
        (host, _) if host.contains(':') => format!("[{host}]:{port}"),
        (host, _) => format!("{host}:{port}"),
    }
}
