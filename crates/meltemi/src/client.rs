//! A small client of the admin API.
//!
//! - Every failure is a [`Failure`] with an exit code and, where there is one, what to try next.
//! - One connection per request: a command asks once or twice.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use admin::{ApiError, ErrorBody, Reason};
use anyhow::Context;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, client::conn::http1, header,
    http::uri::Authority,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    language::Catalogue,
    output::{Exit, Failure},
    serve::ADMIN_ADDRESS,
};

/// Where the control plane answers.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Server {
    /// Admin address of the control plane: an address or a name, with or without a port.
    #[arg(
        long = "server",
        env = "MELTEMI_SERVER",
        value_name = "HOST[:PORT]",
        default_value_t = ADMIN_ADDRESS.to_string(),
        value_parser = parse_address
    )]
    address: String,
}

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// An answer that comes line by line.
pub(crate) struct Lines {
    body: Incoming,
    rest: BytesMut,
}

/// `HOST:PORT`, of an address or a name with or without a port.
fn parse_address(text: &str) -> Result<String, String> {
    let what_to_do = || format!("write a host and a port, such as `{ADMIN_ADDRESS}`");
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, ADMIN_ADDRESS.port()).to_string());
    }
    let authority: Authority = text.parse().map_err(|_| what_to_do())?;
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => ADMIN_ADDRESS.port(),
        Some(_) => authority.port_u16().ok_or_else(what_to_do)?,
        None => return Err(what_to_do()),
    };
    Ok(format!("{}:{port}", authority.host()))
}

impl Server {
    /// Reads JSON from a path.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        catalogue: &Catalogue,
    ) -> anyhow::Result<T> {
        let body = self.ask(Method::GET, path, Bytes::new(), catalogue).await?;
        read(body).await
    }

    /// Sends JSON to a path and reads the answer.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        value: &impl Serialize,
        catalogue: &Catalogue,
    ) -> anyhow::Result<T> {
        let value = serde_json::to_vec(value).context("failed to write the request")?;
        let body = self.ask(Method::POST, path, value.into(), catalogue).await?;
        read(body).await
    }

    /// Reads an answer that is not there yet as a whole.
    pub(crate) async fn lines(&self, path: &str, catalogue: &Catalogue) -> anyhow::Result<Lines> {
        let body = self.ask(Method::GET, path, Bytes::new(), catalogue).await?;
        Ok(Lines { body, rest: BytesMut::new() })
    }

    /// Sends JSON to a path, and reads an answer that is not there yet as a whole.
    pub(crate) async fn post_lines(
        &self,
        path: &str,
        value: &impl Serialize,
        catalogue: &Catalogue,
    ) -> anyhow::Result<Lines> {
        let value = serde_json::to_vec(value).context("failed to write the request")?;
        let body = self.ask(Method::POST, path, value.into(), catalogue).await?;
        Ok(Lines { body, rest: BytesMut::new() })
    }

    /// The body of a good answer.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        catalogue: &Catalogue,
    ) -> anyhow::Result<Incoming> {
        let unreachable = || {
            let address = [("address", self.address.as_str().into())];
            let message = catalogue.text("unreachable", &address);
            let hint = catalogue.text("unreachable-hint", &[]);
            Failure::new(Exit::Unreachable, message).hint(hint)
        };
        match send(&self.address, method, path, body).await? {
            Some(response) => body_of(response).await,
            None => Err(unreachable().into()),
        }
    }
}

/// Reads JSON from a path of a control plane that no command was told of.
pub(crate) async fn fetch<T: DeserializeOwned>(
    address: SocketAddr,
    path: &str,
) -> anyhow::Result<T> {
    let response = send(&address.to_string(), Method::GET, path, Bytes::new()).await?;
    read(body_of(response.context("nobody answers")?).await?).await
}

/// `None` when nobody answers: a connection that ends before the answer is a control plane that has
/// just gone.
async fn send(
    address: &str,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<Option<Response<Incoming>>> {
    let connect = timeout(CONNECT_LIMIT, TcpStream::connect(address)).await;
    let Ok(Ok(socket)) = connect else { return Ok(None) };
    // A control plane listens to who calls it by its address, and to no name that somebody may have pointed at it.
    let host = socket.peer_addr().context("failed to speak HTTP")?;
    let handshake = http1::handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = handshake.context("failed to speak HTTP")?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .context("failed to write the request")?;
    Ok(sender.send_request(request).await.ok())
}

/// The body of a good answer.
async fn body_of(response: Response<Incoming>) -> anyhow::Result<Incoming> {
    match response.status() {
        StatusCode::OK => Ok(response.into_body()),
        status => Err(refusal(status, response.into_body()).await),
    }
}

impl Lines {
    /// The next line; `None` when the answer has ended, or been cut off.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> anyhow::Result<Option<T>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end + 1);
                if let Ok(body) = serde_json::from_slice::<ErrorBody>(&line) {
                    return Err(failure(body.error).into());
                }
                let value = serde_json::from_slice(&line);
                return value.map(Some).context("the answer is not what was asked for");
            }
            let Some(Ok(frame)) = self.body.frame().await else { return Ok(None) };
            self.rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        }
    }
}

/// A text as a part of a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

async fn read<T: DeserializeOwned>(body: Incoming) -> anyhow::Result<T> {
    let body = body.collect().await.context("failed to read the answer")?.to_bytes();
    serde_json::from_slice(&body).context("the answer is not what was asked for")
}

async fn refusal(status: StatusCode, body: Incoming) -> anyhow::Error {
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(body) => failure(body.error).into(),
        Err(_) => {
            let text = String::from_utf8_lossy(&body).trim().to_owned();
            Failure::new(Exit::Failed, format!("the control plane answers {status}: {text}")).into()
        }
    }
}

/// What the API's refusal is for a command.
pub(crate) fn failure(error: ApiError) -> Failure {
    let exit = match error.reason {
        Reason::BadRequest => Exit::Usage,
        Reason::BadInput => Exit::BadInput,
        Reason::NotFound | Reason::Internal => Exit::Failed,
        Reason::Forbidden => Exit::NotAllowed,
        Reason::Conflict => Exit::Conflict,
        Reason::Unavailable => Exit::TryAgain,
    };
    let mut message = error.message;
    for finding in error.findings {
        message.push_str(&format!("\n  {finding}"));
    }
    Failure::new(exit, message).hint(error.hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_name_or_an_address() {
        let cases = [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("127.0.0.1", "127.0.0.1:15014"),
            ("::1", "[::1]:15014"),
            ("[::1]:1", "[::1]:1"),
            ("localhost", "localhost:15014"),
            ("meltemi.istio-system:8080", "meltemi.istio-system:8080"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_address(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "x:", "x:y", "x:70000", "me@x:1", "http://x", "a b"] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}
