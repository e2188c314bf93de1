//! What the transport counts.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

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
    /// ADS streams refused because too many were open.
    pub streams_refused: Counter,
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
        counter("streams_refused", "ADS streams refused at the limit", &metrics.streams_refused);
        counter("requests", "Requests decoded", &metrics.requests);
        counter("responses", "Responses accepted for sending", &metrics.responses);
        counter("sent_bytes", "Bytes of responses accepted for sending", &metrics.bytes_sent);
        counter("decode_errors", "Streams with an unreadable message", &metrics.decode_errors);
        metrics
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
