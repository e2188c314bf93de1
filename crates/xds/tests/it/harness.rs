//! A server on a port of its own, with a service that is a closure.

use std::{future::Future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use envoy::config::core::v3::Node;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time,
};
use tokio_util::sync::CancellationToken;
use xds::{AdsService, AdsStream, Metrics, Server, Settings, Status, client::AdsClient};

/// Long enough for anything over loopback.
const PATIENCE: Duration = Duration::from_secs(10);

struct Closure<F>(F);

impl<F, R> AdsService for Closure<F>
where
    F: Fn(AdsStream) -> R + Send + Sync + 'static,
    R: Future<Output = Status> + Send,
{
    fn serve(&self, stream: AdsStream) -> impl Future<Output = Status> + Send {
        self.0(stream)
    }
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: CancellationToken,
    pub(crate) server: JoinHandle<()>,
}

pub(crate) async fn start<F, R>(settings: Settings, service: F) -> Running
where
    F: Fn(AdsStream) -> R + Send + Sync + 'static,
    R: Future<Output = Status> + Send + 'static,
{
    start_with(settings, service, |server| server).await
}

/// With further methods.
pub(crate) async fn start_with<F, R>(
    settings: Settings,
    service: F,
    mount: impl FnOnce(Server) -> Server,
) -> Running
where
    F: Fn(AdsStream) -> R + Send + Sync + 'static,
    R: Future<Output = Status> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (metrics, shutdown) = (Metrics::default(), CancellationToken::new());
    let server = mount(Server::new(settings, metrics.clone()));
    let server = tokio::spawn(server.run(listener, Closure(service), shutdown.clone()));
    Running { address, metrics, shutdown, server }
}

impl Running {
    pub(crate) async fn connect(&self, protocol: xds::Protocol) -> AdsClient {
        AdsClient::connect(self.address, protocol, node()).await.unwrap()
    }

    /// One request by plain HTTP/2: status, headers, body, trailers.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> (StatusCode, HeaderMap, Bytes, HeaderMap) {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
        let (mut handle, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("content-type", content_type)
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        let response = handle.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = patiently(body.collect()).await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        (parts.status, parts.headers, body.to_bytes(), trailers)
    }
}

pub(crate) fn node() -> Node {
    Node { id: "sidecar~10.0.0.1~a.b~b.svc".to_owned(), ..Default::default() }
}

pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    time::timeout(PATIENCE, future).await.expect("timed out")
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not happen: {what}");
}
