//! What a client can meet.

use std::{io, net::SocketAddr};

use http::StatusCode;

use crate::{FrameError, Protocol, Status};

/// Why a client cannot go on. The stream is of no more use after any of these.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or no TLS on it.
    #[error("failed to connect to {address}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What the system or TLS says.
        source: io::Error,
    },
    /// The connection is no HTTP/2, or broke.
    #[error("failed to speak HTTP/2 with {address}")]
    Http {
        /// With whom.
        address: SocketAddr,
        /// What hyper says.
        source: hyper::Error,
    },
    /// The `authorization` or the address cannot be written into a request.
    #[error("failed to make the request")]
    Request(#[from] http::Error),
    /// The server is no gRPC server.
    #[error("server answered with HTTP status {0}")]
    HttpStatus(StatusCode),
    /// The server ended the stream, and not with `OK`.
    #[error("server ended the stream: {code:?}: {message}", code = .0.code, message = .0.message)]
    Ended(Status),
    /// The server's data is not a sequence of messages.
    #[error("failed to cut the stream into messages")]
    Frame(#[from] FrameError),
    /// A message is not a response.
    #[error("failed to decode a {protocol} response")]
    Decode {
        /// What the message should have been.
        protocol: Protocol,
        /// What prost says.
        source: prost::DecodeError,
    },
    /// Nothing can be sent any more; the next response says why.
    #[error("stream is closed for sending")]
    Closed,
}
