//! Turns the bytes of a message into a request of either ADS protocol.
//!
//! Never panics, whatever the bytes; what they mean is not looked at.

use std::{fmt, str};

use bytes::{Buf, Bytes};
use envoy::{config::core::v3::Node, google::rpc, service::discovery::v3::DiscoveryRequest};
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
    Delta(DeltaRequest),
    /// On a [`Protocol::Sotw`] stream.
    Sotw(DiscoveryRequest),
}

/// Envoy's `DeltaDiscoveryRequest`, field by field. Only what a proxy says to hold is taken apart no
/// further than it must be: of one that comes back these are thousands of names and versions,
/// which are compared and forgotten.
#[derive(Clone, PartialEq, Message)]
pub struct DeltaRequest {
    /// Who asks; in the first request of a stream.
    #[prost(message, optional, tag = "1")]
    pub node: Option<Node>,
    /// What is asked for, or answered.
    #[prost(string, tag = "2")]
    pub type_url: String,
    /// Names that are asked for from now on.
    #[prost(string, repeated, tag = "3")]
    pub resource_names_subscribe: Vec<String>,
    /// Names that are no longer asked for.
    #[prost(string, repeated, tag = "4")]
    pub resource_names_unsubscribe: Vec<String>,
    /// The entries of the map on the wire; see [`DeltaRequest::known_versions`].
    #[prost(message, repeated, tag = "5")]
    pub initial_resource_versions: Vec<KnownVersion>,
    /// The response that is answered.
    #[prost(string, tag = "6")]
    pub response_nonce: String,
    /// Why that response is refused.
    #[prost(message, optional, tag = "7")]
    pub error_detail: Option<rpc::Status>,
}

/// A resource that a proxy holds already: slices of the message.
#[derive(Clone, PartialEq, Message)]
pub struct KnownVersion {
    #[prost(bytes = "bytes", tag = "1")]
    name: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    version: Bytes,
}

/// Bytes of a name and a version, at least, as they usually are.
const USUAL_KNOWN: usize = 64;

impl KnownVersion {
    /// A name and the version that is held of it.
    pub fn new(name: String, version: String) -> Self {
        Self { name: name.into(), version: version.into() }
    }

    /// `None` for what is no text, which is as good as not held.
    fn text(&self) -> Option<(&str, &str)> {
        Some((str::from_utf8(&self.name).ok()?, str::from_utf8(&self.version).ok()?))
    }
}

impl DeltaRequest {
    /// Names and versions that the proxy says to hold, as they stand in the message.
    pub fn said_versions(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        self.initial_resource_versions.iter().filter_map(KnownVersion::text)
    }

    /// Names and versions that the proxy says to hold, by name; the last one counts where a name is
    /// said twice, as in every protobuf map.
    pub fn known_versions(&self) -> Vec<(&str, &str)> {
        let mut known: Vec<_> = self.said_versions().rev().collect();
        known.sort_by_key(|(name, _)| *name);
        known.dedup_by_key(|(name, _)| *name);
        known
    }
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
        Protocol::Delta => {
            let mut request = DeltaRequest::default();
            // Most of a long request are these: room is made once.
            request.initial_resource_versions.reserve(message.remaining() / USUAL_KNOWN);
            request.merge(message).map(|()| Request::Delta(request))
        }
        Protocol::Sotw => DiscoveryRequest::decode(message).map(Request::Sotw),
    };
    request.map_err(|source| DecodeError { protocol, source })
}
