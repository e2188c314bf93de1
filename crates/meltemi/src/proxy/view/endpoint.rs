//! Endpoints: one row for each address.

use admin::ResourceStatus;
use serde_json::Value;

use super::{address, at, list, or_dash, text};
use crate::{
    output::Table,
    proxy::config::{state_cell, view_table},
};

pub(super) fn table(resources: &[&ResourceStatus]) -> Table {
    let columns = ["ENDPOINT", "STATUS", "LOCALITY", "PRIORITY", "WEIGHT", "CLUSTER"];
    let mut table = view_table(&columns);
    for resource in resources {
        let groups = list(&resource.resource, "endpoints");
        let mut is_empty = true;
        for group in groups {
            for endpoint in list(group, "lb_endpoints") {
                is_empty = false;
                table.row([
                    or_dash(address(at(endpoint, "endpoint/address"))).into(),
                    status(endpoint).into(),
                    locality(&group["locality"]).into(),
                    group["priority"].as_u64().unwrap_or_default().to_string().into(),
                    endpoint["load_balancing_weight"].as_u64().unwrap_or(1).to_string().into(),
                    resource.name.as_str().into(),
                    state_cell(resource),
                ]);
            }
        }
        if is_empty {
            let dash = || "-".into();
            let name = resource.name.as_str().into();
            table.row([dash(), dash(), dash(), dash(), dash(), name, state_cell(resource)]);
        }
    }
    table
}

/// What the control plane says of the health; Envoy has its own mind on top.
fn status(endpoint: &Value) -> String {
    match text(endpoint, "health_status") {
        "" | "UNKNOWN" => "HEALTHY".to_owned(),
        status => status.to_owned(),
    }
}

fn locality(locality: &Value) -> String {
    let parts = ["region", "zone", "sub_zone"].map(|part| text(locality, part));
    or_dash(parts.join("/").trim_end_matches('/').to_owned())
}
