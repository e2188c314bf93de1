//! Sends one request to an address that is chosen apart from its host.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};

use crate::http::{BACKEND_HEADER, Echo, TlsSettings};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Http1,
    /// Without TLS: with prior knowledge.
    Http2,
}

/// A request and where to send it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The address to connect to, for example a listener of Envoy.
    pub address: SocketAddr,
    /// `Host` or `:authority`.
    pub host: String,
    pub method: Method,
    /// With the query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub protocol: Protocol,
    pub tls: Option<TlsSettings>,
    /// Of the whole exchange.
    pub timeout: Duration,
}

impl Request {
    /// `GET path` over HTTP/1.1 in plain text, with a timeout of 10 s.
    #[must_use]
    pub fn get(address: SocketAddr, host: &str, path: &str) -> Self {
        Self {
            address,
            host: host.to_owned(),
            method: Method::GET,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            protocol: Protocol::Http1,
            tls: None,
            timeout: Duration::from_secs(10),
        }
    }

    /// A unary gRPC call of `path` (`/package.Service/Method`) with an encoded `message`.
    #[must_use]
    pub fn grpc(address: SocketAddr, host: &str, path: &str, message: &[u8]) -> Self {
        let mut frame = BytesMut::with_capacity(message.len() + 5);
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        frame.put_slice(message);
        Self { body: frame.freeze(), ..Self::get(address, host, path) }
            .method(Method::POST)
            .http2()
            .header("content-type", "application/grpc")
            .header("te", "trailers")
    }

    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    #[must_use]
    pub fn http2(mut self) -> Self {
        self.protocol = Protocol::Http2;
        self
    }

    #[must_use]
    pub fn tls(mut self, tls: TlsSettings) -> Self {
        self.tls = Some(tls);
        self
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn build(&self) -> Result<hyper::Request<Full<Bytes>>> {
        let mut request = hyper::Request::builder().method(&self.method);
        request = match self.protocol {
            Protocol::Http1 => request.uri(&self.path).header(header::HOST, &self.host),
            Protocol::Http2 => {
                let scheme = if self.tls.is_some() { "https" } else { "http" };
                request.uri(format!("{scheme}://{}{}", self.host, self.path))
            }
        };
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body.clone())).context("this is no HTTP request")
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
    /// What the server showed in the TLS handshake, its own first.
    pub peer_certificates: Vec<CertificateDer<'static>>,
}

impl Response {
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header, if it is there and text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The name of the backend that answered, if one did.
    #[must_use]
    pub fn backend(&self) -> Option<&str> {
        self.header(BACKEND_HEADER)
    }

    /// What the backend saw.
    pub fn echo(&self) -> Result<Echo> {
        let echo = serde_json::from_slice(&self.body);
        echo.with_context(|| format!("{} and no echo: {}", self.status, self.text()))
    }

    /// The `grpc-status` of a gRPC answer, wherever it stands.
    #[must_use]
    pub fn grpc_status(&self) -> Option<u32> {
        let value = self.trailers.get("grpc-status").or_else(|| self.headers.get("grpc-status"));
        value?.to_str().ok()?.parse().ok()
    }

    /// The message of a unary gRPC answer.
    #[must_use]
    pub fn grpc_message(&self) -> Option<Bytes> {
        (self.body.len() >= 5).then(|| self.body.slice(5..))
    }
}

/// Sends requests, each on a connection of its own or on kept ones.
#[derive(Clone, Debug, Default)]
pub struct Client {
    idle: Option<Arc<Mutex<IdleConnections>>>,
}

type IdleConnections = HashMap<ConnectionKey, Vec<Connection>>;
/// Address, protocol and TLS server name.
type ConnectionKey = (SocketAddr, Protocol, Option<String>);

#[derive(Debug)]
struct Connection {
    sender: Sender,
    peer_certificates: Vec<CertificateDer<'static>>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    /// Opens a connection for every request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps connections and sends further requests on them. Client certificates are not told
    /// apart: use one client for each.
    #[must_use]
    pub fn keep_alive() -> Self {
        Self { idle: Some(Arc::default()) }
    }

    /// Sends `request` and reads the whole answer, of whatever status.
    ///
    /// # Errors
    ///
    /// If there is no whole answer within the timeout.
    pub async fn send(&self, request: &Request) -> Result<Response> {
        let sent = time::timeout(request.timeout, self.send_untimed(request)).await;
        sent.with_context(|| format!("no answer within {:?}", request.timeout))?
    }

    async fn send_untimed(&self, request: &Request) -> Result<Response> {
        if let Some(mut kept) = self.take_idle(request) {
            match kept.sender.send(request.build()?).await {
                Ok(response) => return self.finish(request, kept, response).await,
                // The server closed the connection before we used it: nothing was sent.
                Err(error) if error.is_canceled() => (),
                Err(error) => return Err(error.into()),
            }
        }
        let mut connection = connect(request).await?;
        let response = connection.sender.send(request.build()?).await?;
        self.finish(request, connection, response).await
    }

    /// Reads the answer and keeps the connection, if both sides want that.
    async fn finish(
        &self,
        request: &Request,
        mut connection: Connection,
        response: hyper::Response<Incoming>,
    ) -> Result<Response> {
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("the answer broke off")?;
        let response = Response {
            status: head.status,
            version: head.version,
            headers: head.headers,
            trailers: body.trailers().cloned().unwrap_or_default(),
            body: body.to_bytes(),
            peer_certificates: connection.peer_certificates.clone(),
        };
        if let Some(idle) = &self.idle
            && connection.sender.is_open().await
        {
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.entry(connection_key(request)).or_default().push(connection);
        }
        Ok(response)
    }

    fn take_idle(&self, request: &Request) -> Option<Connection> {
        let mut idle = self.idle.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        idle.get_mut(&connection_key(request))?.pop()
    }
}

impl Sender {
    async fn send(
        &mut self,
        request: hyper::Request<Full<Bytes>>,
    ) -> hyper::Result<hyper::Response<Incoming>> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }

    async fn is_open(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }
}

fn connection_key(request: &Request) -> ConnectionKey {
    let name = request.tls.as_ref().map(|tls| tls.server_name.clone());
    (request.address, request.protocol, name)
}

async fn connect(request: &Request) -> Result<Connection> {
    let stream = TcpStream::connect(request.address).await;
    let stream = stream.with_context(|| format!("failed to connect to {}", request.address))?;
    stream.set_nodelay(true)?;
    let Some(tls) = &request.tls else {
        let sender = handshake(stream, request.protocol).await?;
        return Ok(Connection { sender, peer_certificates: Vec::new() });
    };
    let alpn = match request.protocol {
        Protocol::Http1 => "http/1.1",
        Protocol::Http2 => "h2",
    };
    let stream = tls.connect(stream, alpn).await?;
    let peer_certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer_certificates: Vec<_> =
        peer_certificates.iter().map(|certificate| certificate.clone().into_owned()).collect();
    ensure!(!peer_certificates.is_empty(), "the server showed no certificate");
    Ok(Connection { sender: handshake(stream, request.protocol).await?, peer_certificates })
}

async fn handshake<S>(stream: S, protocol: Protocol) -> Result<Sender>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = TokioIo::new(stream);
    // The tasks end with their connections; what went wrong shows at the sender.
    Ok(match protocol {
        Protocol::Http1 => {
            let (sender, connection) = http1::handshake(stream).await?;
            tokio::spawn(connection);
            Sender::Http1(sender)
        }
        Protocol::Http2 => {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            Sender::Http2(sender)
        }
    })
}
