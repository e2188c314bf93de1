//! The values that a proxy looks up while it runs: which logs are on, and how much is traced.
//!
//! - One resource for both sides of a proxy, since Envoy's runtime is the process's.
//! - Only whole numbers: Envoy takes a fraction here without a word, and reads it as zero.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use envoy::{Resource, service::runtime::v3::Runtime, type_url};
use model::{Generator, ObjectKey};
use prost_types::{Struct, Value, value::Kind};
use snapshot::Reader;

use super::{Side, logs, objects, services, tracing};
use crate::{Client, Compiled};

/// Name of the resource, and of the layer in the bootstrap.
pub const RUNTIME_LAYER: &str = "meltemi";
/// All requests, where switches count in ten thousandths.
const ALL: u32 = 10_000;

/// All that the resource depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuntimeInput {
    /// In ten thousandths.
    pub values: BTreeMap<Arc<str>, u32>,
    /// The objects that were asked.
    pub origins: Vec<ObjectKey>,
}

/// Selects the values of a class; `None` for proxies that look nothing up. `marks` are those of the
/// services that it sees.
pub fn select_runtime(
    client: &Client,
    marks: &BTreeSet<Arc<str>>,
    reader: &Reader<'_>,
) -> Option<RuntimeInput> {
    if !client.telemetry.runtime || client.generator == Generator::Grpc {
        return None;
    }
    let objects = objects(client, reader);
    let mut values = BTreeMap::new();
    for side in [Side::Client, Side::Server] {
        let on = logs::switched_on(side, &objects, reader);
        values.extend(on.into_iter().map(|key| (key, ALL)));
    }
    let of_services = services::providers(marks.iter(), &reader.mesh().config);
    values.extend(of_services.iter().map(|name| (services::switch(name), ALL)));
    values.extend(tracing::switches(&objects, reader));
    let origins = objects.iter().map(|record| record.key.clone()).collect();
    Some(RuntimeInput { values, origins })
}

/// Compiles the values of a class.
pub fn compile_runtime(input: &RuntimeInput) -> Compiled {
    let fields = input.values.iter().map(|(key, value)| {
        let number = Kind::NumberValue((*value).into());
        (key.to_string(), Value { kind: Some(number) })
    });
    let layer = Struct { fields: fields.collect() };
    let runtime = Runtime { name: RUNTIME_LAYER.to_owned(), layer: Some(layer) };
    Compiled {
        origins: input.origins.clone(),
        ..Compiled::new(Resource::from_message(RUNTIME_LAYER, type_url::RUNTIME, &runtime))
    }
}
