//! HTTP, gRPC and TCP servers that say who answered, one that keeps what it is sent, and a client and a loader to ask them.
//!
//! - Every answer names its backend in the header `x-backend`, so a test can tell where a request
//!   went without reading the body.
//! - Not here: the choice of what to send through a proxy. The address of a request and its host
//!   are given apart.

mod backend;
mod client;
mod grpc;
mod junk;
mod load;
mod receiver;
mod server;
mod tcp;
mod tls;

pub use self::{
    backend::{Backend, BackendSettings, Behaviour, Echo, Fault},
    client::{Client, Protocol, Request, Response},
    grpc::GrpcBackend,
    junk::{junk_host, mix},
    load::{Load, LoadFailure, LoadReport, LoadSettings},
    receiver::{Receiver, Report},
    tcp::{TcpBackend, tcp_exchange},
    tls::TlsSettings,
};

/// The response header with the name of the backend.
pub const BACKEND_HEADER: &str = "x-backend";
