//! ADS streams without connections: for more proxies than a machine has sockets.
//!
//! - What the service is given is the [`AdsStream`] of a connection, with the same framing,
//!   decoding, limits and flow control. Only HTTP/2, TLS and the kernel are left out.
//! - A response is taken as the chunks that it consists of. They are not joined, so that what
//!   many streams are sent can be recognised by where it lies.

use std::{
    future::poll_fn,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    AdsService, AdsStream, Metrics, PeerInfo, Protocol, RequestReceiver, ResponseSender, Settings,
    Status,
    pipe::{Pipe, PipeReader},
    stream::RequestBody,
};

/// Requests that may wait to be read. A proxy has few: one for each type, and its answers.
const REQUESTS: usize = 16;

/// A server that nobody connects to from outside.
#[derive(Debug)]
pub struct MemoryServer<S> {
    service: Arc<S>,
    settings: Settings,
    metrics: Metrics,
    next_stream: AtomicU64,
}

impl<S: AdsService> MemoryServer<S> {
    /// Serves with the limits of these settings, as far as they are about streams.
    pub fn new(service: S, settings: Settings, metrics: Metrics) -> Self {
        let (service, next_stream) = (Arc::new(service), AtomicU64::new(1));
        Self { service, settings, metrics, next_stream }
    }

    /// Opens a stream, as from this machine. Its service is a task of the runtime that this is
    /// called in, until the client is dropped.
    pub fn connect(&self, protocol: Protocol) -> MemoryClient {
        let Self { service, settings, metrics, next_stream } = self;
        let (requests, body) = mpsc::channel(REQUESTS);
        let body = RequestBody::Memory(body);
        let pipe = Pipe::new(settings.into());
        let limit = settings.max_request_len;
        let stream = AdsStream {
            id: next_stream.fetch_add(1, Ordering::Relaxed),
            protocol,
            peer: PeerInfo {
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                tls: false,
                certificates: Arc::default(),
                authorization: None,
            },
            requests: RequestReceiver::new(protocol, body, limit, metrics.clone()),
            responses: ResponseSender::new(pipe.clone(), protocol, metrics.clone()),
            shutdown: CancellationToken::new(),
        };
        metrics.streams.inc();
        let (service, end) = (service.clone(), pipe.clone());
        tokio::spawn(async move { end.finish(service.serve(stream).await) });
        MemoryClient { requests, responses: PipeReader::new(pipe) }
    }
}

/// The other end of an [`AdsStream`]. When it is dropped, the client is gone.
#[derive(Debug)]
pub struct MemoryClient {
    requests: mpsc::Sender<Bytes>,
    responses: PipeReader,
}

impl MemoryClient {
    /// Sends a gRPC message, its prefix included. What a service that has ended would have been
    /// sent is dropped; [`MemoryClient::next`] says how it ended.
    pub async fn send(&self, message: Bytes) {
        let _ = self.requests.send(message).await;
    }

    /// The chunks of the next response, of which the first is the gRPC prefix and the head; an error
    /// when the stream is over. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Result<Vec<Bytes>, Status> {
        poll_fn(|context| self.responses.poll_response(context)).await
    }
}
