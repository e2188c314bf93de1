//! A control plane whose mesh changes.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use api::istio::mesh_config::MeshConfig;
use envoy::type_url;
use push::{Engine, EngineHandle, Preview, PushService, StreamRegistry};
use serde_json::{Map, json};
use snapshot::{Features, Index};
use tokio::{net::TcpListener, time};
use tokio_util::sync::CancellationToken;
use xds::{
    Metrics, Protocol, Server, Settings,
    client::{ClientSettings, SyncedProxy},
};

use crate::mesh::{QUIET, changes, node};

const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Live {
    pub(crate) index: Index,
    pub(crate) engine: EngineHandle,
    pub(crate) registry: StreamRegistry,
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
}

impl Live {
    pub(crate) async fn start(yaml: &str) -> Self {
        let mesh = Arc::new(MeshConfig::default());
        let mut index = Index::new(mesh, Features::default(), "cluster.local");
        index.apply(changes(yaml));
        let engine = Engine::start(index.snapshot());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let service = PushService::new(engine.clone());
        let registry = service.registry().clone();
        let server = Server::new(Settings::default(), Metrics::default());
        tokio::spawn(server.run(listener, service, shutdown.clone()));
        Self { index, engine, registry, address, shutdown }
    }

    /// Publishes a change, and waits until all streams have been told.
    pub(crate) async fn put(&mut self, yaml: &str) {
        let changed = self.index.apply(changes(yaml));
        let snapshot = self.index.snapshot();
        let revision = snapshot.revision;
        self.engine.publish(snapshot, changed, Instant::now()).await;
        patiently(self.engine.settled(revision)).await;
    }

    /// What a change would mean.
    pub(crate) async fn preview(&self, yaml: &str) -> Preview {
        let mut index = self.index.clone();
        let changed = index.apply(changes(yaml));
        patiently(self.engine.preview(index.snapshot(), changed)).await.unwrap()
    }

    /// A sidecar of a namespace that has asked for nothing yet.
    pub(crate) fn settings(&self, namespace: &str, protocol: Protocol) -> ClientSettings {
        let id = format!("sidecar~10.9.0.1~app.{namespace}~{namespace}.svc.cluster.local");
        let mut metadata = Map::new();
        metadata.insert("CLUSTER_ID".to_owned(), json!("Kubernetes"));
        ClientSettings::new(self.address, protocol, node(&id, &metadata))
    }

    /// The same, in sync.
    pub(crate) async fn connect(&self, namespace: &str, protocol: Protocol) -> SyncedProxy {
        let settings = self.settings(namespace, protocol);
        let mut proxy = patiently(SyncedProxy::connect(settings)).await.unwrap();
        sync(&mut proxy, |proxy| !proxy.names(type_url::ROUTE).is_empty()).await;
        proxy
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Waits, but not for ever.
pub(crate) async fn patiently<T>(work: impl Future<Output = T>) -> T {
    time::timeout(DEADLINE, work).await.expect("it takes too long")
}

/// Lets a proxy work until it is quiet and as it should be.
pub(crate) async fn sync(proxy: &mut SyncedProxy, is_done: impl Fn(&SyncedProxy) -> bool) {
    patiently(async {
        loop {
            proxy.sync_until_quiet(QUIET).await.unwrap();
            // A proxy without an identity is given no secrets.
            let has_all = proxy.missing().iter().all(|(url, _)| *url == type_url::SECRET);
            if has_all && proxy.warming().is_empty() && is_done(proxy) {
                return;
            }
        }
    })
    .await;
}
