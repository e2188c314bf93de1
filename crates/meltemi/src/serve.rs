//! `serve`: joins sources, store, push and the two servers.

mod access;
mod arguments;
mod learning;
mod load;
mod places;
mod port;
mod prometheus;
mod queries;
mod reports;
mod sink;
mod state;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use admin::{Admin, MeshMetrics};
use anyhow::Context;
use api::istio::mesh_config::MeshConfig;
use jwks::{HttpsClient, KeyMetrics, KeySettings, KeyStage};
use model::ObjectKey;
use prometheus_client::registry::Registry;
use push::{Engine, EngineHandle, PushService};
use runtime::{BlockReady, Readiness};
use snapshot::{FencingSettings, Index};
use source::{
    ExpiryStage, Restored, Source, SourceSender, SourceStatuses, SuperviseSettings, supervise,
};
use source_directory::{
    DirectoryHandle, DirectorySettings, DirectorySource, WriteMode, directory_control,
};
use store::Writer;
use tokio::{
    net::TcpListener,
    sync::{mpsc::UnboundedReceiver, oneshot, watch},
};
use tokio_util::sync::CancellationToken;
use xds::Control;

pub(crate) use self::arguments::{ADMIN_ADDRESS, Serve};
use self::{
    arguments::Settings, places::NewestPlaces, port::ProxyPort, prometheus::PrometheusSensor,
    sink::EngineSink, state::Keeper,
};
use crate::output::Exit;

/// Events of sources that may wait for the writer.
const QUEUE: usize = 256;

impl Settings {
    /// istiod's switches about keys.
    fn keys(&self) -> KeySettings {
        let length = |name: &str| self.features.0.get(name)?.parse::<api::Duration>().ok();
        let refresh = length(KeySettings::REFRESH_SWITCH).filter(|it| !it.is_zero());
        let settings = KeySettings::default();
        KeySettings { refresh: refresh.map_or(settings.refresh, |it| it.to_std()), ..settings }
    }

    async fn serve(self) -> anyhow::Result<Exit> {
        let shutdown = CancellationToken::new();
        tokio::spawn(runtime::wait_for_signal(shutdown.clone()));
        let readiness = Readiness::default();
        let block = readiness.block();

        let (index, expire_wait) = self.empty_index();
        let engine = Engine::start(index.snapshot());
        let statuses = SourceStatuses::default();
        // The ends of policies and the keys of token issuers come in between.
        let (events, incoming) = source::channel(QUEUE);
        let (timed, keyed) = source::channel(QUEUE);
        let (outgoing, receiver) = source::channel(QUEUE);
        let file = self.state_file();
        let restored = state::restore(file.as_ref());
        let mut keeper = Keeper::start(file, &shutdown);
        let (name, directory) = self.read_folders(restored, events, &statuses, &shutdown);

        let service = PushService::new(engine.clone());
        let mut metrics = Registry::default();
        let xds_metrics = xds::Metrics::register(metrics.sub_registry_with_prefix("meltemi_xds"));
        service.metrics().register(&mut metrics);
        engine.log().register(&mut metrics);
        let signing = identity::Metrics::register(&mut metrics);
        let mesh = MeshMetrics::register(&mut metrics, engine.clone());
        let keys = KeyMetrics::register(&mut metrics);
        let mut learning = learning::start(&self.learning, outgoing.clone(), &shutdown).await?;
        let learned = learning.handle.clone();
        learned.register(metrics.sub_registry_with_prefix("meltemi_scope"));
        let prometheus = PrometheusSensor::new(
            self.lazyload.prometheus.as_ref(),
            &self.learning.scope,
            metrics.sub_registry_with_prefix("meltemi_scope_prometheus"),
        );
        let service = service.with_learner(Arc::new(learning::Calls(learned.clone())));
        let keys = KeyStage::new(self.keys(), HttpsClient::default(), keys, statuses.clone());
        tokio::spawn(keys.run(keyed, outgoing, shutdown.clone()));
        let (expiry, ended) = ExpiryStage::new(statuses.clone());
        let expiry = expiry.with_expire_wait(expire_wait).with_waits(learning.ends());
        tokio::spawn(expiry.run(incoming, timed, shutdown.clone()));
        tokio::spawn(delete_ended(ended, directory.clone()));
        let index = index.with_fence_waits(learning.take_waited());
        let writer = Writer::new(index, [name, scope::SOURCE.into()]);
        let control = Control::default();
        let load = self.limits.load(&xds_metrics, &control);
        load::watch_memory(&self.limits, control.clone(), shutdown.clone());
        let peers = self.limits.peers.clone();
        tokio::spawn(load::balance(peers, load.clone(), control.clone(), shutdown.clone()));
        let admin = Admin {
            ready: Box::new(move || readiness.is_ready()),
            metrics,
            mesh: mesh.clone(),
            statuses,
            directory,
            writer: writer.handle(),
            engine: engine.clone(),
            streams: service.registry().clone(),
            scope: self.learning.part(&learned, prometheus.as_ref().map(PrometheusSensor::status)),
            load: Box::new(load.clone()),
        };
        let admin = serve_admin(self.admin_address, admin, shutdown.clone()).await?;
        let listener = self.xds_listener()?;
        let (on_sync, first) = first_compiled(engine.clone(), block);
        let (aliases, known_aliases) = watch::channel(Arc::from([]));
        let state = keeper.snapshots.take();
        let (newest, snapshots) = watch::channel(None);
        let places = NewestPlaces::new(snapshots);
        let waits = learning.keep_waits(&shutdown);
        let sink = EngineSink { engine: engine.clone(), mesh, aliases, newest, waits, state };
        tokio::spawn(writer.run(receiver, sink, on_sync, shutdown.clone()));
        tracing::info!(xds = %self.xds_address, admin = %self.admin_address, "Meltemi serves");
        tokio::select! {
            Ok(block) = first => {
                if let Some(sensor) = prometheus {
                    let asking = sensor.run(places.clone(), learned.clone(), shutdown.clone());
                    tokio::spawn(asking);
                }
                let port = ProxyPort {
                    listener,
                    service,
                    metrics: xds_metrics,
                    signing,
                    control,
                    aliases: known_aliases,
                    places,
                    scope: learned,
                    engine,
                };
                port.serve(&self, block, &shutdown).await?;
            }
            () = shutdown.cancelled() => (),
        }
        shutdown.cancel();
        keeper.end().await;
        learning.ended().await;
        let _ = admin.await;
        Ok(Exit::Done)
    }

    /// Has the folders read. Gives the name of the source, and a hand on it.
    fn read_folders(
        &self,
        restored: Option<Restored>,
        events: SourceSender,
        statuses: &SourceStatuses,
        shutdown: &CancellationToken,
    ) -> (Arc<str>, DirectoryHandle) {
        let settings = DirectorySettings {
            paths: self.config.clone(),
            mesh_config: self.mesh_config.clone(),
            rescan: Duration::from_secs(10),
        };
        let (directory, commands) = directory_control();
        let make = move || DirectorySource::new(settings.clone()).listen_to(commands.clone());
        let name: Arc<str> = make().name().into();
        let supervision = SuperviseSettings::default();
        let (told, shutdown) = (statuses.clone(), shutdown.clone());
        tokio::spawn(supervise(make, restored, supervision, events, told, shutdown));
        (name, directory)
    }

    /// An index without objects, and how many seconds what a fence does not name any more stays in scopes.
    fn empty_index(&self) -> (Index, i64) {
        let (fencing, findings) = FencingSettings::convert(&self.lazyload);
        for finding in findings.iter() {
            tracing::warn!("{finding}");
        }
        let expire_wait = fencing.expire_wait;
        let index =
            Index::new(Arc::new(MeshConfig::default()), self.features.clone(), &self.domain);
        (index.with_fencing(fencing), expire_wait)
    }
}

/// Deletes the files of policies that have ended, as far as a command of ours wrote them.
async fn delete_ended(mut ended: UnboundedReceiver<ObjectKey>, directory: DirectoryHandle) {
    while let Some(key) = ended.recv().await {
        match directory.remove(vec![key.clone()], WriteMode::Write).await {
            Ok(_) => tracing::info!(object = %key, "A policy has expired and was deleted"),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(object = %key, error, "An expired policy could not be deleted");
            }
        }
    }
}

/// What to do when the sources have been read, and what comes then: ready is who has compiled the first
/// snapshot, not who has merely read it.
fn first_compiled(
    engine: EngineHandle,
    block: BlockReady,
) -> (impl FnOnce() + Send + 'static, oneshot::Receiver<BlockReady>) {
    let (compiled, first) = oneshot::channel();
    let on_sync = move || {
        tokio::spawn(async move {
            // The engine takes its commands in order.
            engine.settled(0).await;
            let _ = compiled.send(block);
        });
    };
    (on_sync, first)
}

async fn serve_admin(
    address: SocketAddr,
    admin: Admin,
    shutdown: CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<std::io::Result<()>>> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address} (see --admin-address)"))?;
    Ok(tokio::spawn(admin::serve(listener, admin, shutdown)))
}
