//! What valid objects mean for proxies: compiling never fails, and the order does not matter.

use std::{collections::BTreeSet, sync::Arc};

use api::Object;
use compile::{
    Client, Scope,
    cluster::{compile_cluster, select_cluster, special_clusters},
    compile_route, compile_virtual_host,
    endpoint::{Place, compile_endpoints, select_endpoints},
    gateway, grpc,
    inbound::{compile_inbound_clusters, compile_inbound_listeners, select_inbound},
    outbound::{compile_listener, plan_outbound},
    select_route,
    traffic_policy::select_rules,
};
use model::{Generator, Locality, Proxy, ProxyKind};
use serde_json::{Map, Value, json};
use snapshot::{Change, Features, Index, Reader, Snapshot};
use verify::{Resources, check_references};

/// Objects beyond this are left out: more of them find nothing that fewer do not.
const MAX_OBJECTS: usize = 40;
/// Routes of one proxy that are compiled.
const MAX_ROUTES: usize = 100;

/// Indexes the valid objects of a file, in both orders, and compiles everything for some proxies.
pub fn mesh(data: &[u8]) {
    let objects = valid_objects(data);
    let made = compile_all(&indexed(&objects), |_, _| {});
    let mut index = index();
    // The last object with a key wins: backwards only those may come.
    let mut keys = BTreeSet::new();
    let last = objects.into_iter().rev().filter(|it| keys.insert(it.key.clone()));
    index.apply(last.map(Change::Put));
    let again = compile_all(&index.snapshot(), |_, _| {});
    assert_eq!(made, again, "the order of the objects matters");
}

/// Compiles everything, and asks an independent judge whether Envoy would take it.
pub fn accepted(data: &[u8]) {
    compile_all(&indexed(&valid_objects(data)), Made::expect_accepted);
}

fn valid_objects(data: &[u8]) -> Vec<Object> {
    let (mut objects, _) = api::parse_documents("fuzz.yaml", data);
    objects.retain(|object| !api::validate(object).has_errors());
    objects.truncate(MAX_OBJECTS);
    objects
}

/// The mesh of some objects, put in one by one: what derives from them is kept up to date, not
/// made anew.
fn indexed(objects: &[Object]) -> Arc<Snapshot> {
    let mut index = index();
    for object in objects {
        index.apply([Change::Put(object.clone())]);
    }
    index.snapshot()
}

fn index() -> Index {
    Index::new(Arc::default(), Features::default(), "cluster.local")
}

/// Names and versions of everything, for sidecars, gRPC's own clients and a gateway. `judge` sees what
/// each of them got.
fn compile_all(snapshot: &Snapshot, judge: fn(&Made, &Proxy)) -> Vec<(String, u64)> {
    let mut made = Made::default();
    for id in [
        "sidecar~10.0.0.1~a.default~default.svc.cluster.local",
        "sidecar~10.0.0.2~b.shop~shop.svc.cluster.local",
        "router~10.0.0.3~g.istio-system~istio-system.svc.cluster.local",
    ] {
        for generator in ["", "grpc"] {
            let proxy = proxy(id, generator);
            made.resources = Resources::default();
            match (proxy.kind, proxy.generator) {
                (ProxyKind::Sidecar, Generator::Envoy) => made.sidecar(&proxy, snapshot),
                (ProxyKind::Sidecar, Generator::Grpc) => made.grpc(&proxy, snapshot),
                (ProxyKind::Router, Generator::Envoy) => made.gateway(&proxy, snapshot),
                (ProxyKind::Router, Generator::Grpc) => {}
            }
            judge(&made, &proxy);
        }
    }
    made.versions
}

fn proxy(id: &str, generator: &str) -> Proxy {
    let Value::Object(metadata) = json!({
        "GENERATOR": generator,
        "CLUSTER_ID": "Kubernetes",
        "LABELS": {"app": "reviews", "version": "v1", "istio": "ingressgateway"},
    }) else {
        return proxy(id, generator);
    };
    let metadata: Map<String, Value> = metadata;
    Proxy::parse(id, metadata, Locality::parse("region/zone/subzone")).expect("the id is valid")
}

#[derive(Default)]
struct Made {
    versions: Vec<(String, u64)>,
    /// Of the proxy at hand.
    resources: Resources,
}

impl Made {
    fn add(&mut self, compiled: &compile::Compiled) {
        let resource = &compiled.resource;
        let (type_url, name) = (resource.type_url(), resource.name());
        self.versions.push((format!("{type_url} {name}"), resource.version()));
        self.resources.insert(type_url, name, &resource.to_any());
    }

    /// Nothing that comes of valid objects may be refused.
    fn expect_accepted(&self, proxy: &Proxy) {
        let violations = check_references(&self.resources);
        let refused = violations.iter().find(|it| it.severity == verify::Severity::Refused);
        if let Some(violation) = refused {
            panic!("{} would refuse: {violation}", proxy.id);
        }
    }

    fn sidecar(&mut self, proxy: &Proxy, snapshot: &Snapshot) {
        let reader = Reader::new(snapshot);
        let client = Client::reduce(proxy, &reader);
        let scope = Scope::select(&client, &reader);
        let plan = plan_outbound(&scope, &client, &reader);
        plan.listeners.iter().for_each(|input| self.add(&compile_listener(input)));
        special_clusters(&client, reader.mesh(), scope.outbound_policy)
            .for_each(|cluster| self.add(&cluster.compile()));
        self.routes(plan.routes.iter().map(String::as_str), &scope, &client, &reader);
        self.clusters(proxy, &scope, &client, &reader);
        let inbound = select_inbound(proxy, &client, &reader);
        compile_inbound_listeners(&inbound).iter().for_each(|compiled| self.add(compiled));
        compile_inbound_clusters(&inbound).iter().for_each(|compiled| self.add(compiled));
    }

    fn grpc(&mut self, proxy: &Proxy, snapshot: &Snapshot) {
        let reader = Reader::new(snapshot);
        let client = Client::reduce(proxy, &reader);
        let scope = Scope::select(&client, &reader);
        let inputs = grpc::plan_listeners(&scope, &client);
        inputs.iter().for_each(|input| self.add(&grpc::compile_listener(input)));
        let mut routes: Vec<String> = inputs.iter().map(|input| input.route_name()).collect();
        routes.sort_unstable();
        routes.dedup();
        self.routes(routes.iter().map(String::as_str), &scope, &client, &reader);
        self.clusters(proxy, &scope, &client, &reader);
    }

    fn gateway(&mut self, proxy: &Proxy, snapshot: &Snapshot) {
        let reader = Reader::new(snapshot);
        let client = Client::reduce(proxy, &reader);
        let ports = gateway::select_own_ports(&proxy.addresses, &client, &reader);
        let scope = gateway::select_gateways(&client, &ports, &reader);
        let plan = gateway::plan_gateway(&scope, &client, &reader);
        for input in &plan.listeners {
            self.add(&gateway::compile_gateway_listener(input));
        }
        for name in plan.routes.iter().take(MAX_ROUTES) {
            let input = gateway::select_gateway_route(name, &scope, &client, &reader);
            self.add(&gateway::compile_gateway_route(&input, &mut |host| {
                gateway::compile_gateway_host(host).into()
            }));
        }
    }

    fn routes<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str>,
        scope: &Scope,
        client: &Client,
        reader: &Reader<'_>,
    ) {
        for name in names.take(MAX_ROUTES) {
            let parsed = compile::RouteName::parse(name);
            let parsed = parsed.unwrap_or_else(|| panic!("`{name}` is no name of a route"));
            let input = select_route(&parsed, scope, client, reader);
            assert_eq!(&*input.name, name, "a route goes by the name that was asked for");
            self.add(&compile_route(&input, &mut |host| compile_virtual_host(host).into()));
        }
    }

    fn clusters(&mut self, proxy: &Proxy, scope: &Scope, client: &Client, reader: &Reader<'_>) {
        let place = Place {
            locality: proxy.locality.clone(),
            node_name: proxy.node_name.clone(),
            labels: proxy.labels.clone(),
        };
        for service in &scope.services {
            let rules = select_rules(service, client, reader);
            let subsets = rules.subsets();
            let subsets = std::iter::once("").chain(subsets.iter().map(|(name, _)| &**name));
            for subset in subsets {
                for port in service.ports.iter() {
                    let input = select_cluster(service, port.number, subset, client, reader);
                    let Some(cluster) = compile_cluster(&input) else { continue };
                    self.add(&cluster);
                    if input.is_eds() {
                        let number = port.number;
                        let input =
                            select_endpoints(service, number, subset, client, &place, reader);
                        self.add(&compile_endpoints(&input));
                    }
                }
            }
        }
    }
}
