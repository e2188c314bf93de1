//! Accepts connections and gives their ADS streams to an [`AdsService`].
//!
//! - Plaintext HTTP/2 (prior knowledge) and TLS share one port: the first byte tells.
//! - Shutdown: no new connections, GOAWAY on the old ones, then streams end one after the other
//!   over the grace period, so that clients do not all reconnect at once.

mod admission;
mod connection;
mod route;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Semaphore,
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::admission::Control;
pub(crate) use self::admission::Departure;
use self::{admission::Admission, connection::accept};
use crate::{AdsService, Metrics, SinkMethod, TlsConfigs, UnaryMethod, pipe::Room, unary};

/// How long a failed `accept` (usually: out of file descriptors) is waited out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that may wait to be accepted; the kernel's own limit (`net.core.somaxconn`) is
/// mostly lower. All proxies of a mesh come at once when a control plane is started again.
const BACKLOG: u32 = 32_768;
/// What connections are given after the grace period to write out statuses and close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Listens on `address` for [`Server::run`], with room for a storm of proxies that come back.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for the connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Settings of a [`Server`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Serves TLS beside plaintext. Each handshake takes the settings of its moment.
    pub tls: Option<TlsConfigs>,
    /// Longest accepted request, in bytes.
    pub max_request_len: usize,
    /// ADS streams over all connections; further ones end with `RESOURCE_EXHAUSTED`.
    pub max_streams: usize,
    /// ADS streams that may begin in a second, as many of them at once; the rest end with
    /// `RESOURCE_EXHAUSTED`.
    pub max_streams_per_second: Option<NonZeroU32>,
    /// How old a connection may become, more or less, before its client is asked for another one.
    pub max_connection_age: Option<Duration>,
    /// Responses of a stream in flight; see [`crate::ResponseSender`].
    pub max_responses_in_flight: usize,
    /// Bytes of a stream in flight above which there is no room for a response.
    pub max_bytes_in_flight: usize,
    /// How often an HTTP/2 ping asks whether a client is still there.
    pub keepalive_interval: Duration,
    /// How long the answer to a ping may take.
    pub keepalive_timeout: Duration,
    /// How long a connection may take to open its first stream, TLS included.
    pub handshake_timeout: Duration,
    /// How long streams may go on once shutdown has begun.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tls: None,
            max_request_len: 64 << 20,
            max_streams: 100_000,
            max_streams_per_second: None,
            max_connection_age: None,
            max_responses_in_flight: 4,
            max_bytes_in_flight: 64 << 10,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(15),
            grace: Duration::from_secs(10),
        }
    }
}

impl From<&Settings> for Room {
    fn from(settings: &Settings) -> Self {
        let Settings { max_responses_in_flight, max_bytes_in_flight, .. } = *settings;
        Self { responses: max_responses_in_flight, bytes: max_bytes_in_flight }
    }
}

/// An xDS server. It holds no connection until [`Server::run`].
pub struct Server {
    settings: Settings,
    metrics: Metrics,
    methods: Methods,
    sinks: Sinks,
    control: Control,
}

/// By path.
type Methods = BTreeMap<&'static str, Arc<dyn UnaryMethod>>;
type Sinks = BTreeMap<&'static str, Arc<dyn SinkMethod>>;

/// What all connections of a server share.
pub(crate) struct Shared<S> {
    pub(crate) service: S,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    pub(crate) methods: Methods,
    pub(crate) sinks: Sinks,
    pub(crate) sink_slots: Arc<Semaphore>,
    pub(crate) call_slots: Arc<Semaphore>,
    pub(crate) next_stream: AtomicU64,
    pub(crate) next_connection: AtomicU64,
    pub(crate) admission: Admission,
    pub(crate) control: Control,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl<S> Shared<S> {
    pub(crate) fn room(&self) -> Room {
        (&self.settings).into()
    }
}

impl Server {
    /// A server that counts into `metrics`.
    pub fn new(settings: Settings, metrics: Metrics) -> Self {
        let (methods, sinks) = (Methods::new(), Sinks::new());
        Self { settings, metrics, methods, sinks, control: Control::default() }
    }

    /// Has `control` steer the server while it runs.
    #[must_use]
    pub fn steered_by(self, control: Control) -> Self {
        Self { control, ..self }
    }

    /// Serves a further method.
    #[must_use]
    pub fn mount(mut self, method: Arc<dyn UnaryMethod>) -> Self {
        self.methods.insert(method.path(), method);
        self
    }

    /// Serves a further method that only takes.
    #[must_use]
    pub fn mount_sink(mut self, method: Arc<dyn SinkMethod>) -> Self {
        self.sinks.insert(method.path(), method);
        self
    }

    /// Serves until `shutdown`, then for at most the grace period. Failing to accept one
    /// connection does not end it.
    pub async fn run<S: AdsService>(
        self,
        listener: TcpListener,
        service: S,
        shutdown: CancellationToken,
    ) {
        let Self { settings, metrics, methods, sinks, control } = self;
        // A proxy has one stream of each kind.
        let sink_slots = Arc::new(Semaphore::new(settings.max_streams));
        let admission = Admission::new(&settings, control.clone());
        let shared = Arc::new(Shared {
            service,
            settings,
            metrics,
            methods,
            sinks,
            sink_slots,
            call_slots: Arc::new(Semaphore::new(unary::MAX_CALLS)),
            next_stream: AtomicU64::new(1),
            next_connection: AtomicU64::new(1),
            admission,
            control,
            shutdown,
            tasks: TaskTracker::new(),
        });
        loop {
            tokio::select! {
                () = shared.shutdown.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((socket, address)) => {
                        shared.tasks.spawn(accept(socket, address, shared.clone()));
                    }
                    Err(error) => wait_out(&error).await,
                },
            }
        }
        drop(listener);
        shared.tasks.close();
        let limit = shared.settings.grace + 2 * CLOSE_TIMEOUT;
        if time::timeout(limit, shared.tasks.wait()).await.is_err() {
            tracing::warn!(left = shared.tasks.len(), "Connections did not close in time");
        }
    }
}

async fn wait_out(error: &io::Error) {
    tracing::warn!(%error, "Failed to accept a connection");
    time::sleep(ACCEPT_PAUSE).await;
}
