//! Which connections a filter chain takes, and when two chains cannot be told apart.

use std::sync::Arc;

use envoy::config::{core::v3::CidrRange, listener::v3::FilterChainMatch};
use model::Cidr;

/// Plain HTTP as the HTTP inspector names it.
const HTTP_PROTOCOLS: [&str; 2] = ["http/1.1", "h2c"];
const HTTP_PROTOCOLS_WITH_10: [&str; 3] = ["http/1.0", "http/1.1", "h2c"];

/// What is below the application's protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransportProtocol {
    #[default]
    Any,
    Tls,
    RawBuffer,
}

impl TransportProtocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Tls => "tls",
            Self::RawBuffer => "raw_buffer",
        }
    }
}

/// Conditions of which every one must hold; an empty one always does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ChainMatch {
    pub destination_port: Option<u16>,
    pub prefix_ranges: Vec<Cidr>,
    pub server_names: Vec<Arc<str>>,
    pub transport_protocol: TransportProtocol,
    pub application_protocols: &'static [&'static str],
}

impl ChainMatch {
    /// Connections that the HTTP inspector found to be HTTP.
    pub fn plain_http(http10: bool) -> Self {
        Self {
            transport_protocol: TransportProtocol::RawBuffer,
            application_protocols: match http10 {
                true => &HTTP_PROTOCOLS_WITH_10,
                false => &HTTP_PROTOCOLS,
            },
            ..Self::default()
        }
    }

    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Takes away what `earlier` matches in the same words: Envoy refuses a listener where two
    /// chains share one combination. False if nothing is left.
    pub(super) fn subtract(&mut self, earlier: &Self) -> bool {
        if !self.shares_combination(earlier) {
            return true;
        }
        if self.server_names.len() > 1 {
            self.server_names.retain(|name| !earlier.server_names.contains(name));
            return !self.server_names.is_empty();
        }
        self.prefix_ranges.retain(|range| !earlier.prefix_ranges.contains(range));
        !self.prefix_ranges.is_empty()
    }

    fn shares_combination(&self, other: &Self) -> bool {
        self.destination_port == other.destination_port
            && self.transport_protocol == other.transport_protocol
            && shares(&self.prefix_ranges, &other.prefix_ranges)
            && shares(&self.server_names, &other.server_names)
            && shares(self.application_protocols, other.application_protocols)
    }

    /// Whether somebody must look for TLS.
    pub(crate) fn needs_tls(&self) -> bool {
        self.transport_protocol == TransportProtocol::Tls || !self.server_names.is_empty()
    }

    /// Whether somebody must look for plain HTTP.
    pub(crate) fn needs_http(&self) -> bool {
        self.transport_protocol == TransportProtocol::RawBuffer
            && !self.application_protocols.is_empty()
    }

    pub(crate) fn compile(&self) -> FilterChainMatch {
        let ranges = self.prefix_ranges.iter().map(|range| CidrRange {
            address_prefix: range.address.to_string(),
            prefix_len: Some(range.length.into()),
        });
        FilterChainMatch {
            destination_port: self.destination_port.map(u32::from),
            prefix_ranges: ranges.collect(),
            server_names: self.server_names.iter().map(|name| name.to_string()).collect(),
            transport_protocol: self.transport_protocol.as_str().to_owned(),
            application_protocols: self
                .application_protocols
                .iter()
                .map(|protocol| (*protocol).to_owned())
                .collect(),
            ..FilterChainMatch::default()
        }
    }
}

/// Whether some value is in both lists, where an empty list is one value of its own.
fn shares<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    match one.is_empty() && other.is_empty() {
        true => true,
        false => one.iter().any(|value| other.contains(value)),
    }
}
