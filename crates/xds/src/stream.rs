//! One ADS stream, as the content side sees it.

use std::{future::Future, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rustls::pki_types::CertificateDer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    Code, DecodeError, FrameError, Frames, Metrics, Protocol, Request, ResponseSender, Status,
    request::decode,
};

/// Whoever answers ADS streams.
pub trait AdsService: Send + Sync + 'static {
    /// Serves one stream until the client is gone, then or earlier says how it ended. Runs as a
    /// task of its own. What was sent before goes out before the status.
    fn serve(&self, stream: AdsStream) -> impl Future<Output = Status> + Send;
}

impl<S: AdsService> AdsService for Arc<S> {
    fn serve(&self, stream: AdsStream) -> impl Future<Output = Status> + Send {
        S::serve(self, stream)
    }
}

/// An accepted stream.
#[derive(Debug)]
pub struct AdsStream {
    /// Unique within the process, ascending.
    pub id: u64,
    /// Which of the two methods was called.
    pub protocol: Protocol,
    /// Who called it.
    pub peer: PeerInfo,
    /// What the client sends.
    pub requests: RequestReceiver,
    /// What the client is sent.
    pub responses: ResponseSender,
    /// Cancelled when the server begins to shut down. The stream may go on for the grace period;
    /// a service that has something to finish ends earlier by itself.
    pub shutdown: CancellationToken,
}

/// What the transport knows about a client. Nothing of it has been judged here, except that a
/// client certificate was verified against the authorities of the moment in which the connection
/// was made.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Address and port of the other end of the connection.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The client's certificate and its issuers, leaf first; empty when it showed none.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// The `authorization` header, marked as sensitive.
    pub authorization: Option<HeaderValue>,
}

impl PeerInfo {
    /// Whether the client runs on this machine (or in this pod).
    pub fn is_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }

    /// Whether nobody on the way can read what is said.
    pub fn is_private(&self) -> bool {
        self.tls || self.is_loopback()
    }
}

/// Why a stream cannot be read on. The service usually ends it with [`StreamError::status`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The data is not a sequence of messages.
    #[error("failed to cut the stream into messages")]
    Frame(#[from] FrameError),
    /// A message is not a request.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl StreamError {
    /// The status that tells the client.
    pub fn status(&self) -> Status {
        match self {
            Self::Frame(error) => (*error).into(),
            Self::Decode(error) => Status::new(Code::InvalidArgument, error.to_string()),
        }
    }
}

/// Where the data of requests come from.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Http(Incoming),
    Memory(mpsc::Receiver<Bytes>),
}

impl RequestBody {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        match self {
            Self::Http(body) => {
                let frame = body.frame().await?;
                Some(frame.map(|it| it.into_data().unwrap_or_else(|_trailers| Bytes::new())))
            }
            Self::Memory(pieces) => pieces.recv().await.map(Ok),
        }
    }
}

/// The requests of one stream, in order.
#[derive(Debug)]
pub struct RequestReceiver {
    protocol: Protocol,
    body: RequestBody,
    frames: Frames,
    ended: bool,
    metrics: Metrics,
}

impl RequestReceiver {
    pub(crate) fn new(
        protocol: Protocol,
        body: RequestBody,
        limit: usize,
        metrics: Metrics,
    ) -> Self {
        Self { protocol, body, frames: Frames::new(limit), ended: false, metrics }
    }

    /// The next request; `None` when the client closed the stream or is gone, and after an error.
    /// Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Option<Result<Request, StreamError>> {
        let request = self.read().await.transpose()?;
        match &request {
            Ok(_) => self.metrics.requests.inc(),
            Err(_) => {
                self.ended = true;
                self.metrics.decode_errors.inc()
            }
        };
        Some(request)
    }

    async fn read(&mut self) -> Result<Option<Request>, StreamError> {
        while !self.ended {
            if let Some(message) = self.frames.next() {
                return Ok(Some(decode(self.protocol, message?)?));
            }
            match self.body.next().await {
                Some(Ok(data)) => {
                    self.frames.push(data);
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "Stream was reset");
                    self.ended = true;
                }
                None => {
                    self.ended = true;
                    self.frames.finish()?;
                }
            }
        }
        Ok(None)
    }
}
