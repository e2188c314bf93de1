//! A TCP server that says its name, and a client for it.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::http::server::Server;

/// Greets each connection with its name and a line feed, then sends back what it gets.
#[derive(Debug)]
pub struct TcpBackend {
    server: Server,
    connections: Arc<AtomicU64>,
}

impl TcpBackend {
    /// Listens on `address`; port 0 lets the kernel choose.
    pub async fn start(name: &str, address: SocketAddr) -> Result<Self> {
        let connections = Arc::new(AtomicU64::new(0));
        let (greeting, counter) = (format!("{name}\n"), Arc::clone(&connections));
        let server = Server::start(address, move |stream| {
            counter.fetch_add(1, Ordering::Relaxed);
            let greeting = greeting.clone();
            async move {
                // An error is a client that went away.
                let _ = greet(stream, &greeting).await;
            }
        });
        Ok(Self { server: server.await?, connections })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// How many connections have been opened.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn greet(mut stream: TcpStream, greeting: &str) -> io::Result<()> {
    stream.write_all(greeting.as_bytes()).await?;
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await
}

/// Connects, sends `payload`, closes the sending half and returns all that comes back.
pub async fn tcp_exchange(
    address: SocketAddr,
    payload: &[u8],
    timeout: Duration,
) -> io::Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(payload).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    };
    time::timeout(timeout, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
