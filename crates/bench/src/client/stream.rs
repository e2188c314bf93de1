//! One stream on a connection of its own: a task that reads, answers and comes back.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::Interest,
    net::{TcpSocket, TcpStream},
    sync::{Semaphore, mpsc},
    time,
};

use super::{
    catalog::Catalog,
    kind::Kind,
    lag::Lags,
    response::{Head, Malformed, Part, Splitter},
    seen::{Goal, Seen, Tally},
    state::{Requests, State},
    wire::{Wire, WireError},
};

/// As Envoy's, for a control plane: a connection that takes longer has failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream whose connection fails so often is given up.
const MAX_FAILURES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(200);
const READ: usize = 64 << 10;

/// What all streams share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) catalog: Catalog,
    pub(crate) server: SocketAddr,
    /// Connections that are being opened.
    pub(crate) connecting: Semaphore,
    pub(crate) tally: Tally,
    pub(crate) lags: Option<Arc<Lags>>,
    /// Buffers to read into: there are as many as reads at a time, and not as streams.
    pub(crate) buffers: Mutex<Vec<Vec<u8>>>,
}

/// What a stream is told to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    /// Close the connection and open another one.
    Reconnect,
    /// Read nothing from now on.
    Freeze,
    /// Read again.
    Thaw,
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("failed to connect")]
    Connect(#[source] io::Error),
    #[error("failed to connect within {CONNECT_TIMEOUT:?}")]
    Timeout,
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// A stream and the task behind it.
pub(crate) struct Stream {
    pub(crate) shared: Arc<Shared>,
    pub(crate) seen: Arc<Mutex<Seen>>,
    /// Encoded as a field of a request.
    pub(crate) node: Vec<u8>,
    /// The local address to connect from, if not any.
    pub(crate) source: Option<Ipv4Addr>,
    pub(crate) state: State,
}

/// An open connection.
struct Connection {
    socket: TcpStream,
    wire: Wire,
    splitter: Splitter,
}

/// What comes after a connection.
enum Next {
    Reconnect,
    End,
}

impl Stream {
    /// Keeps the stream open until nobody can command it any more. A connection that fails is
    /// opened again after a pause, as Envoy does.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut failures = 0;
        let mut commanded = false;
        loop {
            let ended = match self.connect().await {
                Ok(mut connection) => {
                    if std::mem::take(&mut commanded) {
                        let requests = self.state.subscriptions();
                        self.see(|seen, tally| seen.reconnected(requests, tally));
                    }
                    if self.state.is_synced() {
                        // What a broken connection brought last was all that was missing.
                        self.see(|seen, tally| seen.reach(Goal::Synced, tally));
                    }
                    self.hold(&mut connection, &mut commands).await
                }
                Err(error) => Err(error),
            };
            match ended {
                Ok(Next::End) => return,
                Ok(Next::Reconnect) => commanded = true,
                Err(error) => {
                    failures += 1;
                    let is_timeout = matches!(error, StreamError::Timeout);
                    let is_over = failures == MAX_FAILURES;
                    let text = chain(&error);
                    self.see(|seen, tally| seen.failed(text, is_timeout, is_over, tally));
                    if is_over {
                        return;
                    }
                    time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn see<T>(&self, change: impl FnOnce(&mut Seen, &Tally) -> T) -> T {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut seen, &self.shared.tally)
    }

    async fn connect(&mut self) -> Result<Connection, StreamError> {
        let permit = self.shared.connecting.acquire().await;
        let socket = open(self.shared.server, self.source);
        let socket = time::timeout(CONNECT_TIMEOUT, socket).await;
        drop(permit);
        let socket = socket.map_err(|_| StreamError::Timeout)?.map_err(StreamError::Connect)?;
        socket.set_nodelay(true)?;
        let Shared { server, catalog, .. } = &*self.shared;
        let mut wire = Wire::open(&server.to_string(), catalog.protocol().path());
        for request in self.state.connect(catalog, &self.node) {
            wire.send(request);
        }
        Ok(Connection { socket, wire, splitter: Splitter::default() })
    }

    async fn hold(
        &mut self,
        connection: &mut Connection,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Result<Next, StreamError> {
        let mut is_frozen = false;
        loop {
            connection.write()?;
            let interest = match connection.wire.output().is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            tokio::select! {
                command = commands.recv() => match command {
                    None => return Ok(Next::End),
                    Some(Command::Reconnect) => return Ok(Next::Reconnect),
                    Some(Command::Freeze) => is_frozen = true,
                    Some(Command::Thaw) => is_frozen = false,
                },
                ready = connection.socket.ready(interest), if !is_frozen => {
                    if ready?.is_readable() {
                        self.read(connection)?;
                    }
                }
            }
        }
    }

    /// Reads once, as much as there is.
    fn read(&mut self, connection: &mut Connection) -> Result<(), StreamError> {
        let mut buffer = {
            let mut buffers = self.shared.buffers.lock().unwrap_or_else(PoisonError::into_inner);
            buffers.pop().unwrap_or_else(|| vec![0; READ])
        };
        let done = match connection.socket.try_read(&mut buffer) {
            Ok(0) => Err(StreamError::Closed),
            Ok(count) => self.digest(connection, &buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        };
        self.shared.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        done
    }

    fn digest(&mut self, connection: &mut Connection, data: &[u8]) -> Result<(), StreamError> {
        let Connection { wire, splitter, .. } = connection;
        let mut requests = Requests::new();
        let mut resources = 0;
        wire.read(data, |data| {
            splitter.push(data, |part| match part {
                Part::Resource(bytes) => {
                    resources += 1;
                    self.on_resource(bytes);
                }
                Part::End(head) => {
                    requests.extend(self.on_end(&head, std::mem::take(&mut resources)));
                }
            })?;
            Ok::<_, StreamError>(())
        })?;
        if resources > 0 {
            // The response goes on in the next read.
            self.see(|seen, _| seen.add_resources(resources));
        }
        for request in requests {
            wire.send(request);
        }
        Ok(())
    }

    fn on_resource(&mut self, bytes: &[u8]) {
        let Self { shared, state, .. } = self;
        let taken = shared.catalog.with(bytes, |inner, record| state.take(record, inner)).flatten();
        if let (Some(taken), Some(lags)) = (taken, &shared.lags)
            && let Some(marker) = taken.marker
        {
            lags.arrived(marker, taken.marker_before);
        }
    }

    fn on_end(&mut self, head: &Head, resources: u64) -> Requests {
        let (kind, requests) = self.state.end(head, &self.shared.catalog);
        let is_synced = self.state.is_synced();
        let fingerprint = self.state.fingerprint(Kind::Endpoint);
        self.see(|seen, tally| {
            seen.add_resources(resources);
            seen.add_response(kind, head.len, Instant::now(), tally);
            if is_synced {
                seen.reach(Goal::Synced, tally);
            }
            seen.fingerprint = fingerprint;
        });
        requests
    }
}

impl Connection {
    /// Writes what the socket takes now.
    fn write(&mut self) -> io::Result<()> {
        while !self.wire.output().is_empty() {
            match self.socket.try_write(self.wire.output()) {
                Ok(count) => self.wire.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

async fn open(server: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(server).await };
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::V4(SocketAddrV4::new(source, 0)))?;
    socket.connect(server).await
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
