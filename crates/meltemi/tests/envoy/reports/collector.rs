//! Spans and log entries of two proxies through the real OpenTelemetry collector: what arrives
//! behind it is what it could read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context, Result};
use envoy::opentelemetry::proto::{
    collector::logs::v1::ExportLogsServiceRequest, common::v1::KeyValue,
};
use prost::Message;
use testkit::{
    EnvoyProcess, OtelCollector,
    http::{Backend, Client, Receiver, Request},
    mesh::ProxySettings,
    ports,
};

use super::{
    instance,
    spans::{Span, attributes, hex, otlp},
    telemetry,
};
use crate::{
    inbound::ingress,
    shop::{PORT, Shop, ShopSettings, eventually, require, service, service_on},
};

const PROVIDERS: &str = "extensionProviders:
- {name: grpc, opentelemetry: {service: grpc.shop.svc.cluster.local, port: 4317}}
- name: http
  opentelemetry: {service: http.shop.svc.cluster.local, port: 4318, http: {path: /v1/traces}}
- name: log
  envoyOtelAls:
    service: grpc.shop.svc.cluster.local
    port: 4317
    logName: mine
    logFormat: {text: '%REQ(:PATH)%', labels: {code: '%RESPONSE_CODE%', to: '%UPSTREAM_CLUSTER_RAW%'}}
";
const TRACES: &str = "/v1/traces";
const LOGS: &str = "/v1/logs";

/// A client and `stock`, each behind a sidecar, and the collector to which both report.
struct Watched {
    shop: Shop,
    _stock: EnvoyProcess,
    stock_address: SocketAddr,
    _application: Backend,
    collector: OtelCollector,
    sink: Receiver,
}

impl Watched {
    async fn start() -> Self {
        let sink = Receiver::start(ports::loopback_socket(PORT)).await.unwrap();
        let collector = OtelCollector::start(sink.address()).await.unwrap();
        let application = Backend::start("stock").await.unwrap();
        let address = ports::loopback_socket(PORT);
        let yaml = [
            service_on("grpc", ("grpc", collector.grpc.port()), &[instance(collector.grpc)]),
            service_on("http", ("http", collector.http.port()), &[instance(collector.http)]),
            service("stock", &[instance(address)]),
            ingress(address, application.address()),
        ]
        .concat();
        let settings =
            ShopSettings { yaml: &yaml, mesh_config: PROVIDERS, ..ShopSettings::default() };
        let shop = Shop::start_with(settings).await;
        let proxy = ProxySettings { address: address.ip(), ..ProxySettings::sidecar("stock.shop") };
        let stock = shop.mesh.proxy(&proxy).await.unwrap();
        shop.wait_listening(address).await;
        Self {
            shop,
            _stock: stock,
            stock_address: address,
            _application: application,
            collector,
            sink,
        }
    }

    fn request(&self, path: &str) -> Request {
        Request::get(self.shop.address, "stock", path).header("x-mine", "1")
    }

    /// Sends requests until what `find` looks for has arrived. Every answer must be a good one.
    async fn until<T>(&self, word: &str, mut find: impl FnMut(&Receiver) -> Result<T>) -> T {
        let client = Client::keep_alive();
        let mut number = 0;
        eventually(async || {
            number += 1;
            let answer = client.send(&self.request(&format!("/{word}-{number}"))).await?;
            assert!(answer.status.is_success(), "{}", answer.status);
            tokio::time::sleep(Duration::from_millis(100)).await;
            find(&self.sink).with_context(|| self.collector.log())
        })
        .await
    }
}

/// The spans of one request on both sides: the client's, and the server's.
fn pair(sink: &Receiver, word: &str) -> Result<(Span, Span)> {
    let spans = all_spans(sink)?;
    let of = |service: &'static str| {
        spans.iter().filter(move |it| it.service == service && it.url().contains(word))
    };
    let pairs = of("client.shop").find_map(|client| {
        let server = of("stock.shop").find(|server| server.url() == client.url())?;
        Some((client.clone(), server.clone()))
    });
    pairs.context("no request has both spans yet")
}

fn all_spans(sink: &Receiver) -> Result<Vec<Span>> {
    let reports = sink.reports();
    let spans = reports.iter().filter(|it| it.path == TRACES).map(otlp);
    Ok(spans.collect::<Result<Vec<_>>>()?.concat())
}

#[tokio::test]
async fn spans_of_both_sides_are_one_trace() {
    let watched = Watched::start().await;
    for provider in ["grpc", "http"] {
        watched.shop.mesh.write("telemetry.yaml", &super::tracing(provider, 100)).unwrap();
        let (client, server) = watched.until(provider, |sink| pair(sink, provider)).await;
        assert_eq!(client.trace, server.trace);
        assert_eq!(client.id, server.parent, "the server's span continues the client's");
        for (span, name) in [(&client, "client"), (&server, "stock")] {
            assert_eq!(span.tags["team"], "blue", "{span:?}");
            assert_eq!(span.tags["mine"], "1", "{span:?}");
            assert_eq!(span.tags["istio.canonical_service"], name, "{span:?}");
            assert_eq!(span.tags["http.status_code"], "200", "{span:?}");
        }
        let cluster = "outbound|7080||stock.shop.svc.cluster.local";
        assert_eq!(client.tags["upstream_cluster"], cluster, "{client:?}");
    }
}

/// A share is the workload's own: what its callers do not trace, it may.
#[tokio::test]
async fn one_workload_traces_more_than_its_namespace() {
    let watched = Watched::start().await;
    let own = "{selector: {matchLabels: {app: stock}}, tracing: [{randomSamplingPercentage: 100}]}";
    let objects = super::tracing("grpc", 0)
        + "---\n"
        + &telemetry(own).replace("{name: shop", "{name: stock");
    watched.shop.mesh.write("telemetry.yaml", &objects).unwrap();
    let client = Client::keep_alive();
    let direct = |path: &str| Request::get(watched.stock_address, "stock", path);
    eventually(async || {
        client.send(&watched.request("/through")).await?;
        client.send(&direct("/direct")).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let spans = all_spans(&watched.sink)?;
        require(spans.iter().any(|it| it.url().ends_with("/direct")), format!("{spans:?}"))
    })
    .await;
    let spans = all_spans(&watched.sink).unwrap();
    let services: BTreeSet<&str> = spans.iter().map(|it| it.service.as_str()).collect();
    assert_eq!(services, BTreeSet::from(["stock.shop"]), "the client traces nothing");
}

/// An entry of a log.
#[derive(Debug)]
struct Entry {
    node: String,
    log: String,
    body: String,
    labels: BTreeMap<String, String>,
    trace: String,
}

fn entries(sink: &Receiver) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for report in sink.reports().into_iter().filter(|it| it.path == LOGS) {
        for group in ExportLogsServiceRequest::decode(report.message)?.resource_logs {
            let resource = attributes(group.resource.unwrap_or_default().attributes);
            let of = |name: &str| resource.get(name).cloned().unwrap_or_default();
            for record in group.scope_logs.into_iter().flat_map(|it| it.log_records) {
                let body = KeyValue { key: String::new(), value: record.body };
                entries.push(Entry {
                    node: of("node_name"),
                    log: of("log_name"),
                    body: attributes(vec![body]).remove("").unwrap_or_default(),
                    labels: attributes(record.attributes),
                    trace: hex(&record.trace_id),
                });
            }
        }
    }
    Ok(entries)
}

#[tokio::test]
async fn log_entries_of_both_sides_arrive_with_their_labels() {
    let watched = Watched::start().await;
    let spec = "{accessLogging: [{providers: [{name: log}]}], \
                tracing: [{providers: [{name: grpc}], randomSamplingPercentage: 100}]}";
    watched.shop.mesh.write("telemetry.yaml", &telemetry(spec)).unwrap();
    let find = |sink: &Receiver| {
        let (spans, entries) = (all_spans(sink)?, entries(sink)?);
        let of = |node: &str, traces: &str| {
            let is_known = |it: &&Entry| spans.iter().any(|span| span.trace == it.trace);
            let mut found = entries.iter().filter(|it| it.node.contains(node)).filter(is_known);
            found
                .next()
                .map(|it| (it.body.clone(), it.log.clone(), it.labels.clone()))
                .context(format!("no entry of {node} in a trace of {traces} yet: {entries:?}"))
        };
        Ok((of("client.shop", "client")?, of("stock.shop", "stock")?))
    };
    let (client, server) = watched.until("logged", find).await;
    for (body, log, labels) in [&client, &server] {
        assert!(body.starts_with("/logged-"), "{body}");
        assert_eq!(log, "mine");
        assert_eq!(labels["code"], "200");
    }
    assert_eq!(client.2["to"], "outbound|7080||stock.shop.svc.cluster.local");
    assert_eq!(server.2["to"], "inbound|7080||");
}

/// What is made while nobody takes it may be lost; no request fails for it, and what arrives later
/// is whole, and arrives once.
#[tokio::test]
async fn a_collector_may_go_and_come_back() {
    let mut watched = Watched::start().await;
    watched.shop.mesh.write("telemetry.yaml", &super::tracing("grpc", 100)).unwrap();
    watched.until("before", |sink| pair(sink, "before")).await;
    watched.collector.kill();
    let before = all_spans(&watched.sink).unwrap().len();
    let client = Client::keep_alive();
    for number in 0..20 {
        let answer = client.send(&watched.request(&format!("/down-{number}"))).await.unwrap();
        assert!(answer.status.is_success(), "{}", answer.status);
    }
    watched.collector.restart().await.unwrap();
    watched.until("after", |sink| pair(sink, "after")).await;
    let spans = all_spans(&watched.sink).unwrap();
    assert!(spans.len() > before);
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "a span came twice");
    for span in &spans {
        let path = span.url().rsplit('/').next().unwrap_or_default();
        let word = path.split('-').next().unwrap_or_default();
        assert!(["before", "down", "after"].contains(&word), "{span:?}");
        assert!(["client.shop", "stock.shop"].contains(&span.service.as_str()), "{span:?}");
    }
}
