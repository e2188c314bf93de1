//! A small HTTPS client: one request on one connection, and an answer that is not too large.
//!
//! - The authorities that are trusted are the system's.
//! - It follows a few redirections, never from an encrypted place to a plain one.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::OnceCell,
};
use tokio_rustls::TlsConnector;

use crate::{FetchError, Fetcher};

/// Sets of keys are a few KiB.
const MOST_BYTES: usize = 1 << 20;
const MOST_REDIRECTIONS: usize = 3;

/// Fetches over HTTPS and HTTP. Clones share the trusted authorities, which are read at the first
/// use.
#[derive(Clone, Debug, Default)]
pub struct HttpsClient {
    tls: Arc<OnceCell<Arc<ClientConfig>>>,
    /// Of an answer; [`MOST_BYTES`] unless set.
    most_bytes: Option<usize>,
}

/// What came of one request.
enum Answer {
    Content(Bytes),
    LeadsTo(String),
}

impl HttpsClient {
    /// The same for answers of up to so many bytes.
    #[must_use]
    pub fn with_most_bytes(self, bytes: usize) -> Self {
        Self { most_bytes: Some(bytes), ..self }
    }

    /// The answer of one place, whatever its status: redirections are not followed, so that a token
    /// (the value of `Authorization`) is shown to nobody else.
    pub async fn get(
        &self,
        uri: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<(StatusCode, Bytes), FetchError> {
        let parsed = parse(uri)?;
        let response = self.respond(&parsed, uri, authorization).await?;
        let host = parsed.host().unwrap_or_default().to_owned();
        let status = response.status();
        let failed = |source| FetchError::Http { host: host.clone(), source };
        Ok((status, self.read(response.into_body(), failed).await?))
    }

    async fn tls(&self) -> Result<Arc<ClientConfig>, FetchError> {
        let read = || async {
            let roots = tokio::task::spawn_blocking(|| {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                roots
            });
            let roots = roots.await.unwrap_or_else(|_| RootCertStore::empty());
            if roots.is_empty() {
                return Err(FetchError::NoAuthorities);
            }
            let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
            let builder = builder.with_safe_default_protocol_versions();
            let builder = builder.map_err(|_| FetchError::NoAuthorities)?;
            Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
        };
        self.tls.get_or_try_init(read).await.cloned()
    }

    async fn respond(
        &self,
        uri: &Uri,
        text: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<hyper::Response<Incoming>, FetchError> {
        let bad = || FetchError::BadUri { uri: text.to_owned() };
        let host = uri.host().ok_or_else(bad)?;
        let encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        // Addresses of IPv6 stand in brackets.
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let failed = |source: io::Error| FetchError::Connect { host: host.to_owned(), source };
        let socket = TcpStream::connect((name, port)).await.map_err(failed)?;
        let mut request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(header::HOST, uri.authority().map_or(host, |it| it.as_str()))
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, "meltemi")
            .body(Empty::<Bytes>::new())
            .map_err(|_| bad())?;
        if let Some(value) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.clone());
        }
        let response = if encrypted {
            let server = ServerName::try_from(name.to_owned()).map_err(|_| bad())?;
            let connector = TlsConnector::from(self.tls().await?);
            exchange(connector.connect(server, socket).await.map_err(failed)?, request).await
        } else {
            exchange(socket, request).await
        };
        response.map_err(|source| FetchError::Http { host: host.to_owned(), source })
    }

    async fn ask(&self, uri: &Uri, text: &str) -> Result<Answer, FetchError> {
        let response = self.respond(uri, text, None).await?;
        let host = uri.host().unwrap_or_default();
        let failed = |source| FetchError::Http { host: host.to_owned(), source };
        match response.status() {
            StatusCode::OK => Ok(Answer::Content(self.read(response.into_body(), failed).await?)),
            status if status.is_redirection() => {
                let location = response.headers().get(header::LOCATION);
                let location = location.and_then(|value| value.to_str().ok());
                let status = FetchError::Status { uri: text.to_owned(), status };
                Ok(Answer::LeadsTo(location.ok_or(status)?.to_owned()))
            }
            status => Err(FetchError::Status { uri: text.to_owned(), status }),
        }
    }

    async fn read(
        &self,
        mut body: Incoming,
        failed: impl Fn(hyper::Error) -> FetchError,
    ) -> Result<Bytes, FetchError> {
        let limit = self.most_bytes.unwrap_or(MOST_BYTES);
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(&failed)?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > limit {
                    return Err(FetchError::TooLarge { limit });
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(bytes.freeze())
    }
}

impl Fetcher for HttpsClient {
    async fn fetch(&self, uri: &str) -> Result<Bytes, FetchError> {
        let mut at = parse(uri)?;
        for _ in 0..=MOST_REDIRECTIONS {
            let next = match self.ask(&at, uri).await? {
                Answer::Content(bytes) => return Ok(bytes),
                Answer::LeadsTo(next) => next,
            };
            // A place without a host is on the same one.
            let next = match (next.starts_with('/'), at.scheme_str(), at.authority()) {
                (true, Some(scheme), Some(host)) => parse(&format!("{scheme}://{host}{next}"))?,
                _ => parse(&next)?,
            };
            if at.scheme() == Some(&Scheme::HTTPS) && next.scheme() != Some(&Scheme::HTTPS) {
                break;
            }
            at = next;
        }
        Err(FetchError::Redirect { uri: uri.to_owned() })
    }
}

fn parse(text: &str) -> Result<Uri, FetchError> {
    let uri: Option<Uri> = text.parse().ok();
    let known = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    known.ok_or_else(|| FetchError::BadUri { uri: text.to_owned() })
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<hyper::Response<Incoming>, hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer, or when that is dropped.
    tokio::spawn(connection);
    sender.send_request(request).await
}
