//! A gRPC call with messages in both directions, on a connection of its own.

use std::{fmt, io, net::SocketAddr, pin::Pin};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
};
use tokio_rustls::TlsConnector;

use super::{ClientError, ClientSettings};
use crate::{Code, Frames, ReceiverBody, Status};

/// Requests that wait for HTTP/2 before a sender waits too.
const REQUESTS: usize = 16;

type Handle = http2::SendRequest<ReceiverBody>;

pub(super) struct Connection {
    address: SocketAddr,
    /// `None` once the client has finished.
    requests: Option<mpsc::Sender<Bytes>>,
    answer: Answer,
    frames: Frames,
    /// The connection closes when this is gone.
    _handle: Handle,
}

/// What the server has said so far.
enum Answer {
    /// Nothing: some servers send headers only with the first message.
    Awaited(Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send + Sync>>),
    Open(Incoming),
    Ended,
}

impl Connection {
    pub(super) async fn open(settings: &ClientSettings) -> Result<Self, ClientError> {
        let address = settings.address;
        let connect_error = |source| ClientError::Connect { address, source };
        let socket = TcpStream::connect(address).await.map_err(connect_error)?;
        socket.set_nodelay(true).map_err(connect_error)?;
        let mut handle = match &settings.tls {
            None => handshake(socket, settings).await?,
            Some((config, name)) => {
                let connector = TlsConnector::from(config.clone());
                let stream = connector.connect(name.clone(), socket).await;
                handshake(stream.map_err(connect_error)?, settings).await?
            }
        };
        let (requests, body) = ReceiverBody::channel(REQUESTS);
        let answer = handle.send_request(call(settings, body)?);
        Ok(Self {
            address,
            requests: Some(requests),
            answer: Answer::Awaited(Box::pin(answer)),
            frames: Frames::new(settings.max_response_len),
            _handle: handle,
        })
    }

    pub(super) async fn send(&mut self, data: Bytes) -> Result<(), ClientError> {
        let requests = self.requests.as_ref().ok_or(ClientError::Closed)?;
        requests.send(data).await.map_err(|_| ClientError::Closed)
    }

    pub(super) fn finish(&mut self) {
        self.requests = None;
    }

    pub(super) async fn next_message(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(message) = self.frames.next() {
                return Ok(Some(message?));
            }
            match &mut self.answer {
                Answer::Awaited(response) => {
                    let response = response.await;
                    self.answer = Answer::Ended;
                    let (parts, body) = self.http(response)?.into_parts();
                    if parts.status != StatusCode::OK {
                        return Err(ClientError::HttpStatus(parts.status));
                    }
                    if let Some(status) = Status::read_from(&parts.headers) {
                        return ended(status);
                    }
                    self.answer = Answer::Open(body);
                }
                Answer::Open(body) => match body.frame().await {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => drop(self.frames.push(data)),
                        Err(frame) => {
                            self.answer = Answer::Ended;
                            self.frames.finish()?;
                            return ended(
                                Status::read_from(&frame.into_trailers().unwrap_or_default())
                                    .unwrap_or_else(no_status),
                            );
                        }
                    },
                    Some(Err(source)) => {
                        self.answer = Answer::Ended;
                        return Err(ClientError::Http { address: self.address, source });
                    }
                    None => {
                        self.answer = Answer::Ended;
                        return ended(no_status());
                    }
                },
                Answer::Ended => return Ok(None),
            }
        }
    }

    fn http<T>(&self, result: hyper::Result<T>) -> Result<T, ClientError> {
        result.map_err(|source| ClientError::Http { address: self.address, source })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Connection({})", self.address)
    }
}

fn ended(status: Status) -> Result<Option<Bytes>, ClientError> {
    if status.code == Code::Ok { Ok(None) } else { Err(ClientError::Ended(status)) }
}

fn no_status() -> Status {
    Status::new(Code::Unknown, "stream ended without a status")
}

async fn handshake(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    settings: &ClientSettings,
) -> Result<Handle, ClientError> {
    let address = settings.address;
    let (handle, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(settings.window)
        .initial_connection_window_size(settings.window)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|source| ClientError::Http { address, source })?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, error = %io::Error::other(error), "Connection ended");
        }
    });
    Ok(handle)
}

fn call(
    settings: &ClientSettings,
    body: ReceiverBody,
) -> Result<Request<ReceiverBody>, ClientError> {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let uri = format!("{scheme}://{}{}", settings.address, settings.protocol.path());
    let mut request = Request::post(uri)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers");
    if let Some(authorization) = &settings.authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    Ok(request.body(body)?)
}
