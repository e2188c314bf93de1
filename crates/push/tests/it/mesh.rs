//! A control plane in the test's own process.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use api::istio::mesh_config::MeshConfig;
use envoy::{
    config::core::v3::{Locality, Node},
    type_url,
};
use prost_types::{Struct, Value, value::Kind};
use push::{Engine, PushService};
use snapshot::{Change, Features, Index};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use xds::{
    Metrics, Protocol, Server, Settings,
    client::{ClientSettings, SyncedProxy},
};

/// How long a stream must be silent to be called in sync, once it has had its first answers.
pub(crate) const QUIET: Duration = Duration::from_millis(60);
/// How long what a proxy asks for may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) struct Mesh {
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
}

impl Mesh {
    /// Serves these YAML documents.
    pub(crate) async fn start(
        yaml: &str,
        mesh_config: &str,
        features: BTreeMap<String, String>,
    ) -> Self {
        let config = match api::parse_mesh_config("mesh.yaml", mesh_config.as_bytes()).0 {
            Some(object) => match object.spec {
                api::Spec::MeshConfig(config) => config,
                other => panic!("{other:?} is not a MeshConfig"),
            },
            None => Arc::new(MeshConfig::default()),
        };
        let mut index = Index::new(config, Features(features), "cluster.local");
        index.apply(changes(yaml));
        let engine = Engine::start(index.snapshot());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = Server::new(Settings::default(), Metrics::default());
        let service = PushService::new(engine);
        tokio::spawn(server.run(listener, service, shutdown.clone()));
        Self { address, shutdown }
    }

    /// A proxy that has what it wants.
    pub(crate) async fn connect(&self, node: Node, protocol: Protocol) -> SyncedProxy {
        let settings = ClientSettings::new(self.address, protocol, node);
        let mut proxy = SyncedProxy::connect(settings).await.unwrap();
        let deadline = Instant::now() + DEADLINE;
        loop {
            proxy.sync_until_quiet(QUIET).await.unwrap();
            let answered = |url: &str| proxy.counts(url).responses > 0;
            let complete = answered(type_url::CLUSTER) && answered(type_url::LISTENER);
            // The certificates of these meshes do not exist.
            let got = proxy.missing().iter().all(|(url, _)| *url == type_url::SECRET);
            if complete && got {
                return proxy;
            }
            assert!(Instant::now() < deadline, "not there in time: {:?}", proxy.missing());
        }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The objects of some YAML, as changes.
pub(crate) fn changes(yaml: &str) -> Vec<Change> {
    let (objects, _) = api::parse_documents("test.yaml", yaml.as_bytes());
    objects.into_iter().map(Change::Put).collect()
}

/// A node as Envoy sends it.
pub(crate) fn node(id: &str, metadata: &serde_json::Map<String, serde_json::Value>) -> Node {
    Node {
        id: id.to_owned(),
        metadata: Some(fields(metadata)),
        locality: Some(Locality::default()),
        ..Node::default()
    }
}

fn fields(map: &serde_json::Map<String, serde_json::Value>) -> Struct {
    Struct { fields: map.iter().map(|(key, value)| (key.clone(), value_of(value))).collect() }
}

fn value_of(value: &serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(flag) => Kind::BoolValue(*flag),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(list) => {
            Kind::ListValue(prost_types::ListValue { values: list.iter().map(value_of).collect() })
        }
        serde_json::Value::Object(map) => Kind::StructValue(fields(map)),
    };
    Value { kind: Some(kind) }
}
