//! Finds who serves a request, opens ADS streams and starts calls.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Either;
use hyper::{body::Incoming, service::Service};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time,
};

use super::{Shared, admission::Departure, connection::Peer};
use crate::{
    AdsService, AdsStream, Code, PeerInfo, Protocol, RequestReceiver, ResponseSender, SinkMethod,
    Status, UnaryMethod,
    metrics::Raised,
    pipe::{Piece, Pipe, PipeReader},
    sink,
    stream::RequestBody,
    unary,
};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// In how many steps the streams of a server end when it shuts down.
const SHUTDOWN_STEPS: u64 = 16;

/// Without a stream there is only a header.
type Body = Either<PipeReader, http_body_util::Empty<Piece>>;

/// Routes the requests of one connection.
pub(super) struct Router<S> {
    pub(super) peer: Peer,
    pub(super) shared: Arc<Shared<S>>,
    /// Set by the first request.
    pub(super) opened: Arc<AtomicBool>,
    /// Why the connection has to go, once it has to.
    pub(super) departure: watch::Receiver<Option<Departure>>,
}

impl<S: AdsService> Service<Request<Incoming>> for Router<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.opened.store(true, Ordering::Relaxed);
        let path = request.uri().path();
        let method = self.shared.methods.get(path).cloned();
        let sink = self.shared.sinks.get(path).cloned();
        ready(Ok(match (request.method(), Protocol::at_path(path), method) {
            (&Method::POST, ..) if !is_grpc(request.headers()) => unsupported_media_type(),
            (&Method::POST, Some(protocol), _) => self.open_ads(protocol, request),
            (&Method::POST, None, Some(method)) => self.call_unary(method, request),
            (&Method::POST, None, None) => match sink {
                Some(method) => self.open_sink(method, request),
                None => refuse(&Status::new(Code::Unimplemented, "no such method")),
            },
            _ => refuse(&Status::new(Code::Unimplemented, "no such method")),
        }))
    }
}

impl<S: AdsService> Router<S> {
    fn open_ads(&self, protocol: Protocol, request: Request<Incoming>) -> Response<Body> {
        let Shared { settings, metrics, next_stream, admission, shutdown, tasks, .. } =
            &*self.shared;
        let slot = match admission.admit() {
            Ok(slot) => slot,
            Err((refusal, status)) => {
                metrics.refused(refusal).inc();
                return refuse(&status);
            }
        };
        metrics.streams.inc();
        let pipe = Pipe::new(self.shared.room());
        let (mut parts, body) = request.into_parts();
        let stream = AdsStream {
            id: next_stream.fetch_add(1, Ordering::Relaxed),
            protocol,
            peer: self.peer_info(&mut parts.headers),
            requests: RequestReceiver::new(
                protocol,
                RequestBody::Http(body),
                settings.max_request_len,
                metrics.clone(),
            ),
            responses: ResponseSender::new(pipe.clone(), protocol, metrics.clone()),
            shutdown: shutdown.clone(),
        };
        let open = OpenStream {
            pipe: pipe.clone(),
            departure: self.departure.clone(),
            _slot: slot,
            _open: Raised::new(&metrics.streams_open),
        };
        tasks.spawn(serve(self.shared.clone(), stream, open));
        grpc_response(Either::Left(PipeReader::new(pipe)))
    }

    fn call_unary(
        &self,
        method: Arc<dyn UnaryMethod>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let Ok(slot) = self.shared.call_slots.clone().try_acquire_owned() else {
            return refuse(&Status::new(Code::ResourceExhausted, "too many calls"));
        };
        let pipe = Pipe::new(self.shared.room());
        let (mut parts, body) = request.into_parts();
        let peer = self.peer_info(&mut parts.headers);
        let running = pipe.clone();
        self.shared.tasks.spawn(async move {
            // Also a call that panics is answered.
            let _answered = Unanswered(running.clone());
            unary::run(method, peer, body, running).await;
            drop(slot);
        });
        grpc_response(Either::Left(PipeReader::new(pipe)))
    }

    fn open_sink(&self, method: Arc<dyn SinkMethod>, request: Request<Incoming>) -> Response<Body> {
        let Ok(slot) = self.shared.sink_slots.clone().try_acquire_owned() else {
            return refuse(&Status::new(Code::ResourceExhausted, "too many streams"));
        };
        let pipe = Pipe::new(self.shared.room());
        let (mut parts, body) = request.into_parts();
        let peer = self.peer_info(&mut parts.headers);
        let (running, mut departure) = (pipe.clone(), self.departure.clone());
        let shutdown = self.shared.shutdown.clone();
        self.shared.tasks.spawn(async move {
            // Also a call that panics is answered.
            let answered = Unanswered(running);
            let status = tokio::select! {
                status = sink::run(method, peer, body) => status,
                () = shutdown.cancelled() => {
                    Status::new(Code::Unavailable, "server is shutting down")
                }
                departure = departed(&mut departure) => departure.status(),
            };
            answered.0.finish(status);
            drop(slot);
        });
        grpc_response(Either::Left(PipeReader::new(pipe)))
    }

    fn peer_info(&self, headers: &mut HeaderMap) -> PeerInfo {
        let Peer { address, tls, certificates } = self.peer.clone();
        let mut authorization = headers.remove(header::AUTHORIZATION);
        authorization.iter_mut().for_each(|value| value.set_sensitive(true));
        PeerInfo { address, tls, certificates, authorization }
    }
}

/// What must happen when a stream ends, also by a panic of the service.
struct OpenStream {
    pipe: Arc<Pipe>,
    departure: watch::Receiver<Option<Departure>>,
    _slot: OwnedSemaphorePermit,
    _open: Raised,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.pipe.finish(Status::new(Code::Internal, "the service of this stream failed"));
    }
}

/// Ends a call that nobody has ended.
struct Unanswered(Arc<Pipe>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.finish(Status::new(Code::Internal, "the call failed"));
    }
}

async fn serve<S: AdsService>(shared: Arc<Shared<S>>, stream: AdsStream, mut open: OpenStream) {
    let grace = share_of(shared.settings.grace, stream.id);
    let status = tokio::select! {
        status = shared.service.serve(stream) => status,
        () = async { shared.shutdown.cancelled().await; time::sleep(grace).await } => {
            Status::new(Code::Unavailable, "server is shutting down")
        }
        departure = departed(&mut open.departure) => departure.status(),
    };
    open.pipe.finish(status);
}

async fn departed(departure: &mut watch::Receiver<Option<Departure>>) -> Departure {
    match departure.wait_for(Option::is_some).await.map(|it| *it) {
        Ok(Some(departure)) => departure,
        // The connection has ended, which ends the stream too.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// How much of the grace period a stream gets: what streams get is spread evenly over it.
fn share_of(grace: Duration, stream: u64) -> Duration {
    let step = u32::try_from(stream % SHUTDOWN_STEPS).unwrap_or_default() + 1;
    grace * step / SHUTDOWN_STEPS as u32
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(GRPC.as_bytes()))
}

/// An answer that consists of a status.
fn refuse(status: &Status) -> Response<Body> {
    let mut response = grpc_response(Either::Right(http_body_util::Empty::new()));
    status.write_to(response.headers_mut());
    response
}

fn unsupported_media_type() -> Response<Body> {
    let mut response = Response::new(Either::Right(http_body_util::Empty::new()));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

fn grpc_response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}
