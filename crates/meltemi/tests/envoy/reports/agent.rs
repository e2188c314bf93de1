//! Reports to the agent on the proxy's own machine, which the bootstrap knows as `$(HOST_IP)`.

use std::time::Duration;

use anyhow::Result;
use envoy::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use testkit::{
    http::{Receiver, TcpBackend, tcp_exchange},
    mesh::ProxySettings,
    ports,
};

use super::{BYTES, HTTP, entries_of, instance, spans::spans, telemetry, tracing};
use crate::shop::{Shop, ShopSettings, egress, eventually, require, service_on};

const PROVIDERS: &str = "extensionProviders:
- {name: zipkin, zipkin: {service: $(HOST_IP), port: 9411}}
- {name: otlp, opentelemetry: {service: $(HOST_IP), port: 9411}}
- {name: http-als, envoyHttpAls: {service: $(HOST_IP), port: 9411}}
- {name: tcp-als, envoyTcpAls: {service: $(HOST_IP), port: 9411}}
- {name: otel-als, envoyOtelAls: {service: $(HOST_IP), port: 9411, logFormat: {text: 'to %REQ(:PATH)%'}}}
";

/// A shop whose client has an agent on its machine.
async fn start(yaml: &str, egress: &str) -> (Shop, Receiver) {
    let agent = Receiver::start(ports::loopback_socket(HTTP)).await.unwrap();
    let mut proxy = ProxySettings::sidecar("client.shop");
    proxy.node_agent = Some(agent.address());
    let shop = Shop::start_with(ShopSettings {
        versions: &["v1"],
        yaml,
        egress,
        mesh_config: PROVIDERS,
        proxy: Some(proxy),
        ..ShopSettings::default()
    });
    (shop.await, agent)
}

#[tokio::test]
async fn it_gets_spans_over_both_transports() {
    let (shop, agent) = start("", "").await;
    for (provider, path) in [
        ("zipkin", "/api/v2/spans"),
        ("otlp", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
    ] {
        shop.mesh.write("telemetry.yaml", &tracing(provider, 100)).unwrap();
        eventually(async || {
            shop.get("/").await;
            let arrived = spans(&agent)?.iter().any(|span| span.path == path);
            require(arrived, shop.envoy.log_tail())
        })
        .await;
    }
    eventually(async || shop.mesh.expect_synced(1).await).await;
}

#[tokio::test]
async fn it_gets_log_entries_of_each_kind() {
    let backend = TcpBackend::start("b", ports::loopback_socket(BYTES)).await.unwrap();
    let bytes = ports::loopback_socket(BYTES);
    let (shop, agent) = start(
        &service_on("bytes", ("tcp", BYTES), &[instance(backend.address())]),
        &egress(bytes, "TCP", "bytes.shop.svc.cluster.local"),
    )
    .await;
    shop.wait_listening(bytes).await;
    let logs =
        "{accessLogging: [{providers: [{name: http-als}, {name: tcp-als}, {name: otel-als}]}]}";
    shop.mesh.write("telemetry.yaml", &telemetry(logs)).unwrap();
    let service = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
    eventually(async || {
        shop.get("/logged").await;
        tcp_exchange(bytes, b"hello", Duration::from_secs(10)).await?;
        let reports = agent.reports();
        let (http, tcp) = entries_of(reports.iter().filter(|it| it.path == service))?;
        let otel = reports.iter().filter(|it| it.path.ends_with("LogsService/Export"));
        let otel = otel.map(|it| Ok(ExportLogsServiceRequest::decode(it.message.clone())?));
        let otel: Vec<ExportLogsServiceRequest> = otel.collect::<Result<_>>()?;
        let counts = (http.len(), tcp.len(), otel.len());
        require(counts.0 > 0 && counts.1 > 0 && counts.2 > 0, format!("{counts:?}"))?;
        let path = http[0].request.as_ref().map(|it| it.path.as_str());
        require(path == Some("/logged"), format!("{path:?}"))?;
        require(format!("{otel:?}").contains("to /logged"), format!("{otel:?}"))
    })
    .await;
    eventually(async || shop.mesh.expect_synced(1).await).await;
}
