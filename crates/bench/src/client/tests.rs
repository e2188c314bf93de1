//! A stream's side of the conversation, and many streams on a server that replays.

use std::{fmt::Write, net::Ipv4Addr, time::Duration};

use bytes::BytesMut;
use envoy::{
    Any,
    config::{
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType},
        },
        core::v3::{AggregatedConfigSource, ConfigSource, config_source::ConfigSourceSpecifier},
        endpoint::v3::ClusterLoadAssignment,
        listener::v3::{Filter, FilterChain, Listener, filter::ConfigType},
        route::v3::{RouteConfiguration, Vhds, VirtualHost},
    },
    extensions::filters::network::http_connection_manager::v3::{
        HttpConnectionManager, Rds, http_connection_manager::RouteSpecifier,
    },
    service::discovery::v3::{DeltaDiscoveryRequest, Resource},
};
use expect_test::{Expect, expect};
use prost::{Message, encoding::message};
use tokio_util::sync::CancellationToken;
use xds::{Metrics, Protocol, Server, Settings};

use super::{
    catalog::Catalog,
    fleet::{Fleet, FleetSettings, ProxyIdentity},
    kind::{Kind, PerKind},
    response::Head,
    seen::Goal,
    state::{Requests, State},
    stream::Command,
};
use crate::{progress::Progress, replay::Recording};

fn cluster(name: &str) -> Resource {
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
    let cluster =
        Cluster { name: name.to_owned(), cluster_discovery_type: Some(eds), ..Default::default() };
    resource(Kind::Cluster, name, &cluster)
}

fn assignment(name: &str) -> Resource {
    let cluster_name = name.to_owned();
    let assignment = ClusterLoadAssignment { cluster_name, ..Default::default() };
    resource(Kind::Endpoint, name, &assignment)
}

fn listener(name: &str) -> Resource {
    let listener = Listener { name: name.to_owned(), ..Default::default() };
    resource(Kind::Listener, name, &listener)
}

fn resource(kind: Kind, name: &str, message: &impl Message) -> Resource {
    let type_url = kind.type_url().to_owned();
    Resource {
        name: name.to_owned(),
        version: format!("v-{name}"),
        resource: Some(Any { type_url, value: message.encode_to_vec().into() }),
        ..Resource::default()
    }
}

/// A stream and what it has said.
struct Talk {
    catalog: Catalog,
    state: State,
    nonce: u32,
    said: String,
}

impl Talk {
    fn new() -> Self {
        let catalog = Catalog::new(Protocol::Delta);
        Self { catalog, state: State::default(), nonce: 0, said: String::new() }
    }

    fn connect(&mut self) {
        let requests = self.state.connect(&self.catalog, &[]);
        self.say("connects", requests);
    }

    fn receive(&mut self, kind: Kind, resources: &[Resource], removed: &[&str]) {
        for resource in resources {
            let bytes = resource.encode_to_vec();
            self.catalog.with(&bytes, |inner, record| self.state.take(record, inner));
        }
        self.nonce += 1;
        let head = Head {
            type_url: kind.type_url().to_owned(),
            nonce: self.nonce.to_string(),
            removed: removed.iter().map(|&name| name.to_owned()).collect(),
            ..Head::default()
        };
        let requests = self.state.end(&head, &self.catalog).1;
        let synced = if self.state.is_synced() { ", in sync" } else { "" };
        self.say(&format!("receives {kind:?}{synced}"), requests);
    }

    fn say(&mut self, what: &str, requests: Requests) {
        writeln!(self.said, "{what}").unwrap();
        for request in requests {
            let bytes = request.concat();
            let len = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
            assert_eq!((bytes[0], bytes.len()), (0, 5 + len));
            let request = DeltaDiscoveryRequest::decode(&bytes[5..]).unwrap();
            let kind = Kind::of(&request.type_url).unwrap();
            let versions: Vec<&String> = request.initial_resource_versions.values().collect();
            writeln!(
                self.said,
                "  {kind:?} nonce {:?} +{:?} -{:?} has {versions:?}",
                request.response_nonce,
                request.resource_names_subscribe,
                request.resource_names_unsubscribe,
            )
            .unwrap();
        }
    }

    fn check(&self, expected: &Expect) {
        expected.assert_eq(&self.said);
    }
}

#[test]
fn a_stream_asks_in_the_order_of_envoy() {
    let mut talk = Talk::new();
    talk.connect();
    talk.receive(Kind::Cluster, &[cluster("a"), cluster("b")], &[]);
    talk.receive(Kind::Endpoint, &[assignment("a")], &[]);
    talk.receive(Kind::Endpoint, &[assignment("b")], &[]);
    talk.receive(Kind::Listener, &[listener("l")], &[]);
    talk.check(&expect![[r#"
        connects
          Cluster nonce "" +[] -[] has []
        receives Cluster
          Cluster nonce "1" +[] -[] has []
          Endpoint nonce "" +["a", "b"] -[] has []
        receives Endpoint
          Endpoint nonce "2" +[] -[] has []
        receives Endpoint
          Endpoint nonce "3" +[] -[] has []
          Listener nonce "" +[] -[] has []
        receives Listener, in sync
          Listener nonce "4" +[] -[] has []
    "#]]);
}

#[test]
fn hosts_are_asked_for_where_they_are_loaded_on_demand() {
    let mut talk = Talk::new();
    talk.connect();
    talk.receive(Kind::Cluster, &[], &[]);
    let manager = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            route_config_name: "r".to_owned(),
            config_source: Some(ConfigSource {
                config_source_specifier: Some(ConfigSourceSpecifier::Ads(
                    AggregatedConfigSource {},
                )),
                ..Default::default()
            }),
        })),
        ..Default::default()
    };
    let filter = Filter {
        config_type: Some(ConfigType::TypedConfig(Any::pack(&manager))),
        ..Default::default()
    };
    let chain = FilterChain { filters: vec![filter], ..Default::default() };
    let listener = Listener { filter_chains: vec![chain], ..Default::default() };
    talk.receive(Kind::Listener, &[resource(Kind::Listener, "l", &listener)], &[]);
    let route = RouteConfiguration { vhds: Some(Vhds::default()), ..Default::default() };
    talk.receive(Kind::Route, &[resource(Kind::Route, "r", &route)], &[]);
    let host = resource(Kind::VirtualHost, "r/h", &VirtualHost::default());
    talk.receive(Kind::VirtualHost, &[host], &[]);
    talk.said.clear();
    talk.connect();
    talk.check(&expect![[r#"
        connects
          Cluster nonce "" +[] -[] has []
          Listener nonce "" +[] -[] has ["v-l"]
          Route nonce "" +["r"] -[] has ["v-r"]
          VirtualHost nonce "" +[] -[] has ["v-r/h"]
    "#]]);
}

#[test]
fn what_nothing_refers_to_is_unsubscribed_from() {
    let mut talk = Talk::new();
    talk.receive(Kind::Cluster, &[cluster("a"), cluster("b")], &[]);
    talk.receive(Kind::Endpoint, &[assignment("a"), assignment("b")], &[]);
    talk.receive(Kind::Listener, &[], &[]);
    talk.said.clear();
    let before = talk.state.fingerprint(Kind::Endpoint);
    talk.receive(Kind::Cluster, &[cluster("c")], &["a"]);
    assert_ne!(talk.state.fingerprint(Kind::Endpoint), before);
    talk.receive(Kind::Endpoint, &[], &["c"]);
    talk.check(&expect![[r#"
        receives Cluster
          Cluster nonce "4" +[] -[] has []
          Endpoint nonce "" +["c"] -["a"] has []
        receives Endpoint, in sync
          Endpoint nonce "5" +[] -[] has []
    "#]]);
}

#[test]
fn a_stream_that_comes_back_says_what_it_holds() {
    let mut talk = Talk::new();
    talk.connect();
    talk.receive(Kind::Cluster, &[cluster("a")], &[]);
    talk.receive(Kind::Endpoint, &[assignment("a")], &[]);
    talk.receive(Kind::Listener, &[listener("l")], &[]);
    talk.said.clear();
    talk.connect();
    talk.check(&expect![[r#"
        connects
          Cluster nonce "" +[] -[] has ["v-a"]
          Endpoint nonce "" +["a"] -[] has ["v-a"]
          Listener nonce "" +[] -[] has ["v-l"]
    "#]]);
    assert_eq!(talk.state.subscriptions(), 3);
}

#[test]
fn a_response_that_broke_off_is_asked_for_again() {
    let mut talk = Talk::new();
    talk.connect();
    let bytes = cluster("a").encode_to_vec();
    talk.catalog.with(&bytes, |inner, record| talk.state.take(record, inner));
    talk.said.clear();
    talk.connect();
    talk.receive(Kind::Cluster, &[cluster("a"), cluster("b")], &[]);
    let bytes = [assignment("a"), assignment("b")].map(|one| one.encode_to_vec());
    for bytes in bytes {
        talk.catalog.with(&bytes, |inner, record| talk.state.take(record, inner));
    }
    talk.connect();
    talk.check(&expect![[r#"
        connects
          Cluster nonce "" +[] -[] has []
          Endpoint nonce "" +["a"] -[] has []
        receives Cluster
          Cluster nonce "1" +[] -[] has []
          Endpoint nonce "" +["b"] -[] has []
        connects
          Cluster nonce "" +[] -[] has ["v-a", "v-b"]
          Endpoint nonce "" +["a", "b"] -[] has ["v-a", "v-b"]
          Listener nonce "" +[] -[] has []
    "#]]);
}

/// A server in this process that sends two clusters with their endpoints and a listener.
async fn replay() -> (std::net::SocketAddr, CancellationToken) {
    let mut resources: PerKind<BytesMut> = Default::default();
    for (kind, resource) in [
        (Kind::Cluster, cluster("a")),
        (Kind::Cluster, cluster("b")),
        (Kind::Endpoint, assignment("a")),
        (Kind::Endpoint, assignment("b")),
        (Kind::Listener, listener("l")),
    ] {
        message::encode(2, &resource, &mut resources[kind as usize]);
    }
    let recording = Recording::new(resources.map(BytesMut::freeze));
    let listener = xds::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let server = Server::new(Settings::default(), Metrics::default());
    tokio::spawn(server.run(listener, recording, shutdown.clone()));
    (address, shutdown)
}

fn proxy(index: u8) -> ProxyIdentity {
    ProxyIdentity {
        name: format!("pod-{index}"),
        namespace: "shop".to_owned(),
        workload: "pod".to_owned(),
        address: Ipv4Addr::new(10, 0, 0, index),
    }
}

#[tokio::test]
async fn streams_sync_over_real_connections_and_come_back() {
    let (server, _shutdown) = replay().await;
    let patience = Duration::from_secs(30);
    let protocol = Protocol::Delta;
    let mut fleet = Fleet::new(FleetSettings { server, protocol, lags: None, patience });
    fleet.open((0..5).map(proxy));
    let progress = Progress::new();
    assert_eq!(fleet.wait("sync", &progress, Goal::Synced).await.unwrap().len(), 5);
    assert_eq!(fleet.each(|seen| seen.resources), [5; 5]);
    assert_eq!(fleet.sum(|seen| seen.responses[Kind::Endpoint as usize]), 5);
    let held = fleet.each(|seen| seen.fingerprint);
    assert!(held.iter().all(|one| *one == held[0] && *one != 0));

    fleet.reset();
    fleet.command_all(Command::Reconnect).await;
    fleet.wait("reconnect", &progress, Goal::Reconnected).await.unwrap();
    assert_eq!(fleet.sum(|seen| seen.requests), 15, "three types for each");
    assert_eq!(fleet.sum(|seen| seen.failures), 0);
}

#[tokio::test]
async fn who_does_not_come_in_time_is_named() {
    // Nobody accepts: the kernel does, and nothing more happens.
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = listener.local_addr().unwrap();
    let (patience, protocol) = (Duration::from_millis(10), Protocol::Delta);
    let mut fleet = Fleet::new(FleetSettings { server, protocol, lags: None, patience });
    fleet.open([proxy(1)]);
    let error = fleet.wait("sync", &Progress::new(), Goal::Synced).await.unwrap_err();
    assert_eq!(error.to_string(), "sync: 0 of 1 streams within 10ms; not pod-1.shop");
}

#[test]
fn bytes_of_requests_are_shared() {
    let mut talk = Talk::new();
    talk.connect();
    talk.receive(Kind::Cluster, &[cluster("a")], &[]);
    let [one, two] = [(); 2].map(|()| talk.catalog.names_field(Kind::Endpoint, &[0]));
    assert_eq!(one[..].as_ptr(), two[..].as_ptr());
}
