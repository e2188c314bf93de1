//! What the transport counts.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::server::Departure;

/// Why a stream was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many as may be are open.
    Streams,
    /// Too many began at once.
    Rate,
    /// There is no room in memory.
    Memory,
}

type Reason = [(&'static str, &'static str); 1];

/// Counters of one server. All are atomics, shared by clones of them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Connections that are open.
    pub connections_open: Gauge,
    /// Connections ever accepted.
    pub connections: Counter,
    /// Connections given up before their first stream: TLS failures, silence.
    pub connections_failed: Counter,
    /// ADS streams that are open.
    pub streams_open: Gauge,
    /// ADS streams ever opened.
    pub streams: Counter,
    streams_refused: Family<Reason, Counter>,
    connections_sent_away: Family<Reason, Counter>,
    /// Requests decoded.
    pub requests: Counter,
    /// Responses accepted for sending.
    pub responses: Counter,
    /// Bytes of those responses, gRPC prefixes included.
    pub bytes_sent: Counter,
    /// Streams with a message that could not be cut out or decoded.
    pub decode_errors: Counter,
}

impl Metrics {
    /// Registers all of them. The caller gives the prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // Prometheus sees that one was added only where it has seen the number before.
        for refusal in [Refusal::Streams, Refusal::Rate, Refusal::Memory] {
            metrics.refused(refusal);
        }
        for departure in [Departure::Age, Departure::HandOver] {
            metrics.departed(departure);
        }
        let mut family =
            |name, help, value: &Family<_, _>| registry.register(name, help, value.clone());
        family("streams_refused", "ADS streams refused, by reason", &metrics.streams_refused);
        family(
            "connections_sent_away",
            "Connections asked to go elsewhere, by reason",
            &metrics.connections_sent_away,
        );
        let mut gauge = |name, help, value: &Gauge| registry.register(name, help, value.clone());
        gauge("connections_open", "Connections that are open", &metrics.connections_open);
        gauge("streams_open", "ADS streams that are open", &metrics.streams_open);
        let mut counter =
            |name, help, value: &Counter| registry.register(name, help, value.clone());
        counter("connections", "Connections accepted", &metrics.connections);
        counter(
            "connections_failed",
            "Connections given up before their first stream",
            &metrics.connections_failed,
        );
        counter("streams", "ADS streams opened", &metrics.streams);
        counter("requests", "Requests decoded", &metrics.requests);
        counter("responses", "Responses accepted for sending", &metrics.responses);
        counter("sent_bytes", "Bytes of responses accepted for sending", &metrics.bytes_sent);
        counter("decode_errors", "Streams with an unreadable message", &metrics.decode_errors);
        metrics
    }

    /// ADS streams that were refused.
    pub fn refused(&self, refusal: Refusal) -> Counter {
        let reason = match refusal {
            Refusal::Streams => "streams",
            Refusal::Rate => "rate",
            Refusal::Memory => "memory",
        };
        self.streams_refused.get_or_create(&[("reason", reason)]).clone()
    }

    pub(crate) fn departed(&self, departure: Departure) -> Counter {
        let reason = match departure {
            Departure::Age => "age",
            Departure::HandOver => "hand-over",
        };
        self.connections_sent_away.get_or_create(&[("reason", reason)]).clone()
    }
}

/// Keeps a gauge raised for as long as it lives.
pub(crate) struct Raised(Gauge);

impl Raised {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}
