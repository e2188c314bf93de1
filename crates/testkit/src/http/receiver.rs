//! A collector of reports: spans and log entries over gRPC, unary or streamed, and over plain HTTP.
//!
//! It reads no message: a test knows what its proxy was told to send.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpStream;

use crate::http::server::Server;

/// Where Zipkin takes spans. It says that it will look at them later.
const ZIPKIN: &str = "/api/v2/spans";
/// The frame of a message without fields.
const EMPTY: &[u8] = &[0; 5];
const FRAME_HEADER: usize = 5;

/// One body, or one message of a gRPC call.
#[derive(Clone, Debug)]
pub struct Report {
    pub path: String,
    /// Of the request or call.
    pub headers: HeaderMap,
    pub message: Bytes,
}

/// A running collector. It and its connections end when this is dropped.
#[derive(Debug)]
pub struct Receiver {
    server: Server,
    reports: Reports,
}

type Reports = Arc<Mutex<Vec<Report>>>;

impl Receiver {
    /// Listens on `address`; port 0 lets the kernel choose.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        let reports = Reports::default();
        let for_server = Arc::clone(&reports);
        let server = Server::start(address, move |stream| serve(stream, Arc::clone(&for_server)));
        Ok(Self { server: server.await?, reports })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// All that has come so far.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(stream: TcpStream, reports: Reports) {
    let service = service_fn(move |request| answer(Arc::clone(&reports), request));
    let builder = auto::Builder::new(TokioExecutor::new());
    // An error is a client that went away.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    reports: Reports,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<BoxBody<Bytes, Infallible>>> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let keep = |message: Bytes| {
        let report = Report { path: path.clone(), headers: head.headers.clone(), message };
        reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    };
    let content_type = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !content_type.is_some_and(|it| it.starts_with(b"application/grpc")) {
        keep(body.collect().await?.to_bytes());
        let status = if path == ZIPKIN { StatusCode::ACCEPTED } else { StatusCode::OK };
        return Ok(hyper::Response::builder().status(status).body(Full::default().boxed())?);
    }
    // A stream of entries has no end while its proxy runs: messages are kept as they come.
    let mut unread = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            unread.extend_from_slice(&data);
        }
        while let Some(message) = take_message(&mut unread) {
            keep(message);
        }
    }
    let status = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let trailers = std::future::ready(Some(Ok(status)));
    let response = hyper::Response::builder().header(header::CONTENT_TYPE, "application/grpc");
    Ok(response.body(Full::new(Bytes::from_static(EMPTY)).with_trailers(trailers).boxed())?)
}

/// The first whole message, which is not compressed.
fn take_message(unread: &mut BytesMut) -> Option<Bytes> {
    let length = unread.get(1..FRAME_HEADER)?.get_u32();
    let length = usize::try_from(length).ok()?;
    if unread.len() < FRAME_HEADER + length {
        return None;
    }
    unread.advance(FRAME_HEADER);
    Some(unread.split_to(length).freeze())
}
