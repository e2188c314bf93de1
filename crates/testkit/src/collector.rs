//! Runs the real OpenTelemetry collector: what it takes over OTLP it passes on over HTTP, to where a
//! test reads what it understood.

use std::{
    fs::{self, File},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{self, Instant},
};

use crate::{ports, tools};

const CONFIG: &str = "config.yaml";
const LOG: &str = "collector.log";
const POLL: Duration = Duration::from_millis(20);
/// A loaded machine starts a collector in well under this.
const START: Duration = Duration::from_secs(60);

/// A collector, which may be stopped and started again.
#[derive(Debug)]
pub struct OtelCollector {
    /// Where it takes OTLP over gRPC.
    pub grpc: SocketAddr,
    /// Where it takes OTLP over HTTP.
    pub http: SocketAddr,
    folder: TempDir,
    child: Option<Child>,
}

impl OtelCollector {
    /// Starts one that passes everything on to `sink`, and waits until it listens.
    pub async fn start(sink: SocketAddr) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("meltemi-otelcol-").tempdir()?;
        let [grpc, http] = [4317, 4318].map(ports::loopback_socket);
        let config = format!(
            "receivers:
  otlp: {{protocols: {{grpc: {{endpoint: '{grpc}'}}, http: {{endpoint: '{http}'}}}}}}
exporters:
  otlp_http: {{endpoint: 'http://{sink}', compression: none}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
    logs: {{receivers: [otlp], exporters: [otlp_http]}}
"
        );
        fs::write(folder.path().join(CONFIG), config)?;
        let mut collector = Self { grpc, http, folder, child: None };
        collector.restart().await?;
        Ok(collector)
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only if the process has ended already, which is what we want.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it anew at the same addresses.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        let log = self.folder.path().join(LOG);
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new(tools::collector_bin())
            .arg("--config")
            .arg(self.folder.path().join(CONFIG))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let child = self.child.insert(child);
        let deadline = Instant::now() + START;
        for address in [self.grpc, self.http] {
            while TcpStream::connect(address).await.is_err() {
                if let Some(status) = child.try_wait()? {
                    bail!("the collector ended with {status}");
                }
                ensure!(Instant::now() < deadline, "the collector does not listen at {address}");
                time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// What it has logged, also before a restart.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }
}

impl Drop for OtelCollector {
    fn drop(&mut self) {
        self.kill();
    }
}
