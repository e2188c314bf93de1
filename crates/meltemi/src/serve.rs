//! `serve`: joins sources, store, push and the two servers.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use admin::Admin;
use anyhow::Context;
use api::istio::mesh_config::MeshConfig;
use prometheus_client::registry::Registry;
use push::{Engine, EngineHandle, PushService};
use runtime::Readiness;
use snapshot::{ChangeSet, Features, Index, Snapshot};
use source::{Source, SourceStatuses, SuperviseSettings, supervise};
use source_directory::{DirectorySettings, DirectorySource};
use store::{SnapshotSink, Writer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use xds::Server;

/// Serve xDS from folders of YAML.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meltemi serve --config ./mesh\n  meltemi serve --config base --config overlay --mesh-config mesh.yaml"
)]
pub(crate) struct Serve {
    /// Folder (or file) with Istio and Kubernetes objects; may be given several times.
    #[arg(long = "config", required = true, num_args = 1.., env = "MELTEMI_CONFIG", value_delimiter = ',')]
    config: Vec<PathBuf>,
    /// File with a `MeshConfig`; wins over a ConfigMap called `istio`.
    #[arg(long, env = "MELTEMI_MESH_CONFIG")]
    mesh_config: Option<PathBuf>,
    /// Where proxies connect.
    #[arg(long, env = "MELTEMI_XDS_ADDRESS", default_value = "127.0.0.1:15010")]
    xds_address: SocketAddr,
    /// Where `/ready`, `/metrics` and `/debug` are served.
    #[arg(long, env = "MELTEMI_ADMIN_ADDRESS", default_value = "127.0.0.1:15014")]
    admin_address: SocketAddr,
    /// Certificate (PEM) of the xDS port; with it, TLS and plain text share the port.
    #[arg(long, env = "MELTEMI_TLS_CERTIFICATE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Key (PEM) of the certificate.
    #[arg(long, env = "MELTEMI_TLS_KEY", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Suffix of Kubernetes service names.
    #[arg(long, env = "MELTEMI_DOMAIN", default_value = "cluster.local")]
    domain: String,
    /// What is logged: a level, or levels per module such as `info,push=debug`.
    #[arg(long, env = "MELTEMI_LOG", default_value = "info")]
    log: String,
}

/// Events of sources that may wait for the writer.
const QUEUE: usize = 256;

struct EngineSink(EngineHandle);

impl SnapshotSink for EngineSink {
    async fn publish(&mut self, snapshot: Arc<Snapshot>, changes: ChangeSet) {
        self.0.publish(snapshot, changes).await;
    }
}

/// istiod's switches, as far as they are set. This is the only place that reads them.
#[expect(clippy::disallowed_methods, reason = "the binary reads its settings, once")]
fn features() -> Features {
    let known = |name: &str| {
        ["PILOT_", "ENABLE_", "ISTIO_", "DISABLE_", "MAX_CONNECTIONS_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    Features(std::env::vars().filter(|(name, _)| known(name)).collect())
}

impl Serve {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        runtime::start_logs(&self.log);
        let shutdown = CancellationToken::new();
        tokio::spawn(runtime::wait_for_signal(shutdown.clone()));
        let readiness = Readiness::default();
        let block = readiness.block();

        let index = Index::new(Arc::new(MeshConfig::default()), features(), &self.domain);
        let engine = Engine::start(index.snapshot());
        let settings = DirectorySettings {
            paths: self.config.clone(),
            mesh_config: self.mesh_config.clone(),
            rescan: Duration::from_secs(10),
        };
        let make = move || DirectorySource::new(settings.clone());
        let name: Arc<str> = make().name().into();
        let statuses = SourceStatuses::default();
        let (events, receiver) = source::channel(QUEUE);
        let supervision = SuperviseSettings::default();
        tokio::spawn(supervise(make, supervision, events, statuses.clone(), shutdown.clone()));

        let service = Arc::new(PushService::new(engine.clone()));
        let mut metrics = Registry::default();
        let xds_metrics = xds::Metrics::register(metrics.sub_registry_with_prefix("meltemi_xds"));
        let admin = Admin {
            ready: Box::new(move || readiness.is_ready()),
            findings: Box::new(move || findings(&statuses)),
            metrics,
            streams: service.registry().clone(),
            engine: engine.clone(),
        };
        let admin = serve_admin(self.admin_address, admin, shutdown.clone()).await?;
        let xds = self.xds_listener().await?;
        let server = Server::new(self.xds_settings()?, xds_metrics);
        // Proxies wait in the listen queue until the first snapshot is compiled: an empty mesh
        // that is merely unread must not be served.
        let (synced, first) = tokio::sync::oneshot::channel();
        let writer = Writer::new(index, [name]);
        let on_sync = move || {
            drop(block);
            let _ = synced.send(());
        };
        tokio::spawn(writer.run(receiver, EngineSink(engine), on_sync, shutdown.clone()));
        tracing::info!(xds = %self.xds_address, admin = %self.admin_address, "Meltemi serves");
        tokio::select! {
            _ = first => server.run(xds, service, shutdown.clone()).await,
            () = shutdown.cancelled() => (),
        }
        shutdown.cancel();
        let _ = admin.await;
        Ok(ExitCode::SUCCESS)
    }

    async fn xds_listener(&self) -> anyhow::Result<TcpListener> {
        TcpListener::bind(self.xds_address).await.with_context(|| {
            format!("failed to listen on {} (see --xds-address)", self.xds_address)
        })
    }

    fn xds_settings(&self) -> anyhow::Result<xds::Settings> {
        let tls = match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(
                xds::tls::server_config(certificate, key, None)
                    .context("failed to read the certificate of the xDS port")?,
            ),
            _ => None,
        };
        Ok(xds::Settings { tls, ..xds::Settings::default() })
    }
}

fn findings(statuses: &SourceStatuses) -> serde_json::Value {
    let current = statuses.load();
    let places = current.values().flat_map(|status| status.findings.values());
    let items: Vec<serde_json::Value> = places
        .flat_map(|diagnostics| diagnostics.iter())
        .map(|finding| {
            serde_json::json!({
                "severity": finding.severity.to_string(),
                "code": finding.code,
                "object": finding.object.as_ref().map(ToString::to_string),
                "location": finding.location.as_ref().map(ToString::to_string),
                "field": finding.field,
                "message": finding.message,
                "hint": finding.hint,
            })
        })
        .collect();
    serde_json::json!({ "items": items })
}

async fn serve_admin(
    address: SocketAddr,
    admin: Admin,
    shutdown: CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<std::io::Result<()>>> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address} (see --admin-address)"))?;
    let router = admin::router(admin);
    Ok(tokio::spawn(async move {
        axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
    }))
}
