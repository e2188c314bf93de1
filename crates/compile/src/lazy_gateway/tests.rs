//! Calls that take the way through the lazy gateway.

mod caller;
mod detour;
mod relay;

use std::{fmt::Write as _, sync::Arc};

use envoy::config::route::v3::{RouteConfiguration, route::Action, route_action::ClusterSpecifier};
use model::{Locality, Proxy};
use prost::Message as _;
use serde_json::{Map, json};
use snapshot::{Reader, Snapshot};

use crate::{
    Client, Compiled, RouteName, Scope,
    cluster::{compile_cluster, select_cluster},
    compile_route, compile_virtual_host, fixture, select_route,
};

const MESH: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: gateway}}
---
apiVersion: v1
kind: Service
metadata: {name: lazy-gateway, namespace: mesh}
spec: {clusterIP: 10.0.0.9, ports: [{name: lazy, port: 15080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: bank}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}, {name: grpc, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: vault, namespace: bank, annotations: {networking.istio.io/exportTo: 'bank,shop'}}
spec: {clusterIP: 10.0.0.3, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: data}
spec: {clusterIP: 10.0.0.4, ports: [{name: tcp-store, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: ruled, namespace: bank}
spec: {clusterIP: 10.0.0.5, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ruled, namespace: shop}
spec:
  hosts: [ruled.bank.svc.cluster.local]
  exportTo: ['.']
  http: [{route: [{destination: {host: pay.bank.svc.cluster.local}}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec:
  hosts: [api.example.com]
  resolution: DNS
  ports: [{name: http, number: 80, protocol: HTTP}]
";

fn caller() -> Proxy {
    Proxy { retries_elsewhere: true, ..fixture::proxy("shop") }
}

fn gateway() -> Proxy {
    let labels = json!({"meltemi.io/role": "lazy-gateway"});
    let metadata = Map::from_iter([("LABELS".to_owned(), labels)]);
    let id = "router~10.9.9.1~lazy-gateway-1.mesh~mesh.svc.cluster.local";
    Proxy::parse(id, metadata, Locality::default()).expect("the id is valid")
}

/// The class of a proxy, and what it is told of before its first call.
fn told(proxy: &Proxy, snapshot: &Snapshot) -> (Client, Arc<Scope>) {
    fixture::told(proxy, snapshot, &[])
}

fn route(proxy: &Proxy, snapshot: &Snapshot, name: &str) -> String {
    let (client, scope) = told(proxy, snapshot);
    let reader = Reader::new(snapshot);
    let name = RouteName::parse(name).expect("the name is valid");
    let input = select_route(&name, &scope, &client, &reader);
    render(&compile_route(&input, &mut |host| Arc::new(compile_virtual_host(host))))
}

fn render(compiled: &Compiled) -> String {
    let config = RouteConfiguration::decode(compiled.resource.decode_bytes()).unwrap();
    let mut out = String::new();
    for host in &config.virtual_hosts {
        let action = match &host.routes[0].action {
            Some(Action::Route(action)) => match &action.cluster_specifier {
                Some(ClusterSpecifier::Cluster(name)) => name.clone(),
                other => format!("{other:?}"),
            },
            Some(Action::DirectResponse(response)) => response.status.to_string(),
            other => format!("{other:?}"),
        };
        let mut headers = Vec::new();
        for header in &host.routes[0].request_headers_to_add {
            let header = header.header.as_ref().unwrap();
            headers.push(format!(" {}={}", header.key, header.value));
        }
        let domains = host.domains.join(" ");
        writeln!(out, "{} [{domains}] -> {action}{}", host.name, headers.concat()).unwrap();
    }
    writeln!(out, "clusters: {}", compiled.clusters.join(" ")).unwrap();
    out
}

fn cluster(proxy: &Proxy, snapshot: &Snapshot, host: &str, port: u16) -> String {
    let (client, scope) = told(proxy, snapshot);
    let service = scope.service(&host.into()).expect("it is told of it");
    let input = select_cluster(service, port, "", &client, &Reader::new(snapshot));
    fixture::render(&compile_cluster(&input).unwrap().resource)
}
