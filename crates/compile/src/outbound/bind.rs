//! Which address an egress listener takes, and which ports it may not have.

use std::sync::Arc;

use api::istio::sidecar::CaptureMode;
use model::{Interception, Protocol};

use crate::{Client, EgressListener, names, outbound::Capture};

/// Ports of the proxy's own: admin, captures, agent, health, DNS, statistics.
pub(crate) const STATIC_PORTS: [u16; 7] =
    [15000, names::OUTBOUND_PORT, names::INBOUND_PORT, 15020, 15021, 15053, 15090];

/// Where an egress listener puts its ports.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// `None` leaves it to each service.
    pub bind: Option<Arc<str>>,
    pub capture: Capture,
}

impl Binding {
    pub(super) fn of(listener: &EgressListener, client: &Client) -> Self {
        // Nothing redirects connections to a Unix domain socket.
        let bound = client.interception == Interception::None
            || listener.capture_mode == CaptureMode::None
            || listener.bind.starts_with("unix://");
        let bind = match (&*listener.bind, bound) {
            ("", true) => Some(client.loopback().into()),
            ("", false) => None,
            _ => Some(listener.bind.clone()),
        };
        Self { bind, capture: if bound { Capture::Bound } else { Capture::Redirected } }
    }

    /// Why the port cannot be had, if so.
    pub(super) fn refusal(
        &self,
        port: u16,
        protocol: Protocol,
        client: &Client,
    ) -> Option<&'static str> {
        if self.capture == Capture::Bound && client.unprivileged && (1..1024).contains(&port) {
            return Some("the proxy may not bind ports below 1024");
        }
        let at_wildcard = match self.bind.as_deref() {
            Some(bind) => bind == client.wildcard(),
            None => protocol.is_http(),
        };
        (at_wildcard && STATIC_PORTS.contains(&port)).then_some("the proxy itself uses the port")
    }
}
