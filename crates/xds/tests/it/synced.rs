//! A synced proxy against a small control plane.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use envoy::{
    Any, Resource,
    config::{
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig},
        },
        core::v3::{AggregatedConfigSource, ConfigSource, config_source::ConfigSourceSpecifier},
        endpoint::v3::ClusterLoadAssignment,
        listener::v3::{Filter, FilterChain, Listener, filter},
        route::v3::RouteConfiguration,
    },
    extensions::filters::network::http_connection_manager::v3::{
        HttpConnectionManager, Rds, http_connection_manager::RouteSpecifier,
    },
    type_url,
};
use tokio::sync::watch;
use xds::{
    AdsStream, Protocol, Request, Response, Settings, Status,
    client::{ClientSettings, SyncedProxy},
};

use crate::harness::{Running, node, start};

const QUIET: Duration = Duration::from_millis(150);

type Resources = BTreeMap<(&'static str, &'static str), Resource>;

fn ads() -> Option<ConfigSource> {
    let ads = ConfigSourceSpecifier::Ads(AggregatedConfigSource {});
    Some(ConfigSource { config_source_specifier: Some(ads), ..Default::default() })
}

fn cluster(name: &'static str, service: &str, stat: &str) -> Resource {
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
    let config = EdsClusterConfig { service_name: service.to_owned(), eds_config: ads() };
    let cluster = Cluster {
        name: name.to_owned(),
        alt_stat_name: stat.to_owned(),
        cluster_discovery_type: Some(eds),
        eds_cluster_config: Some(config),
        ..Default::default()
    };
    Resource::from_message(name, type_url::CLUSTER, &cluster)
}

fn endpoints(name: &'static str) -> Resource {
    let assignment = ClusterLoadAssignment { cluster_name: name.to_owned(), ..Default::default() };
    Resource::from_message(name, type_url::ENDPOINT, &assignment)
}

fn route(name: &'static str) -> Resource {
    let route = RouteConfiguration { name: name.to_owned(), ..Default::default() };
    Resource::from_message(name, type_url::ROUTE, &route)
}

fn listener(name: &'static str, route: &str) -> Resource {
    let rds = Rds { route_config_name: route.to_owned(), config_source: ads() };
    let manager = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(rds)),
        ..Default::default()
    };
    let config = filter::ConfigType::TypedConfig(Any::pack(&manager));
    let filter = Filter { config_type: Some(config), ..Default::default() };
    let chain = FilterChain { filters: vec![filter], ..Default::default() };
    let listener =
        Listener { name: name.to_owned(), default_filter_chain: Some(chain), ..Default::default() };
    Resource::from_message(name, type_url::LISTENER, &listener)
}

fn world(resources: impl IntoIterator<Item = Resource>) -> Resources {
    let named = |resource: Resource| match &**resource.name() {
        "c1" => "c1",
        "c2" => "c2",
        "e1" => "e1",
        "l1" => "l1",
        "r1" => "r1",
        "r2" => "r2",
        other => panic!("unknown name {other}"),
    };
    resources.into_iter().map(|one| ((one.type_url(), named(one.clone())), one)).collect()
}

fn small_world() -> Resources {
    world([
        cluster("c1", "e1", ""),
        cluster("c2", "", ""),
        endpoints("e1"),
        endpoints("c2"),
        listener("l1", "r1"),
        route("r1"),
        route("r2"),
    ])
}

/// What one stream has subscribed to and been sent.
#[derive(Default)]
struct Session {
    nonce: u64,
    names: BTreeMap<String, Vec<String>>,
    sent: BTreeMap<(String, String), String>,
}

impl Session {
    /// Sends of a type what is subscribed to and not as the client has it.
    async fn push(&mut self, stream: &mut AdsStream, world: &Resources, type_url: &str) {
        let Some(names) = self.names.get(type_url) else { return };
        let wanted = |name: &str| names.is_empty() || names.iter().any(|one| one == name);
        let of_type = world.iter().filter(|((url, name), _)| *url == type_url && wanted(name));
        let of_type: Vec<_> = of_type.map(|((_, name), resource)| (*name, resource)).collect();
        let key = |name: &str| (type_url.to_owned(), name.to_owned());
        let differs = |name: &str, resource: &Resource| {
            self.sent.get(&key(name)) != Some(&resource.version_text())
        };
        let changed: Vec<_> = of_type.iter().filter(|(name, one)| differs(name, one)).collect();
        let gone = self.sent.keys().filter(|(url, name)| {
            url == type_url && !of_type.iter().any(|(other, _)| other == name)
        });
        let gone: Vec<_> = gone.cloned().collect();
        if changed.is_empty() && gone.is_empty() {
            return;
        }
        let chunks: Vec<Bytes> = match stream.protocol {
            Protocol::Delta => {
                changed.iter().flat_map(|(_, one)| one.delta_chunks().chunks()).cloned().collect()
            }
            Protocol::Sotw => {
                of_type.iter().flat_map(|(_, one)| one.sotw_chunks().chunks()).cloned().collect()
            }
        };
        let removed = match stream.protocol {
            Protocol::Delta => gone.iter().map(|(_, name)| name.as_str().into()).collect(),
            Protocol::Sotw => Vec::new(),
        };
        let changed: Vec<_> =
            changed.iter().map(|(name, one)| (key(name), one.version_text())).collect();
        gone.iter().for_each(|key| drop(self.sent.remove(key)));
        self.sent.extend(changed);
        self.nonce += 1;
        let version = self.nonce.to_string();
        let response = Response { type_url, nonce: self.nonce, version: &version, chunks, removed };
        let _ = stream.responses.send(response).await;
    }

    /// Notes what a request subscribes to.
    fn take(&mut self, request: Request) -> String {
        match request {
            Request::Delta(request) => {
                let names = self.names.entry(request.type_url.clone()).or_default();
                names.extend(request.resource_names_subscribe.iter().cloned());
                let gone = &request.resource_names_unsubscribe;
                names.retain(|name| !gone.contains(name));
                self.sent.retain(|(url, name), _| *url != request.type_url || !gone.contains(name));
                for (name, version) in request.known_versions() {
                    let key = (request.type_url.clone(), name.to_owned());
                    self.sent.insert(key, version.to_owned());
                }
                request.type_url
            }
            Request::Sotw(request) => {
                self.names.insert(request.type_url.clone(), request.resource_names);
                request.type_url
            }
        }
    }
}

async fn serve(mut stream: AdsStream, mut worlds: watch::Receiver<Resources>) -> Status {
    let mut session = Session::default();
    loop {
        tokio::select! {
            request = stream.requests.next() => match request {
                None => return Status::OK,
                Some(Err(error)) => return error.status(),
                Some(Ok(request)) => {
                    let type_url = session.take(request);
                    let world = worlds.borrow().clone();
                    session.push(&mut stream, &world, &type_url).await;
                }
            },
            changed = worlds.changed() => {
                if changed.is_err() {
                    return Status::OK;
                }
                let world = worlds.borrow_and_update().clone();
                for type_url in type_url::ALL {
                    session.push(&mut stream, &world, type_url).await;
                }
            }
        }
    }
}

struct Plane {
    server: Running,
    worlds: watch::Sender<Resources>,
}

async fn plane() -> Plane {
    let (worlds, receiver) = watch::channel(small_world());
    let receiver = Arc::new(Mutex::new(receiver));
    let server = start(Settings::default(), move |stream| {
        let worlds = receiver.lock().unwrap().clone();
        serve(stream, worlds)
    })
    .await;
    Plane { server, worlds }
}

async fn synced(plane: &Plane, protocol: Protocol) -> SyncedProxy {
    let settings = ClientSettings::new(plane.server.address, protocol, node());
    let mut proxy = SyncedProxy::connect(settings).await.unwrap();
    proxy.sync_until_quiet(QUIET).await.unwrap();
    proxy
}

fn all_names(proxy: &SyncedProxy) -> String {
    type_url::ALL.map(|url| proxy.names(url).join(",")).join(" ").trim().to_owned()
}

#[tokio::test]
async fn a_proxy_follows_references_on_both_protocols() {
    let plane = plane().await;
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        let proxy = synced(&plane, protocol).await;
        assert_eq!(all_names(&proxy), "c1,c2 c2,e1 l1  r1", "{protocol}");
        assert_eq!(proxy.missing(), []);
        assert!(proxy.warming().is_empty());
        assert_eq!(proxy.get::<Cluster>("c1").unwrap().name, "c1");
        let counts = proxy.counts(type_url::CLUSTER);
        assert_eq!((counts.responses, counts.resources, counts.nacks), (1, 2, 0));
        assert!(counts.bytes > 100);
    }
}

#[tokio::test]
async fn a_proxy_that_reconnects_is_sent_nothing_it_has() {
    let plane = plane().await;
    let mut proxy = synced(&plane, Protocol::Delta).await;
    proxy.reconnect().await.unwrap();
    assert_eq!(proxy.sync_until_quiet(QUIET).await.unwrap(), 0);
    let mut changed = small_world();
    changed.insert((type_url::LISTENER, "l1"), listener("l1", "r2"));
    plane.worlds.send_replace(changed);
    proxy.reconnect().await.unwrap();
    assert_eq!(proxy.sync_until_quiet(QUIET).await.unwrap(), 2);
    assert_eq!(all_names(&proxy), "c1,c2 c2,e1 l1  r2");
}

#[tokio::test]
async fn a_changed_cluster_warms_until_its_endpoints_come() {
    let plane = plane().await;
    let mut proxy = synced(&plane, Protocol::Delta).await;
    let mut changed = small_world();
    changed.insert((type_url::CLUSTER, "c1"), cluster("c1", "e1", "other"));
    changed.remove(&(type_url::CLUSTER, "c2"));
    plane.worlds.send_replace(changed);
    proxy.sync_until_quiet(QUIET).await.unwrap();
    assert_eq!(all_names(&proxy), "c1 e1 l1  r1");
    assert_eq!(proxy.warming().iter().collect::<Vec<_>>(), ["e1"]);
}

#[tokio::test]
async fn a_proxy_that_rejects_keeps_what_it_had() {
    let plane = plane().await;
    let mut proxy = synced(&plane, Protocol::Delta).await;
    proxy.reject(type_url::LISTENER, "not today");
    let mut changed = small_world();
    changed.insert((type_url::LISTENER, "l1"), listener("l1", "r2"));
    plane.worlds.send_replace(changed);
    proxy.sync_until_quiet(QUIET).await.unwrap();
    assert_eq!(all_names(&proxy), "c1,c2 c2,e1 l1  r1");
    assert_eq!(proxy.counts(type_url::LISTENER).nacks, 1);
    proxy.accept(type_url::LISTENER);
    proxy.reconnect().await.unwrap();
    proxy.sync_until_quiet(QUIET).await.unwrap();
    assert_eq!(all_names(&proxy), "c1,c2 c2,e1 l1  r2");
}
