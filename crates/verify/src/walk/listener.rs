//! Chooses the listener, and says what its inspectors find out about the call.

use std::net::IpAddr;

use envoy::config::{
    core::v3::{Address, address, socket_address::PortSpecifier},
    listener::v3::{
        Listener, ListenerFilter, ListenerFilterChainMatchPredicate, listener_filter::ConfigType,
        listener_filter_chain_match_predicate::Rule,
    },
};

use crate::{Call, Fidelity, Mode, NearMiss, Stage, Tls, WalkError};

use super::{Walker, address_text, quoted};

const INBOUND: &str = "virtualInbound";
const OUTBOUND: &str = "virtualOutbound";

/// A listener filter that reads the first bytes of a connection.
pub(crate) struct Inspector {
    pub(crate) filter: &'static str,
    message: &'static str,
}

pub(crate) const TLS_INSPECTOR: Inspector = Inspector {
    filter: "envoy.filters.listener.tls_inspector",
    message: "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
};
pub(crate) const HTTP_INSPECTOR: Inspector = Inspector {
    filter: "envoy.filters.listener.http_inspector",
    message: "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
};

/// What is known of a connection when its filter chain is chosen.
pub(super) struct Inspection {
    pub(super) tls_inspector: bool,
    pub(super) http_inspector: bool,
    /// `tls` or `raw_buffer`.
    pub(super) transport_protocol: &'static str,
    /// Empty: unknown or none.
    pub(super) application_protocol: String,
}

impl Inspection {
    pub(super) fn of(listener: &Listener, call: &Call) -> Self {
        let tls_inspector = inspects(listener, &TLS_INSPECTOR, call.port);
        let http_inspector = inspects(listener, &HTTP_INSPECTOR, call.port);
        let transport_protocol = match call.tls {
            Tls::Tls | Tls::Mtls if tls_inspector => "tls",
            Tls::Tls | Tls::Mtls | Tls::Plaintext => "raw_buffer",
        };
        let mut application_protocol = if tls_inspector { call.alpn() } else { "" };
        if http_inspector && !call.inspected_protocol().is_empty() {
            application_protocol = call.inspected_protocol();
        }
        let application_protocol = application_protocol.to_owned();
        Self { tls_inspector, http_inspector, transport_protocol, application_protocol }
    }
}

impl<'a> Walker<'a> {
    pub(super) fn find_listener(&mut self) -> Option<&'a Listener> {
        let found = match self.call.mode {
            Mode::Inbound => self.inbound_listener(),
            Mode::Outbound | Mode::Gateway => self.outbound_listener(),
        };
        if found.is_none() {
            self.outcome.nearest = self.nearest_listener();
            let text = match self.call.mode {
                Mode::Inbound => format!("there is no listener `{INBOUND}`"),
                Mode::Outbound | Mode::Gateway => format!(
                    "no listener is at {}:{} or 0.0.0.0:{}, and there is no `{OUTBOUND}`",
                    self.call.address(),
                    self.call.port,
                    self.call.port
                ),
            };
            self.outcome.fail(Stage::Listener, WalkError::NoListener, text);
        }
        found
    }

    /// One at the same port, else the one at the nearest port.
    fn nearest_listener(&self) -> Option<NearMiss> {
        let port_of = |listener: &Listener| match &listener.address.as_ref()?.address {
            Some(address::Address::SocketAddress(socket)) => match socket.port_specifier {
                Some(PortSpecifier::PortValue(port)) => Some(port),
                Some(PortSpecifier::NamedPort(_)) | None => None,
            },
            Some(_) | None => None,
        };
        let listeners = self.resources.listeners.values();
        let rated = listeners.filter_map(|listener| Some((port_of(listener)?, listener)));
        let (_, listener) = rated.min_by_key(|(port, _)| port.abs_diff(self.call.port.into()))?;
        let at = listener.address.as_ref().map(address_text).unwrap_or_default();
        let reason = format!("it listens at {at}");
        Some(NearMiss { stage: Stage::Listener, name: quoted(&listener.name), reason })
    }

    fn inbound_listener(&mut self) -> Option<&'a Listener> {
        if let Some(listener) = self.resources.listeners.get(INBOUND) {
            self.choose(Stage::Listener, format!("inbound calls arrive at `{INBOUND}`"));
            return Some(listener);
        }
        // Without capture the workload's own listeners are bound and take the call themselves.
        let exact = match self.fidelity {
            Fidelity::Simulation => None,
            Fidelity::Full => self.listener_at(self.call.address(), self.call.port),
        }?;
        self.choose(Stage::Listener, format!("`{}` is bound to the address", exact.name));
        Some(exact)
    }

    fn outbound_listener(&mut self) -> Option<&'a Listener> {
        let (address, port) = (self.call.address(), self.call.port);
        if let Some(listener) = self.listener_at(address, port) {
            self.choose(Stage::Listener, format!("`{}` is at {address}:{port}", listener.name));
            return Some(listener);
        }
        self.pass_over(Stage::Listener, format!("none is at exactly {address}:{port}"));
        if let Some(listener) = self.wildcard_listener(port) {
            self.choose(Stage::Listener, format!("`{}` is at 0.0.0.0:{port}", listener.name));
            return Some(listener);
        }
        self.pass_over(Stage::Listener, format!("none is at 0.0.0.0:{port}"));
        let listener = self.resources.listeners.get(OUTBOUND)?;
        self.choose(Stage::Listener, format!("`{OUTBOUND}` takes what no other listener takes"));
        Some(listener)
    }

    fn wildcard_listener(&self, port: u16) -> Option<&'a Listener> {
        let found = self.listener_at("0.0.0.0", port);
        match self.fidelity {
            Fidelity::Simulation => found,
            Fidelity::Full => found.or_else(|| self.listener_at("::", port)),
        }
    }

    fn listener_at(&self, address: &str, port: u16) -> Option<&'a Listener> {
        let full = self.fidelity == Fidelity::Full;
        self.resources.listeners.values().find(|listener| {
            let more = listener.additional_addresses.iter().filter(|_| full);
            let mut all = listener.address.iter().chain(more.flat_map(|entry| &entry.address));
            all.any(|own| is_at(own, address, port))
        })
    }

    pub(super) fn tell_inspection(&mut self, inspection: &Inspection) {
        let (port, alpn) = (self.call.port, &inspection.application_protocol);
        if !inspection.tls_inspector && self.call.tls != Tls::Plaintext {
            let text = format!("no TLS inspector on port {port}: the call counts as raw_buffer");
            self.note(Stage::Inspector, text);
        }
        if !inspection.http_inspector && !self.call.inspected_protocol().is_empty() {
            let text = format!("no HTTP inspector on port {port}: plaintext is not recognized");
            self.note(Stage::Inspector, text);
        }
        let protocol = if alpn.is_empty() { "none".to_owned() } else { quoted(alpn) };
        let transport = inspection.transport_protocol;
        self.note(
            Stage::Inspector,
            format!("transport protocol `{transport}`, application protocol {protocol}"),
        );
    }
}

fn is_at(own: &Address, address: &str, port: u16) -> bool {
    match &own.address {
        Some(address::Address::SocketAddress(socket)) => {
            socket.port_specifier == Some(PortSpecifier::PortValue(port.into()))
                && same_address(&socket.address, address)
        }
        Some(address::Address::Pipe(pipe)) => pipe.path == address,
        Some(address::Address::EnvoyInternalAddress(_)) | None => false,
    }
}

fn same_address(left: &str, right: &str) -> bool {
    match (left.parse::<IpAddr>(), right.parse::<IpAddr>()) {
        (Ok(left), Ok(right)) => left == right,
        (_, _) => left == right,
    }
}

/// Whether `inspector` looks at connections to `port`.
fn inspects(listener: &Listener, inspector: &Inspector, port: u16) -> bool {
    listener.listener_filters.iter().any(|filter| {
        inspector.is(filter)
            && !filter.filter_disabled.as_ref().is_some_and(|rule| holds(rule, port))
    })
}

impl Inspector {
    pub(crate) fn is(&self, filter: &ListenerFilter) -> bool {
        let typed = match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) => any.message_name(),
            Some(ConfigType::ConfigDiscovery(_)) | None => "",
        };
        filter.name == self.filter || typed == self.message
    }
}

fn holds(predicate: &ListenerFilterChainMatchPredicate, port: u16) -> bool {
    match &predicate.rule {
        Some(Rule::OrMatch(set)) => set.rules.iter().any(|rule| holds(rule, port)),
        Some(Rule::AndMatch(set)) => set.rules.iter().all(|rule| holds(rule, port)),
        Some(Rule::NotMatch(rule)) => !holds(rule, port),
        Some(Rule::AnyMatch(any)) => *any,
        Some(Rule::DestinationPortRange(range)) => {
            (range.start..range.end).contains(&i32::from(port))
        }
        // An empty predicate is refused by Envoy; Istio's simulation reads it as disabled.
        None => true,
    }
}
