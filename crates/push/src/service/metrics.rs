//! What the streams count, under the names of istiod where the meaning is the same.

use std::time::{Duration, Instant};

use prometheus_client::{
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};
use runtime::Tally;

use crate::{
    PushLog, ResourceKind, Sent,
    state::{Outgoing, StreamState},
};

/// Seconds.
const TIMES: [f64; 12] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
/// Seconds; a request waits.
const WAITS: [f64; 12] =
    [0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 5.0];
const CONFIG_SIZES: [f64; 6] = [1.0, 1e4, 1e6, 4e6, 1e7, 4e7];

/// Responses and refusals by type, and how long a change takes. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct StreamMetrics {
    pushes: Family<TypeLabel, Tally>,
    rejects: Family<TypeLabel, Tally>,
    config_size: Family<TypeLabel, Histogram>,
    push_time: Family<TypeLabel, Histogram>,
    send_time: Histogram,
    queue_time: Histogram,
    convergence: Histogram,
    acknowledgement: Histogram,
    waits: Histogram,
}

type TypeLabel = [(&'static str, &'static str); 1];

impl Default for StreamMetrics {
    fn default() -> Self {
        let times = || Histogram::new(TIMES);
        let (pushes, rejects) = (Family::default(), Family::<TypeLabel, Tally>::default());
        // Prometheus sees that one was added only where it has seen the number before.
        for (kind, family) in
            ResourceKind::ALL.iter().flat_map(|it| [(it, &pushes), (it, &rejects)])
        {
            drop(family.get_or_create(&label(*kind)));
        }
        Self {
            pushes,
            rejects,
            config_size: Family::new_with_constructor(|| Histogram::new(CONFIG_SIZES)),
            push_time: Family::new_with_constructor(|| Histogram::new(TIMES)),
            send_time: times(),
            queue_time: times(),
            convergence: times(),
            acknowledgement: times(),
            waits: Histogram::new(WAITS),
        }
    }
}

impl StreamMetrics {
    /// Registers all of them under their own names.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("pilot_xds_pushes", "Responses sent", self.pushes.clone());
        registry.register("pilot_total_xds_rejects", "Responses refused", self.rejects.clone());
        registry.register(
            "pilot_xds_config_size_bytes",
            "Size of the responses sent",
            self.config_size.clone(),
        );
        registry.register(
            "pilot_xds_push_time",
            "Seconds to decide on a response and to hand it over",
            self.push_time.clone(),
        );
        registry.register(
            "pilot_xds_send_time",
            "Seconds to hand a response over to its connection",
            self.send_time.clone(),
        );
        registry.register(
            "pilot_proxy_queue_time",
            "Seconds from a change until a proxy's stream takes it up",
            self.queue_time.clone(),
        );
        registry.register(
            "pilot_proxy_convergence_time",
            "Seconds from a change to the last response for it, per proxy",
            self.convergence.clone(),
        );
        registry.register(
            "meltemi_proxy_live_seconds",
            "Time from a change until a proxy has acknowledged all of it",
            self.acknowledgement.clone(),
        );
        registry.register(
            "meltemi_on_demand_wait_seconds",
            "Time from a proxy's question for a host until its answer is sent, clusters before it acknowledged",
            self.waits.clone(),
        );
    }

    /// `since` is when it was begun to decide on the response, and when it was decided.
    pub(super) fn sent(&self, outgoing: &Outgoing, bytes: usize, since: [Instant; 2]) {
        let label = label(outgoing.kind);
        self.pushes.get_or_create(&label).inc();
        #[expect(clippy::cast_precision_loss, reason = "a size of some bytes more or less")]
        self.config_size.get_or_create(&label).observe(bytes as f64);
        self.push_time.get_or_create(&label).observe(since[0].elapsed().as_secs_f64());
        self.send_time.observe(since[1].elapsed().as_secs_f64());
    }

    pub(super) fn waited(&self, time: Duration) {
        self.waits.observe(time.as_secs_f64());
    }

    pub(super) fn refused(&self, type_url: &str) {
        if let Some(kind) = ResourceKind::parse(type_url) {
            self.rejects.get_or_create(&label(kind)).inc();
        }
    }
}

/// How long the changes of one stream take.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    /// The first change that the proxy has not acknowledged yet.
    begun: Option<Instant>,
    last_sent: Option<Instant>,
    /// The pushes that it was told of and has not acknowledged yet.
    told: Vec<u64>,
}

/// Pushes that a proxy that answers nothing is remembered to owe.
const MOST_TOLD: usize = 256;

impl Stopwatch {
    /// The stream was told of these pushes, oldest first.
    pub(super) fn told(&mut self, metrics: &StreamMetrics, log: &PushLog, revisions: &[u64]) {
        let begun = revisions.first().and_then(|revision| log.noticed(*revision));
        if let Some(begun) = begun {
            metrics.queue_time.observe(begun.elapsed().as_secs_f64());
        }
        self.begun = self.begun.or(begun);
        self.told.extend(revisions);
        self.told.truncate(MOST_TOLD);
    }

    pub(super) fn sent(&mut self, log: &PushLog, kind: ResourceKind, sent: Sent) {
        self.last_sent = Some(Instant::now());
        if let Some(revision) = self.told.last() {
            log.sent(*revision, kind, sent);
        }
    }

    /// To be called when nothing more can be sent.
    pub(super) fn look(&mut self, metrics: &StreamMetrics, log: &PushLog, state: &StreamState) {
        let is_open = self.begun.is_some() || self.last_sent.is_some() || !self.told.is_empty();
        if !is_open || !state.is_synced() {
            return;
        }
        log.live(&self.told, Instant::now());
        self.told.clear();
        if let (Some(begun), Some(sent)) = (self.begun.take(), self.last_sent.take()) {
            metrics.convergence.observe(sent.saturating_duration_since(begun).as_secs_f64());
            metrics.acknowledgement.observe(begun.elapsed().as_secs_f64());
        }
    }
}

fn label(kind: ResourceKind) -> TypeLabel {
    let name = match kind {
        ResourceKind::Cluster => "cds",
        ResourceKind::Endpoint => "eds",
        ResourceKind::Listener => "lds",
        ResourceKind::ScopedRoute => "srds",
        ResourceKind::Route => "rds",
        ResourceKind::Secret => "sds",
        ResourceKind::VirtualHost => "vhds",
        ResourceKind::Runtime => "rtds",
    };
    [("type", name)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::PushRecord;

    #[test]
    fn a_change_counts_from_its_own_beginning() {
        let (metrics, mut stopwatch) = (StreamMetrics::default(), Stopwatch::default());
        let log = PushLog::default();
        let begun = Instant::now();
        let later = begun + Duration::from_secs(3600);
        log.open(PushRecord::new(7, &BTreeMap::new(), begun));
        log.open(PushRecord::new(8, &BTreeMap::new(), later));
        // The revision before did not concern this stream.
        stopwatch.told(&metrics, &log, &[8]);
        assert_eq!(stopwatch.begun, Some(later));
    }
}
