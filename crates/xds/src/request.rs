//! Turns the bytes of a message into a request of either ADS protocol.
//!
//! Never panics, whatever the bytes; what they mean is not looked at.

use std::fmt;

use bytes::Buf;
use envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use prost::Message;

#[cfg(test)]
mod tests;

/// The two forms of ADS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `DeltaAggregatedResources`: differences, a version per resource.
    Delta,
    /// `StreamAggregatedResources`: the state of the world, a version per response.
    Sotw,
}

impl Protocol {
    /// The HTTP path of the gRPC method.
    pub fn path(self) -> &'static str {
        match self {
            Self::Delta => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
            }
            Self::Sotw => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
            }
        }
    }

    /// The protocol that is served at an HTTP path.
    pub(crate) fn at_path(path: &str) -> Option<Self> {
        [Self::Delta, Self::Sotw].into_iter().find(|protocol| protocol.path() == path)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Delta => "delta",
            Self::Sotw => "state-of-the-world",
        })
    }
}

/// What a client sends: a subscription, an ACK, a NACK, or several of these at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// On a [`Protocol::Delta`] stream.
    Delta(DeltaDiscoveryRequest),
    /// On a [`Protocol::Sotw`] stream.
    Sotw(DiscoveryRequest),
}

/// A message that is not a request of the stream's protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to decode a {protocol} discovery request")]
pub struct DecodeError {
    /// What the message should have been.
    pub protocol: Protocol,
    source: prost::DecodeError,
}

/// Decodes one message, without its gRPC prefix.
pub fn decode_request(protocol: Protocol, message: &[u8]) -> Result<Request, DecodeError> {
    decode(protocol, message)
}

/// As [`decode_request`]; bytes within `message` are shared when it is a `Bytes`.
pub(crate) fn decode(protocol: Protocol, message: impl Buf) -> Result<Request, DecodeError> {
    let request = match protocol {
        Protocol::Delta => DeltaDiscoveryRequest::decode(message).map(Request::Delta),
        Protocol::Sotw => DiscoveryRequest::decode(message).map(Request::Sotw),
    };
    request.map_err(|source| DecodeError { protocol, source })
}
