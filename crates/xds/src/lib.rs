//! The xDS transport: what goes over the wire between Envoy and whoever knows the configuration.
//!
//! - [`Server`] accepts connections, plaintext and TLS on one port, and gives each ADS stream to
//!   an [`AdsService`] as decoded [`Request`]s on one side and [`Response`]s on the other.
//! - Bytes are made once: a response is a small header and shared chunks, which are never copied
//!   when they are large and never retained when they are sent.
//! - Bounded: a client that does not read holds up its own [`ResponseSender`] and nothing else.
//! - A [`UnaryMethod`] and a [`SinkMethod`] may share the port.
//! - [`client`] is the other end, for tests, load and checks; [`memory`] has streams without connections.
//! - Not here: subscriptions, versions and what a resource means (`push`).
#![warn(missing_docs)]

mod body;
pub mod client;
mod frame;
pub mod memory;
mod metrics;
mod pipe;
mod request;
mod response;
mod server;
mod sink;
mod status;
mod stream;
pub mod tls;
mod unary;

pub use body::ReceiverBody;
pub use frame::{FrameError, Frames};
pub use metrics::{Metrics, Refusal};
pub use pipe::{Closed, Permit, ResponseSender, join_small};
pub use request::{DecodeError, DeltaRequest, KnownVersion, Protocol, Request, decode_request};
pub use response::Response;
pub use server::{Control, Server, Settings, listen};
pub use sink::{Sink, SinkMethod, SinkOpening};
pub use status::{Code, Status};
pub use stream::{AdsService, AdsStream, PeerInfo, RequestReceiver, StreamError};
pub use tls::TlsConfigs;
pub use unary::{UnaryAnswer, UnaryMethod};
