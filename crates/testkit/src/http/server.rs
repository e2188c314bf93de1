//! Accepts connections until its handle is dropped, and then closes all of them.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// A bound address with its task.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    task: AbortHandle,
}

impl Server {
    /// Binds `address` and gives each connection to `handle`.
    pub(super) async fn start<H, F>(address: SocketAddr, handle: H) -> Result<Self>
    where
        H: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let bound = TcpListener::bind(address).await;
        let listener = bound.with_context(|| format!("failed to bind {address}"))?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, handle)).abort_handle();
        Ok(Self { address, task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<H, F>(listener: TcpListener, handle: H)
where
    H: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    // The set ends with this task, and its connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error here is a connection that was gone before we took it.
                if let Ok((stream, _)) = accepted {
                    let _ = stream.set_nodelay(true);
                    connections.spawn(handle(stream));
                }
            }
            Some(_) = connections.join_next() => (),
        }
    }
}
