//! What is counted of learning.

use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{EdgeState, Pass, Refusal, Sensor, Stats, Withheld};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySensor {
    sensor: SensorLabel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SensorLabel(Sensor);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Reason(&'static str);

impl EncodeLabelValue for SensorLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        self.0.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        self.0.encode(encoder)
    }
}

/// Clones share the numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics(Arc<Inner>);

#[derive(Debug, Default)]
pub(crate) struct Inner {
    edges: Family<BySensor, Gauge>,
    states: Family<ByState, Gauge>,
    silent: Family<BySensor, Gauge>,
    fences_off: Gauge,
    total: Gauge,
    pinned: Gauge,
    workloads: Gauge,
    observations: Family<BySensor, Counter>,
    pub(crate) dropped: Counter,
    pub(crate) added: Counter,
    pub(crate) removed: Counter,
    refused: Family<ByReason, Counter>,
    withheld: Family<ByReason, Counter>,
    pub(crate) failed_writes: Counter,
}

impl std::ops::Deref for Metrics {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Metrics {
    /// The caller gives the prefix.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("edges", "Learned dependencies", self.total.clone());
        registry.register(
            "edges_by_sensor",
            "Learned dependencies by what saw them; one may have several",
            self.edges.clone(),
        );
        registry.register(
            "edges_by_state",
            "Learned dependencies by what will become of them",
            self.states.clone(),
        );
        registry.register(
            "sensor_silent",
            "Sensors that have worked once and are silent now: nothing that they know is forgotten",
            self.silent.clone(),
        );
        registry.register(
            "fences_off",
            "Decisions in force to switch fences off",
            self.fences_off.clone(),
        );
        registry.register("pinned_edges", "Pinned dependencies", self.pinned.clone());
        registry.register("workloads", "Workloads that are known", self.workloads.clone());
        registry.register("observations", "What sensors saw", self.observations.clone());
        let dropped = "Observations for which the queue had no room";
        registry.register("dropped_observations", dropped, self.dropped.clone());
        registry.register("added_edges", "Dependencies that were learned", self.added.clone());
        registry.register(
            "removed_edges",
            "Dependencies that were forgotten",
            self.removed.clone(),
        );
        registry.register(
            "refused_edges",
            "Dependencies that were not learned",
            self.refused.clone(),
        );
        registry.register(
            "withheld_edges",
            "Dependencies that a look found old and kept",
            self.withheld.clone(),
        );
        registry.register("failed_writes", "Writes that failed", self.failed_writes.clone());
    }

    pub(crate) fn observed(&self, sensor: Sensor) {
        self.observations.get_or_create(&BySensor { sensor: SensorLabel(sensor) }).inc();
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused.get_or_create(&ByReason { reason: Reason(refusal.as_str()) }).inc();
    }

    pub(crate) fn passed(&self, pass: &Pass) {
        self.removed.inc_by(pass.removed as u64);
        for (reason, count) in &pass.withheld {
            let label = ByReason { reason: Reason(Withheld::as_str(*reason)) };
            self.withheld.get_or_create(&label).inc_by(*count as u64);
        }
    }

    pub(crate) fn sized(&self, stats: &Stats) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for sensor in Sensor::ALL {
            let label = BySensor { sensor: SensorLabel(sensor) };
            self.edges.get_or_create(&label).set(gauge(stats.by_sensor[sensor as usize]));
            if let Some(is_silent) = stats.is_silent(sensor) {
                self.silent.get_or_create(&label).set(is_silent.into());
            }
        }
        for (name, count) in EdgeState::NAMES.iter().zip(stats.by_state) {
            self.states.get_or_create(&ByState { state: Reason(name) }).set(gauge(count));
        }
        self.fences_off.set(gauge(stats.fences_off));
        self.total.set(gauge(stats.edges));
        self.pinned.set(gauge(stats.pinned));
        self.workloads.set(gauge(stats.workloads));
    }
}
