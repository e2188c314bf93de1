mod corpus;
mod golden;
mod relay;

use envoy::{Any, extensions::filters::network::http_connection_manager::v3::http_filter};
use envoy::{
    config::listener::v3::filter,
    json::{self, FieldNames},
};
use model::Labels;
use serde_json::Value;
use snapshot::{Reader, Snapshot};

use super::{SecurityFilters, SecurityInput, compile_security, select_security};
use crate::{Client, fixture};

/// The filters of the proxy `app.foo` with these labels.
fn compile(mesh: &str, labels: &[(&str, &str)]) -> SecurityFilters {
    compile_security(&select(mesh, labels))
}

fn select(mesh: &str, labels: &[(&str, &str)]) -> SecurityInput {
    select_from(&fixture::snapshot(mesh), labels)
}

fn select_from(snapshot: &Snapshot, labels: &[(&str, &str)]) -> SecurityInput {
    let reader = Reader::new(snapshot);
    let labels: Labels = labels.iter().copied().collect();
    let client = Client::reduce(&fixture::proxy("foo"), &reader);
    select_security(&labels, &client, &reader)
}

/// Name and configuration of each HTTP filter.
fn http(filters: &SecurityFilters) -> Vec<(&str, &Any)> {
    let parts = filters.http.iter().map(|it| match &it.config_type {
        Some(http_filter::ConfigType::TypedConfig(any)) => (it.name.as_str(), any),
        other => panic!("unexpected {other:?}"),
    });
    parts.collect()
}

fn network(filters: &SecurityFilters) -> Vec<(&str, &Any)> {
    let parts = filters.network.iter().map(|it| match &it.config_type {
        Some(filter::ConfigType::TypedConfig(any)) => (it.name.as_str(), any),
        other => panic!("unexpected {other:?}"),
    });
    parts.collect()
}

fn to_json(any: &Any) -> Value {
    json::any_to_json(any, FieldNames::Camel)
}
