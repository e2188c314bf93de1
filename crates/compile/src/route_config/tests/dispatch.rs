//! Where requests for unknown hosts are dispatched to.

use std::fmt::Write;

use api::slime::lazyload::LazyloadSettings;
use envoy::{
    config::route::v3::{VirtualHost, route::Action, route_action::ClusterSpecifier},
    json::{FieldNames, typed_to_json},
};
use expect_test::expect;
use prost::Message;
use serde_json::json;
use snapshot::{Change, Features, FencingSettings, Index, Reader};

use super::golden::{compile, decode};
use crate::{Client, RouteInput, RouteName, Scope, fixture, select_route, unknown_host};

const MESH: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: learned}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
";

fn index() -> Index {
    let settings: LazyloadSettings = serde_json::from_value(json!({"dispatches": [
        {"name": "rest", "domainRegex": ".*\\.example", "cluster": "_GLOBAL_SIDECAR"},
        {"name": "all", "domains": ["*"], "cluster": "PassthroughCluster"},
        {"name": "sites", "domains": ["*.org", "www.example.com", "api.*", "*.site.org"],
         "cluster": "outbound|80||edge.infra.svc.cluster.local"},
    ]}))
    .unwrap();
    let (objects, _) = api::parse_documents("mesh.yaml", MESH.as_bytes());
    let (fencing, _) = FencingSettings::convert(&settings);
    let index = Index::new(Default::default(), Features::default(), "cluster.local");
    let mut index = index.with_fencing(fencing);
    index.apply(objects.into_iter().map(Change::Put));
    index
}

fn render(host: &VirtualHost) -> String {
    let mut out = format!("{} {}\n", host.name, host.domains.join(" "));
    for route in &host.routes {
        let found = typed_to_json(route.r#match.as_ref().unwrap(), FieldNames::Proto);
        let authority = found["headers"][0]["string_match"]["safe_regex"]["regex"].as_str();
        let action = match &route.action {
            Some(Action::Route(action)) => match &action.cluster_specifier {
                Some(ClusterSpecifier::Cluster(name)) => name.clone(),
                other => format!("{other:?}"),
            },
            other => format!("{other:?}"),
        };
        writeln!(out, "  {} -> {action}", authority.unwrap_or("all")).unwrap();
    }
    out
}

#[test]
fn dispatches_come_before_what_is_done_with_all_others() {
    let snapshot = index().snapshot();
    let client = Client::reduce(&fixture::proxy("shop"), &Reader::new(&snapshot));
    let compiled = compile(&snapshot, &client, "80");
    let last = decode(&compiled).virtual_hosts.pop().unwrap();
    let text = format!("{}clusters: {}\n", render(&last), compiled.clusters.join(" "));
    expect![[r#"
        allow_any *
          (?i)www\.example\.com(:[0-9]+)? -> outbound|80||edge.infra.svc.cluster.local
          (?i).+\.site\.org(:[0-9]+)? -> outbound|80||edge.infra.svc.cluster.local
          (?i).+\.org(:[0-9]+)? -> outbound|80||edge.infra.svc.cluster.local
          (?i)api\..+(:[0-9]+)? -> outbound|80||edge.infra.svc.cluster.local
          .* -> PassthroughCluster
          .*\.example -> PassthroughCluster
          all -> PassthroughCluster
        clusters: PassthroughCluster outbound|80||edge.infra.svc.cluster.local outbound|80||web.shop.svc.cluster.local
    "#]].assert_eq(&text);
    // Who is not fenced is not concerned.
    let other = Client::reduce(&fixture::proxy("other"), &Reader::new(&snapshot));
    let last = decode(&compile(&snapshot, &other, "80")).virtual_hosts.pop().unwrap();
    expect![[r#"
        allow_any *
          all -> PassthroughCluster
    "#]]
    .assert_eq(&render(&last));
}

#[test]
fn answers_about_unknown_hosts_dispatch_as_well() {
    let snapshot = index().snapshot();
    let reader = Reader::new(&snapshot);
    let client = Client::reduce(&fixture::proxy("shop"), &reader);
    let scope = Scope::select(&client, &reader);
    let input: RouteInput = select_route(&RouteName::OnDemand(80), &scope, &client, &reader);
    let answer = unknown_host(&input, "*.com").unwrap();
    let host = VirtualHost::decode(answer.resource.decode_bytes()).unwrap();
    assert_eq!(host.routes.len(), 7);
    let edge = "outbound|80||edge.infra.svc.cluster.local";
    assert_eq!(answer.clusters, ["PassthroughCluster".into(), edge.into()]);
    let waits = |route: &&envoy::config::route::v3::Route| match &route.action {
        Some(Action::Route(action)) => action.idle_timeout.as_ref().is_none_or(|it| it.seconds > 0),
        _ => false,
    };
    assert_eq!(host.routes.iter().filter(waits).count(), 0, "the limit of the wait is lifted");
}
