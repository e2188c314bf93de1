//! What a proxy reports of its traffic: access logs, traces and metrics.
//!
//! - [`TelemetryClient`] is what a proxy's class keeps of it: which Telemetry objects are in force,
//!   and what its bootstrap can do. Their content is read where it is used, so that a change of one
//!   moves no proxy to another class.
//! - [`select_telemetry`] gives what listeners are written with. Where the proxy looks switches up
//!   at run time (RTDS), every log that the mesh knows is written into every listener, switched
//!   off: whether a log is on, and how many requests are traced, is in [`select_runtime`] only, so
//!   that turning one on or off drains no listener.
//! - A provider that cannot be reached, or would make Envoy refuse the listener, is left out and
//!   reported: traffic goes on without it.
//! - Not here: the objects' form (`api`), the bootstrap (`meltemi bootstrap`).

mod access_log;
mod cel;
mod client;
mod collector;
mod format;
mod label_rules;
mod labels;
mod logs;
mod metrics;
mod provider;
mod reports;
mod runtime;
mod services;
mod sink;
#[cfg(test)]
mod tests;
mod tracer;
mod tracing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::istio::telemetry::{Telemetry as TelemetryObject, WorkloadMode};
use envoy::config::listener::v3::Filter;
use model::{Diagnostic, Generator, ObjectKey, Proxy, ServiceKey, Shared};
use snapshot::{PolicyRecord, Reader};

pub(crate) use self::{
    access_log::{expression_filter, http_logs, listener_logs, tcp_logs},
    labels::UNKNOWN,
};
pub use self::{
    client::TelemetryClient,
    collector::{Collectors, select_collectors},
    reports::REPORT_LOG,
    runtime::{RUNTIME_LAYER, RuntimeInput, compile_runtime, select_runtime},
};
use self::{collector::Collector, labels::Known, logs::Logger, metrics::Metrics};
pub(crate) use self::{
    reports::Reports,
    services::{check_marks, mark_route},
    tracing::Tracing,
};
use crate::{Client, inbound::InboundPort};

/// Which end of a call a listener is. A gateway is the caller of those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    Client,
    Server,
}

impl Side {
    /// Part of the names of switches.
    fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    fn is_meant_by(self, mode: WorkloadMode) -> bool {
        match mode {
            WorkloadMode::ClientAndServer => true,
            WorkloadMode::Client => self == Self::Client,
            WorkloadMode::Server => self == Self::Server,
        }
    }
}

/// All that the listeners of one side of a proxy report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Telemetry {
    /// Sorted: another order would drain every listener.
    pub(crate) logs: Vec<Logger>,
    /// Listeners log connections that match no chain.
    pub(crate) listener_log: bool,
    pub(crate) tracing: Option<Tracing>,
    pub(crate) metrics: Option<Metrics>,
    /// For learning.
    pub(crate) reports: Option<Reports>,
}

impl Telemetry {
    /// The clusters that are named, as far as xDS defines them, sorted.
    pub fn clusters(&self) -> BTreeSet<Arc<str>> {
        let in_xds = self.collectors().filter(|it| it.service.is_some());
        in_xds.map(|it| it.cluster.clone()).collect()
    }

    /// TCP proxies log a connection also when it has got to the other side, and not only its end.
    pub(crate) fn logs_connects(&self) -> bool {
        self.metrics.as_ref().is_some_and(Metrics::tells_of_connects)
    }

    /// Stands in front of the filters of a chain, which find there what they report of its
    /// connections.
    pub(crate) fn connection_filter(&self) -> Option<Filter> {
        self.metrics.as_ref().map(Metrics::connection)
    }

    /// The services behind [`Self::clusters`].
    fn services(&self) -> impl Iterator<Item = &(ServiceKey, u16)> {
        self.collectors().filter_map(|it| it.service.as_ref())
    }

    fn collectors(&self) -> impl Iterator<Item = &Collector> {
        let logs = self.logs.iter().filter_map(|logger| logger.sink.collector());
        logs.chain(self.tracing.iter().map(|tracing| tracing.tracer.collector()))
    }
}

/// The Telemetry objects in force, those of the mesh first.
fn objects<'a>(client: &Client, reader: &Reader<'a>) -> Vec<&'a PolicyRecord<TelemetryObject>> {
    let keys: &[ObjectKey] = &client.telemetry.objects;
    keys.iter().filter_map(|key| reader.policy(key)).map(|record| &**record).collect()
}

/// Selects what the listeners of one side of a proxy report, and says what cannot be.
pub fn select_telemetry(
    side: Side,
    client: &Client,
    reader: &Reader<'_>,
) -> (Shared<Telemetry>, Vec<Diagnostic>) {
    let known = match side {
        Side::Client => labels::shared(client),
        Side::Server => Known::new(),
    };
    let (telemetry, findings) = select_with(side, client, &known, reader);
    (Shared::new(telemetry), findings)
}

/// What the incoming side of one proxy reports, where no port is known and of each port.
pub(crate) fn select_inbound_telemetry<'a>(
    proxy: &Proxy,
    client: &Client,
    ports: impl Iterator<Item = &'a InboundPort>,
    reader: &Reader<'_>,
) -> (Shared<Telemetry>, BTreeMap<u16, Shared<Telemetry>>, Vec<Diagnostic>) {
    let own = labels::own(proxy);
    let (general, findings) = select_with(Side::Server, client, &own, reader);
    let mut of_ports = BTreeMap::new();
    if general.metrics.is_some() {
        let objects = objects(client, reader);
        of_ports.extend(ports.map(|port| {
            let mut known = own.clone();
            known.extend(labels::service(port));
            let metrics = metrics::select(Side::Server, &objects, &known, reader, &mut Vec::new());
            (port.port, Shared::new(Telemetry { metrics, ..general.clone() }))
        }));
    }
    (Shared::new(general), of_ports, findings)
}

fn select_with(
    side: Side,
    client: &Client,
    known: &Known,
    reader: &Reader<'_>,
) -> (Telemetry, Vec<Diagnostic>) {
    if client.generator == Generator::Grpc {
        return (Telemetry::default(), Vec::new());
    }
    let objects = objects(client, reader);
    let mut findings = Vec::new();
    let telemetry = Telemetry {
        logs: logs::select(side, &objects, client, reader, &mut findings),
        listener_log: !reader.mesh().config.disable_envoy_listener_log,
        tracing: tracing::select(side, &objects, client, reader, &mut findings),
        metrics: metrics::select(side, &objects, known, reader, &mut findings),
        reports: Reports::select(side, client),
    };
    (telemetry, findings)
}
