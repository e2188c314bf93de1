//! Groups → the wire format of a load assignment, without a message in between.
//!
//! - Most of what Envoy is sent are endpoints, and most of these differ from their neighbours in
//!   nothing but the address: what is said of one is encoded once for neighbours that are alike.
//! - `assignment::load_assignment` makes the same as a message; tests compare the two.

#[cfg(test)]
mod tests;

use envoy::{
    config::core::v3::HealthStatus,
    wire::{field_len, put_bytes, put_length, put_message},
};
use model::Endpoint;
use prost::Message;

use super::assignment::{
    Described, Group, ISTIO, MUTUAL, SOCKET_MATCH, Said, TLS_MODE, Weighed, convert_address,
    convert_health, convert_locality,
};

/// Fields of `ClusterLoadAssignment`.
mod assignment {
    pub(super) const CLUSTER_NAME: u32 = 1;
    pub(super) const ENDPOINTS: u32 = 2;
}

/// Fields of `LocalityLbEndpoints`.
mod group {
    pub(super) const LOCALITY: u32 = 1;
    pub(super) const LB_ENDPOINTS: u32 = 2;
    pub(super) const LOAD_BALANCING_WEIGHT: u32 = 3;
    pub(super) const PRIORITY: u32 = 5;
}

/// Fields of `LbEndpoint`, and of `Endpoint` within it.
mod endpoint {
    pub(super) const ENDPOINT: u32 = 1;
    pub(super) const HEALTH_STATUS: u32 = 2;
    pub(super) const METADATA: u32 = 3;
    pub(super) const LOAD_BALANCING_WEIGHT: u32 = 4;
    pub(super) const ADDRESS: u32 = 1;
}

/// Fields of `Metadata`, `Struct` and `Value`; a map is a list of entries.
mod metadata {
    pub(super) const FILTER_METADATA: u32 = 1;
    pub(super) const FIELDS: u32 = 1;
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    pub(super) const STRING_VALUE: u32 = 3;
}

/// About what an endpoint takes.
const USUAL_ENDPOINT: usize = 256;

/// A `ClusterLoadAssignment` of these groups.
pub(super) fn encode_assignment(
    cluster: &str,
    described: &Described<'_>,
    groups: Vec<Group<'_>>,
) -> Vec<u8> {
    let weighed = Weighed::new(groups);
    let endpoints: usize = weighed.groups.iter().map(|group| group.endpoints.len()).sum();
    let mut out = Vec::with_capacity(64 + cluster.len() + endpoints * USUAL_ENDPOINT);
    if !cluster.is_empty() {
        put_bytes(assignment::CLUSTER_NAME, cluster.as_bytes(), &mut out);
    }
    let (mut encoder, mut group) = (Encoder::new(described), Vec::new());
    for of in &weighed.groups {
        group.clear();
        encoder.put_group(of, &weighed, &mut group);
        put_bytes(assignment::ENDPOINTS, &group, &mut out);
    }
    out.shrink_to_fit();
    out
}

/// What was encoded for the endpoint before.
struct Encoder<'a> {
    described: &'a Described<'a>,
    last: Option<(&'a Endpoint, u16)>,
    /// The `Metadata` of the last one.
    metadata: Vec<u8>,
    endpoint: Vec<u8>,
}

impl<'a> Encoder<'a> {
    fn new(described: &'a Described<'a>) -> Self {
        Self { described, last: None, metadata: Vec::new(), endpoint: Vec::new() }
    }

    fn put_group(&mut self, group: &Group<'a>, weighed: &Weighed<'_>, out: &mut Vec<u8>) {
        put_message(group::LOCALITY, &convert_locality(group.locality), out);
        for endpoint in &group.endpoints {
            let Some(port) = endpoint.ports.get(self.described.port) else { continue };
            let weight = weighed.scale(endpoint.weight.into());
            self.encode_endpoint(endpoint, *port, weight);
            put_bytes(group::LB_ENDPOINTS, &self.endpoint, out);
        }
        put_message(group::LOAD_BALANCING_WEIGHT, &weighed.scale(group.weight), out);
        if group.priority > 0 {
            prost::encoding::uint32::encode(group::PRIORITY, &group.priority, out);
        }
    }

    fn encode_endpoint(&mut self, endpoint: &'a Endpoint, port: u16, weight: u32) {
        self.encode_metadata(endpoint, port);
        let out = &mut self.endpoint;
        out.clear();
        let address = convert_address(&endpoint.address, port);
        put_length(endpoint::ENDPOINT, field_len(address.encoded_len()), out);
        put_message(endpoint::ADDRESS, &address, out);
        let health = convert_health(endpoint.health);
        if health != HealthStatus::default() {
            prost::encoding::int32::encode(endpoint::HEALTH_STATUS, &health.into(), out);
        }
        put_bytes(endpoint::METADATA, &self.metadata, out);
        put_message(endpoint::LOAD_BALANCING_WEIGHT, &weight, out);
    }

    fn encode_metadata(&mut self, endpoint: &'a Endpoint, port: u16) {
        let is_alike = self.last.is_some_and(|(last, last_port)| {
            last_port == port
                && last.workload_name == endpoint.workload_name
                && last.labels == endpoint.labels
                && last.namespace == endpoint.namespace
                && last.mtls == endpoint.mtls
        });
        self.last = Some((endpoint, port));
        if is_alike {
            return;
        }
        let said = Said::of(endpoint, port, self.described);
        self.metadata.clear();
        if said.is_mutual {
            let fields = [(TLS_MODE, MUTUAL)];
            put_texts(SOCKET_MATCH, fields.into_iter(), &mut self.metadata);
        }
        put_texts(ISTIO, said.istio(), &mut self.metadata);
    }
}

/// One entry of `filter_metadata`.
fn put_texts<'k, 't>(
    filter: &str,
    fields: impl Iterator<Item = (&'k str, &'t str)> + Clone,
    out: &mut Vec<u8>,
) {
    let value_len = |text: &str| field_len(text.len());
    let entry_len = |key: &str, text: &str| field_len(key.len()) + field_len(value_len(text));
    let len = fields.clone().map(|(key, text)| field_len(entry_len(key, text))).sum();
    put_length(metadata::FILTER_METADATA, field_len(filter.len()) + field_len(len), out);
    put_bytes(metadata::KEY, filter.as_bytes(), out);
    put_length(metadata::VALUE, len, out);
    for (key, text) in fields {
        put_length(metadata::FIELDS, entry_len(key, text), out);
        put_bytes(metadata::KEY, key.as_bytes(), out);
        put_length(metadata::VALUE, value_len(text), out);
        put_bytes(metadata::STRING_VALUE, text.as_bytes(), out);
    }
}
