//! Serves one connection: detects TLS, speaks HTTP/2, and gives up on peers that stay silent.
//!
//! Windows and buffers are small on purpose: there are ten thousand of these, requests are short,
//! and what is sent is not copied into them.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time,
};
use tokio_rustls::TlsAcceptor;

use super::{CLOSE_TIMEOUT, Shared, route::Router};
use crate::{AdsService, metrics::Raised};

/// The first byte of every TLS connection: a handshake record. HTTP/2 begins with `P`.
const TLS_HANDSHAKE: u8 = 0x16;
const MAX_CONCURRENT_STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 128 << 10;
/// How much HTTP/2 buffers of a stream before it takes no more pieces.
const SEND_BUFFER: usize = 64 << 10;
/// Room for a token of 8 KiB and some.
const MAX_HEADER_LIST: u32 = 16 << 10;
/// How much plaintext TLS may encrypt ahead of the socket.
const TLS_BUFFER: usize = 32 << 10;

/// What is known of a connection before its first request.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) tls: bool,
    pub(super) certificates: Arc<[CertificateDer<'static>]>,
}

/// Serves a connection to its end.
pub(super) async fn accept<S: AdsService>(
    socket: TcpStream,
    address: SocketAddr,
    shared: Arc<Shared<S>>,
) {
    shared.metrics.connections.inc();
    let _open = Raised::new(&shared.metrics.connections_open);
    let opened = Arc::new(AtomicBool::new(false));
    let served = serve(socket, address, &shared, &opened).await;
    if !opened.load(Ordering::Relaxed) {
        shared.metrics.connections_failed.inc();
    }
    if let Err(error) = served {
        tracing::debug!(%address, %error, "Connection ended");
    }
}

async fn serve<S: AdsService>(
    socket: TcpStream,
    address: SocketAddr,
    shared: &Arc<Shared<S>>,
    opened: &Arc<AtomicBool>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let limit = shared.settings.handshake_timeout;
    let plaintext = Peer { address, tls: false, certificates: Arc::default() };
    let Some(configs) = &shared.settings.tls else {
        return Box::pin(serve_http2(socket, plaintext, shared, opened)).await;
    };
    let mut first = [0];
    if time::timeout(limit, socket.peek(&mut first)).await?? == 0 {
        return Ok(());
    }
    if first != [TLS_HANDSHAKE] {
        return Box::pin(serve_http2(socket, plaintext, shared, opened)).await;
    }
    let config = configs.borrow().clone();
    // Boxed, so that the state of a handshake does not stay with the connection.
    let handshake = Box::pin(TlsAcceptor::from(config).accept_with(socket, |session| {
        session.set_buffer_limit(Some(TLS_BUFFER));
    }));
    let stream = time::timeout(limit, handshake).await??;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificates = certificates.iter().map(|one| one.clone().into_owned()).collect();
    let peer = Peer { address, tls: true, certificates };
    Box::pin(serve_http2(stream, peer, shared, opened)).await
}

async fn serve_http2<S: AdsService>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    shared: &Arc<Shared<S>>,
    opened: &Arc<AtomicBool>,
) -> io::Result<()> {
    let settings = &shared.settings;
    let mut depart = None;
    let id = shared.next_connection.fetch_add(1, Ordering::Relaxed);
    let (departing, departure) = watch::channel(None);
    let router = Router { peer, shared: shared.clone(), opened: opened.clone(), departure };
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEADER_LIST)
            .keep_alive_interval(settings.keepalive_interval)
            .keep_alive_timeout(settings.keepalive_timeout)
            .serve_connection(TokioIo::new(io), router)
    );
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(io::Error::other),
        () = silence(settings.handshake_timeout, opened) => {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no stream was opened"));
        }
        () = shared.shutdown.cancelled() => (),
        why = shared.control.departure(id, settings.max_connection_age) => {
            shared.metrics.departed(why).inc();
            depart = Some(why);
        }
    }
    connection.as_mut().graceful_shutdown();
    if let Some(why) = depart {
        // GOAWAY is on its way before the streams end.
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended.map_err(io::Error::other),
            () = std::future::ready(()) => (),
        }
        departing.send_replace(Some(why));
    }
    let ended = time::timeout(settings.grace + CLOSE_TIMEOUT, connection).await?;
    ended.map_err(io::Error::other)
}

/// Ends only if no stream has been opened in time.
async fn silence(limit: time::Duration, opened: &AtomicBool) {
    time::sleep(limit).await;
    if opened.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}
