//! An HTTP/1.1 and HTTP/2 server that answers with what it saw, and can be told to misbehave.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time,
};
use tokio_rustls::TlsAcceptor;

use crate::http::{BACKEND_HEADER, server::Server};

/// How a backend treats each request, from the next one on.
#[derive(Clone, Debug)]
pub struct Behaviour {
    pub status: StatusCode,
    /// Waited before anything else.
    pub delay: Duration,
    /// Added to the answer.
    pub headers: Vec<(String, String)>,
    /// Sent in place of the [`Echo`].
    pub body: Option<Bytes>,
    pub fault: Fault,
}

/// What a backend does in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Never answers.
    Hang,
    /// Closes the connection (HTTP/2: resets the stream).
    Close,
}

impl Behaviour {
    /// Status 200 with an [`Echo`], at once.
    #[must_use]
    pub fn answer() -> Self {
        Self {
            status: StatusCode::OK,
            delay: Duration::ZERO,
            headers: Vec::new(),
            body: None,
            fault: Fault::None,
        }
    }

    /// An [`Echo`] with this status.
    ///
    /// # Panics
    ///
    /// If `status` is not an HTTP status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("the status is one of HTTP");
        Self { status, ..Self::answer() }
    }

    /// An [`Echo`] after `delay`.
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self { delay, ..Self::answer() }
    }

    #[must_use]
    pub fn fault(fault: Fault) -> Self {
        Self { fault, ..Self::answer() }
    }

    /// The same with one more response header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The body of an answer: the request as the backend saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// The name of the backend.
    pub backend: String,
    pub method: String,
    /// With the query.
    pub path: String,
    /// `Host` or `:authority`.
    pub host: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// By lower-case name; values of a repeated header are joined by a comma.
    pub headers: BTreeMap<String, String>,
    /// The body, as text.
    pub body: String,
    /// How many requests this backend has got, with this one.
    pub count: u64,
}

/// Where and as whom a backend listens.
#[derive(Clone, Debug)]
pub struct BackendSettings {
    pub name: String,
    /// Port 0 lets the kernel choose.
    pub address: SocketAddr,
    pub behaviour: Behaviour,
    /// Speaks TLS alone if set.
    pub tls: Option<Arc<ServerConfig>>,
}

impl BackendSettings {
    /// Any free port of 127.0.0.1, plain text, answering.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            behaviour: Behaviour::answer(),
            tls: None,
        }
    }
}

/// A running backend. It and its connections end when this is dropped.
#[derive(Debug)]
pub struct Backend {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    behaviour: Mutex<Behaviour>,
    requests: AtomicU64,
    connections: AtomicU64,
}

impl Backend {
    /// A backend that answers on any free port of 127.0.0.1.
    pub async fn start(name: &str) -> Result<Self> {
        Self::start_with(BackendSettings::new(name)).await
    }

    pub async fn start_with(settings: BackendSettings) -> Result<Self> {
        let BackendSettings { name, address, behaviour, tls } = settings;
        let shared = Arc::new(Shared {
            name,
            behaviour: Mutex::new(behaviour),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        let acceptor = tls.map(TlsAcceptor::from);
        let for_server = Arc::clone(&shared);
        let server = Server::start(address, move |stream| {
            let (shared, acceptor) = (Arc::clone(&for_server), acceptor.clone());
            async move {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                match acceptor {
                    None => serve(stream, shared).await,
                    Some(acceptor) => {
                        // A failed handshake is the client's to report.
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(stream, shared).await;
                        }
                    }
                }
            }
        });
        Ok(Self { server: server.await?, shared })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How many requests have come.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// How many connections have been opened.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    pub fn set_behaviour(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    let builder = auto::Builder::new(TokioExecutor::new());
    // An error is a client that went away, or our own `Fault::Close`.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>> {
    let count = shared.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let behaviour = shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Behaviour { status, delay, headers, body, fault } = behaviour;
    time::sleep(delay).await;
    match fault {
        Fault::None => (),
        Fault::Hang => std::future::pending().await,
        Fault::Close => anyhow::bail!("told to close"),
    }
    let body = match body {
        Some(body) => body,
        None => serde_json::to_vec(&echo(&shared.name, count, request).await?)?.into(),
    };
    let mut response = hyper::Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .header(BACKEND_HEADER, &shared.name);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(body))?)
}

async fn echo(name: &str, count: u64, request: hyper::Request<Incoming>) -> Result<Echo> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or(head.uri.authority().map(http::uri::Authority::as_str));
    Ok(Echo {
        backend: name.to_owned(),
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        host: host.unwrap_or_default().to_owned(),
        protocol: format!("{:?}", head.version),
        headers: join_headers(&head.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
        count,
    })
}

fn join_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let entry = joined.entry(name.to_string());
        let text = entry.and_modify(|text| text.push(',')).or_default();
        text.push_str(&value);
    }
    joined
}
