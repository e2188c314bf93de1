//! What dashboards of Istio's authority read, under its names.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
    registry::Registry,
};
use runtime::Tally;

use crate::{Authority, state::seconds};

/// Counters of the signing service. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Requests for a certificate.
    pub requests: Tally,
    /// Certificates issued.
    pub issued: Tally,
    /// Callers that were not who they must be.
    pub authentication_failures: Tally,
    /// Requests that could not be read.
    pub unreadable_requests: Tally,
    /// Whose certificates expire; set when it is open.
    authority: Arc<OnceLock<Authority>>,
}

impl Metrics {
    /// Registers all of them, and when the certificates of the authority expire.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let mut tally = |name: &str, help: &str, value: &Tally| {
            registry.register(name, help, value.clone());
        };
        tally("citadel_server_csr_count", "Requests for a certificate", &metrics.requests);
        tally("citadel_server_success_cert_issuance_count", "Certificates issued", &metrics.issued);
        tally(
            "citadel_server_authentication_failure_count",
            "Callers that were not authenticated",
            &metrics.authentication_failures,
        );
        tally(
            "citadel_server_csr_parsing_err_count",
            "Requests that could not be read",
            &metrics.unreadable_requests,
        );
        registry.register_collector(Box::new(Expiry(metrics.authority.clone())));
        metrics
    }

    /// Names the authority, which is opened after the registry is given away.
    pub(crate) fn watch(&self, authority: &Authority) {
        // A second one would be of another server in this process: the first one is shown.
        let _ = self.authority.set(authority.clone());
    }
}

/// Read on scrape: nobody has to remember to set it.
#[derive(Debug)]
struct Expiry(Arc<OnceLock<Authority>>);

impl Collector for Expiry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(authority) = self.0.get() else { return Ok(()) };
        let status = authority.status();
        let root = status.roots.iter().map(|root| root.not_after).min();
        let times = [
            (
                "citadel_server_root_cert_expiry_timestamp",
                "When the first trusted root expires, in seconds since 1970",
                root.unwrap_or(status.chain_not_after),
            ),
            (
                "citadel_server_cert_chain_expiry_timestamp",
                "When the chain that signs expires, in seconds since 1970",
                status.chain_not_after,
            ),
        ];
        for (name, help, time) in times {
            let gauge = ConstGauge::new(i64::try_from(seconds(time)).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
