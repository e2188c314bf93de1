//! What the connected proxies hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::UNIX_EPOCH,
};

use axum::{
    Json,
    extract::{Query, State},
};
use envoy::json::{FieldNames, bytes_to_json};
use model::ObjectKey;
use push::{HeldIdentity, ProxyDump, ResourceDump, ResourceKind};
use serde::{Deserialize, Serialize};

use crate::{ApiError, Reason, Shared, redact::redact};

/// One proxy in `/debug/proxies`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyStatus {
    /// `node.id`.
    pub id: String,
    /// `name.namespace`.
    pub proxy: String,
    pub kind: String,
    pub protocol: String,
    pub version: String,
    /// What the stream has proven to be, such as `spiffe://cluster.local/ns/shop/sa/cart`; empty
    /// when it has proven nothing.
    #[serde(default)]
    pub identity: String,
    /// `SYNCED`, `STALE` (something waits for an answer) or `NACK`.
    pub state: String,
    /// The types that the proxy has asked for; an older server does not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subscribed: Option<Vec<String>>,
    /// Names that wait, by type.
    pub pending: BTreeMap<String, usize>,
    /// What waits for clusters that nothing defines, in words.
    #[serde(default)]
    pub held_back: Vec<String>,
    /// Refused resources with Envoy's words.
    pub refused: Vec<ResourceStatus>,
}

/// The list in `/debug/proxies`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProxyStatusList {
    pub items: Vec<ProxyStatus>,
    /// When the state was written down (seconds since 1970) that is served while a source is still
    /// reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
}

/// One resource, with its content only in `/debug/config_dump`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceStatus {
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acknowledged: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub origins: Vec<String>,
    #[serde(skip_serializing_if = "serde_json::Value::is_null", default)]
    pub resource: serde_json::Value,
}

/// `/debug/config_dump?proxy=NAME.NAMESPACE`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProxyConfig {
    pub status: ProxyStatus,
    pub resources: Vec<ResourceStatus>,
    /// Where the objects behind the resources are written: `file:line` by
    /// `VirtualService shop/cart`.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
}

pub(crate) fn kind_name(kind: ResourceKind) -> String {
    match kind {
        ResourceKind::Cluster => "cluster",
        ResourceKind::Endpoint => "endpoint",
        ResourceKind::Listener => "listener",
        ResourceKind::ScopedRoute => "scopedroute",
        ResourceKind::Route => "route",
        ResourceKind::VirtualHost => "virtualhost",
        ResourceKind::Secret => "secret",
        ResourceKind::Runtime => "runtime",
    }
    .to_owned()
}

/// `name.namespace`.
pub(crate) fn proxy_name(proxy: &model::Proxy) -> String {
    format!("{}.{}", proxy.name, proxy.namespace)
}

fn resource_status(dump: &ResourceDump) -> ResourceStatus {
    let resource = match dump.body.is_empty() {
        true => serde_json::Value::Null,
        false => redact(bytes_to_json(dump.kind.type_url(), dump.body.clone(), FieldNames::Proto)),
    };
    ResourceStatus {
        kind: kind_name(dump.kind),
        name: dump.name.to_string(),
        acknowledged: dump.acknowledged.clone(),
        sent: dump.sent.clone(),
        refused: dump.refused.clone(),
        origins: dump.origins.iter().map(ToString::to_string).collect(),
        resource,
    }
}

fn proxy_status(dump: &ProxyDump) -> ProxyStatus {
    let refused: Vec<ResourceStatus> =
        dump.resources.iter().filter(|it| it.refused.is_some()).map(resource_status).collect();
    let state = match (refused.is_empty(), dump.synced) {
        (false, _) => "NACK",
        (true, true) => "SYNCED",
        (true, false) => "STALE",
    };
    let pending = dump.pending.iter().filter(|(_, count)| **count > 0);
    ProxyStatus {
        id: dump.proxy.id.to_string(),
        proxy: proxy_name(&dump.proxy),
        kind: match dump.proxy.kind {
            model::ProxyKind::Sidecar => "sidecar".to_owned(),
            model::ProxyKind::Router => "router".to_owned(),
        },
        protocol: dump.protocol.to_string(),
        version: dump.proxy.istio_version.to_string(),
        identity: dump.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
        state: state.to_owned(),
        subscribed: Some(dump.subscribed.iter().copied().map(kind_name).collect()),
        pending: pending.map(|(kind, count)| (kind_name(*kind), *count)).collect(),
        held_back: dump.held_back.iter().map(held_back_text).collect(),
        refused,
    }
}

pub(crate) fn held_back_text(held_back: &push::HeldBack) -> String {
    let clusters = held_back.clusters.join("`, `");
    let kind = kind_name(held_back.kind);
    format!(
        "{kind} `{}` waits for `{clusters}`, which nothing defines or which is still warming",
        held_back.name
    )
}

pub(crate) async fn list(State(admin): State<Shared>) -> Json<ProxyStatusList> {
    let dumps = admin.streams.dump(|_| true, false).await;
    let mut items: Vec<ProxyStatus> = dumps.iter().map(proxy_status).collect();
    items.sort_by(|a, b| a.proxy.cmp(&b.proxy));
    let statuses = admin.statuses.load();
    let restored = statuses.values().filter_map(|status| status.restored).min();
    let restored = restored.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Json(ProxyStatusList { items, restored: restored.map(|since| since.as_secs()) })
}

/// One proxy in `/debug/identities`: what it has acknowledged of its own identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyIdentity {
    /// `name.namespace`.
    pub proxy: String,
    /// Whether it could be asked in time; otherwise the rest is empty.
    pub answered: bool,
    /// By what it proves who it is to others: leaf and intermediates (PEM).
    #[serde(default)]
    pub certificate: String,
    /// The roots that it believes (PEM).
    #[serde(default)]
    pub authorities: String,
}

/// The list in `/debug/identities`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProxyIdentityList {
    pub items: Vec<ProxyIdentity>,
}

pub(crate) async fn identities(State(admin): State<Shared>) -> Json<ProxyIdentityList> {
    let held = admin.streams.identities().await.into_iter();
    let mut items: Vec<ProxyIdentity> = held
        .map(|(proxy, held)| {
            let (proxy, answered) = (proxy_name(&proxy), held.is_some());
            let HeldIdentity { certificate, authorities } = held.unwrap_or_default();
            ProxyIdentity { proxy, answered, certificate, authorities }
        })
        .collect();
    items.sort_by(|a, b| a.proxy.cmp(&b.proxy));
    Json(ProxyIdentityList { items })
}

#[derive(Debug, Deserialize)]
pub(crate) struct ConfigQuery {
    /// `name.namespace`, `name` or the whole node id.
    proxy: String,
}

pub(crate) async fn config(
    State(admin): State<Shared>,
    Query(query): Query<ConfigQuery>,
) -> Result<Json<ProxyConfig>, ApiError> {
    let wanted = |proxy: &model::Proxy| {
        query.proxy == proxy_name(proxy)
            || query.proxy == proxy.name.as_str()
            || query.proxy == proxy.id.0.as_ref()
    };
    let dumps = admin.streams.dump(wanted, true).await;
    let Some(dump) = dumps.last() else {
        let message = format!("no connected proxy is called `{}`", query.proxy);
        let hint = "`meltemi proxy status` lists them";
        return Err(ApiError::new(Reason::NotFound, message).hint(hint));
    };
    let origins: BTreeSet<ObjectKey> =
        dump.resources.iter().flat_map(|it| it.origins.iter().cloned()).collect();
    let sources = admin.writer.read(move |index| {
        let located = origins.iter().filter_map(|key| {
            let object = index.objects().get(key)?;
            Some((key.to_string(), object.location.to_string()))
        });
        located.collect()
    });
    Ok(Json(ProxyConfig {
        status: proxy_status(dump),
        resources: dump.resources.iter().map(resource_status).collect(),
        sources: sources.await.unwrap_or_default(),
    }))
}
