//! A small client of the admin API.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Where the control plane answers.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Server {
    /// Admin address of the control plane.
    #[arg(long = "server", env = "MELTEMI_SERVER", default_value = "127.0.0.1:15014")]
    address: SocketAddr,
}

/// Exit code for a control plane that cannot be reached.
pub(crate) const UNREACHABLE: u8 = 69;
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

impl Server {
    /// Reads JSON from a path. `Err(code)` is an exit code whose reason was printed.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> anyhow::Result<Result<T, ExitCode>> {
        let connect = timeout(CONNECT_LIMIT, TcpStream::connect(self.address)).await;
        let Ok(Ok(mut socket)) = connect else {
            eprintln!(
                "error: no control plane answers at {} (is `meltemi serve` running? `--server` names another one)",
                self.address
            );
            return Ok(Err(ExitCode::from(UNREACHABLE)));
        };
        let request =
            format!("GET {path} HTTP/1.0\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        socket.write_all(request.as_bytes()).await.context("failed to send the request")?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.context("failed to read the answer")?;
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
        let end = end.context("the answer is not HTTP")?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let body = &answer[end + 4..];
        if head.split_whitespace().nth(1) != Some("200") {
            bail!("{}", String::from_utf8_lossy(body).trim());
        }
        Ok(Ok(serde_json::from_slice(body).context("the answer is not what was asked for")?))
    }
}
