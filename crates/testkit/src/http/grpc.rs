//! A gRPC server for any unary method: the answer is the message that was sent, or a given one.
//!
//! It knows no service definition, and reads no message.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use anyhow::Result;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::http::{BACKEND_HEADER, server::Server};

const GRPC_STATUS: http::HeaderName = http::HeaderName::from_static("grpc-status");

/// A running gRPC backend. It and its connections end when this is dropped.
#[derive(Debug)]
pub struct GrpcBackend {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    status: AtomicU32,
    /// Sent in place of what has come, with its frame.
    answer: Mutex<Option<Bytes>>,
    requests: AtomicU64,
}

impl GrpcBackend {
    /// Listens on `address`; port 0 lets the kernel choose.
    pub async fn start(name: &str, address: SocketAddr) -> Result<Self> {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            status: AtomicU32::new(0),
            answer: Mutex::default(),
            requests: AtomicU64::new(0),
        });
        let for_server = Arc::clone(&shared);
        let server = Server::start(address, move |stream| serve(stream, Arc::clone(&for_server)));
        Ok(Self { server: server.await?, shared })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// How many calls have come.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// The message of the answers from now on.
    pub fn set_answer(&self, message: impl Into<Bytes>) {
        let mut answer = self.shared.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let message: Bytes = message.into();
        let mut frame = BytesMut::with_capacity(message.len() + 5);
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        frame.put_slice(&message);
        *answer = Some(frame.freeze());
    }

    /// The `grpc-status` of the answers from now on; 0 is success.
    pub fn set_status(&self, status: u32) {
        self.shared.status.store(status, Ordering::Relaxed);
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    let builder = http2::Builder::new(TokioExecutor::new());
    // An error is a client that went away.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<impl http_body::Body<Data = Bytes, Error = Infallible>>> {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let message = request.into_body().collect().await?.to_bytes();
    let fixed = shared.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let message = fixed.unwrap_or(message);
    let status = shared.status.load(Ordering::Relaxed);
    let response = hyper::Response::builder()
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(BACKEND_HEADER, &shared.name);
    let value = HeaderValue::from(status);
    if status != 0 {
        // As servers do that have nothing to say but an error: the status stands in the headers,
        // where a proxy can still choose to try again, and nothing follows them.
        return Ok(response.header(GRPC_STATUS, value).body(Empty::new().boxed())?);
    }
    let trailers = std::future::ready(Some(Ok(HeaderMap::from_iter([(GRPC_STATUS, value)]))));
    Ok(response.body(Full::new(message).with_trailers(trailers).boxed())?)
}
