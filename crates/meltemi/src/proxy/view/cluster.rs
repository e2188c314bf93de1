//! Clusters.

use admin::ResourceStatus;

use super::{origins, text};
use crate::{
    output::Table,
    proxy::config::{state_cell, view_table},
};

/// `outbound|80|v1|cart.shop.svc.cluster.local`, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterName<'n> {
    pub(crate) direction: &'n str,
    pub(crate) port: &'n str,
    pub(crate) subset: &'n str,
    pub(crate) host: &'n str,
}

impl<'n> ClusterName<'n> {
    pub(crate) fn parse(name: &'n str) -> Option<Self> {
        let mut parts = name.splitn(4, '|');
        Some(Self {
            direction: parts.next()?,
            port: parts.next()?,
            subset: parts.next()?,
            host: parts.next()?,
        })
    }
}

pub(super) fn table(resources: &[&ResourceStatus]) -> Table {
    let columns = ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"];
    let mut table = view_table(&columns);
    for resource in resources {
        let name = ClusterName::parse(&resource.name);
        let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let part = |pick: fn(&ClusterName<'_>) -> String| {
            name.as_ref().map(pick).map_or_else(|| "-".to_owned(), |text| dash(&text))
        };
        let host = name.as_ref().map(|it| it.host).filter(|host| !host.is_empty());
        table.row([
            host.unwrap_or(&resource.name).to_owned().into(),
            part(|it| it.port.to_owned()).into(),
            part(|it| it.subset.to_owned()).into(),
            part(|it| it.direction.to_owned()).into(),
            kind(resource).into(),
            origins(resource, "DestinationRule").into(),
            state_cell(resource),
        ]);
    }
    table
}

/// `EDS`, `STRICT_DNS`, or the name of an extension. Envoy's default is `STATIC`.
fn kind(resource: &ResourceStatus) -> String {
    let cluster = &resource.resource;
    if cluster.is_null() {
        return "-".to_owned();
    }
    match (text(cluster, "type"), text(cluster, "cluster_type/name")) {
        ("", "") => "STATIC".to_owned(),
        ("", extension) => extension.rsplit('.').next().unwrap_or(extension).to_owned(),
        (kind, _) => kind.to_owned(),
    }
}
