//! The port of proxies: listened on from the start, and served once there is something to say.

use std::sync::Arc;

use anyhow::Context;
use push::{EngineHandle, PushService};
use runtime::BlockReady;
use scope::ScopeHandle;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use xds::{Control, Server};

use super::{
    access::{self, ServerCertificate, Signer},
    arguments::Settings,
    places::NewestPlaces,
    queries::QueryService,
    reports::ReportService,
};

/// What proxies meet. They wait in the listen queue until the first snapshot is compiled: an empty
/// mesh that is merely unread must not be served.
pub(super) struct ProxyPort {
    pub(super) listener: TcpListener,
    pub(super) service: PushService,
    pub(super) metrics: xds::Metrics,
    pub(super) signing: identity::Metrics,
    pub(super) control: Control,
    /// The other names of the trust domain.
    pub(super) aliases: watch::Receiver<Arc<[Arc<str>]>>,
    pub(super) places: NewestPlaces,
    pub(super) scope: ScopeHandle,
    pub(super) engine: EngineHandle,
}

impl ProxyPort {
    /// Serves until `shutdown`. The process is ready from then on.
    pub(super) async fn serve(
        self,
        settings: &Settings,
        block: BlockReady,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        // The trust domain stands in the configuration.
        let signer = settings.open_authority(&self.engine, shutdown).await?;
        let tls = settings.certificate().serve(signer.clone(), shutdown)?;
        let trust = signer.as_ref().map(|signer| (signer, self.aliases));
        let granting = access::grant(&settings.identity, trust, &self.signing, shutdown)?;
        let service = self.service.with_access(granting.access.clone());
        let limits = xds::Settings { tls, ..settings.limits.xds() };
        let server = Server::new(limits, self.metrics).steered_by(self.control);
        let server = granting.method.into_iter().fold(server, Server::mount);
        let queries = QueryService {
            access: granting.access,
            mesh: self.places,
            scope: self.scope,
            engine: self.engine,
            streams: service.registry().clone(),
        };
        let server = with_sensors(server, queries);
        drop(block);
        server.run(self.listener, Arc::new(service), shutdown.clone()).await;
        Ok(())
    }
}

impl Settings {
    pub(super) fn xds_listener(&self) -> anyhow::Result<TcpListener> {
        xds::listen(self.xds_address).with_context(|| {
            format!("failed to listen on {} (see --xds-address)", self.xds_address)
        })
    }

    async fn open_authority(
        &self,
        engine: &EngineHandle,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Option<Signer>> {
        let Some(place) = &self.identity.authority else { return Ok(None) };
        let mesh = engine.mesh().await.context("the engine has ended")?;
        Ok(Some(Signer::open(place, &mesh.trust_domain, shutdown)?))
    }

    fn certificate(&self) -> ServerCertificate {
        ServerCertificate {
            files: self.tls.clone(),
            names: self.identity.server_names.clone(),
            address: self.xds_address,
        }
    }
}

/// What tells of calls on the port of the ADS streams.
fn with_sensors(server: Server, queries: QueryService) -> Server {
    let QueryService { access, mesh, scope, .. } = &queries;
    let reports = ReportService::new(access.clone(), mesh.clone(), scope.clone());
    server.mount(Arc::new(queries)).mount_sink(Arc::new(reports))
}
