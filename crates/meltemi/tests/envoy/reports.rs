//! What a proxy reports of its requests to collectors, by the protocol of each.

mod agent;
mod collector;
mod spans;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use envoy::{
    data::accesslog::v3::{HttpAccessLogEntry, TcpAccessLogEntry},
    service::accesslog::v3::{StreamAccessLogsMessage, stream_access_logs_message::LogEntries},
};
use prost::Message;
use testkit::{
    http::{Client, Echo, Receiver, Report, TcpBackend, tcp_exchange},
    ports,
};

use self::spans::{Span, spans};
use crate::shop::{Instance, Shop, ShopSettings, egress, eventually, require, service_on};

const HTTP: u16 = 9411;
const GRPC: u16 = 4317;
const BYTES: u16 = 9000;

/// The provider of each protocol; [`agent`] adds those of an agent.
const PROVIDERS: &str = "extensionProviders:
- {name: zipkin, zipkin: {service: http.shop.svc.cluster.local, port: 9411}}
- {name: zipkin-by-service, zipkin: {service: http.shop.svc.cluster.local, port: 9411, timeout: 5s}}
- name: zipkin-w3c
  zipkin:
    {service: http.shop.svc.cluster.local, port: 9411, traceContextOption: USE_B3_WITH_W3C_PROPAGATION}
- {name: datadog, datadog: {service: http.shop.svc.cluster.local, port: 9411}}
- {name: otlp, opentelemetry: {service: grpc.shop.svc.cluster.local, port: 4317}}
- name: otlp-http
  opentelemetry: {service: http.shop.svc.cluster.local, port: 9411, http: {path: /v1/traces}}
- name: skywalking
  skywalking: {service: grpc.shop.svc.cluster.local, port: 4317, accessToken: secret}
- name: http-als
  envoyHttpAls: {service: grpc.shop.svc.cluster.local, port: 4317, additionalRequestHeadersToLog: [x-mine]}
- {name: tcp-als, envoyTcpAls: {service: grpc.shop.svc.cluster.local, port: 4317}}
";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A shop with a collector for each transport.
struct Observed {
    shop: Shop,
    http: Receiver,
    grpc: Receiver,
}

impl Observed {
    async fn start(yaml: &str, egress: &str) -> Self {
        let http = Receiver::start(ports::loopback_socket(HTTP)).await.unwrap();
        let grpc = Receiver::start(ports::loopback_socket(GRPC)).await.unwrap();
        let yaml = [
            service_on("http", ("http", HTTP), &[instance(http.address())]),
            service_on("grpc", ("grpc", GRPC), &[instance(grpc.address())]),
            yaml.to_owned(),
        ]
        .concat();
        let shop = Shop::start_with(ShopSettings {
            versions: &["v1"],
            yaml: &yaml,
            egress,
            mesh_config: PROVIDERS,
            ..ShopSettings::default()
        });
        Self { shop: shop.await, http, grpc }
    }

    /// Has all requests traced by a provider, and sends some as a part of [`TRACE`] until a span of
    /// one is found.
    async fn span(&self, provider: &str, headers: &[(&str, &str)]) -> (Span, Echo) {
        self.shop.mesh.write("telemetry.yaml", &tracing(provider, 100)).unwrap();
        let client = Client::keep_alive();
        let mut echoes = BTreeMap::new();
        eventually(async || {
            let path = format!("/{provider}-{}", echoes.len());
            let mut request = self.shop.request(&path);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            echoes.insert(path, client.send(&request).await?.echo()?);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let spans = spans(&self.http)?.into_iter().chain(spans(&self.grpc)?);
            let mine = spans.into_iter().find_map(|span| {
                let echo = echoes.iter().find(|(path, _)| span.url().ends_with(*path))?;
                Some((span.clone(), echo.1.clone()))
            });
            mine.context("no span yet").with_context(|| self.shop.envoy.log_tail())
        })
        .await
    }
}

fn instance(address: SocketAddr) -> Instance<'static> {
    Instance { version: "v1", address, node: None }
}

fn telemetry(spec: &str) -> String {
    format!(
        "apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: shop, namespace: shop}}
spec: {spec}
"
    )
}

fn tracing(provider: &str, percent: u32) -> String {
    telemetry(&format!(
        "{{tracing: [{{providers: [{{name: {provider}}}], randomSamplingPercentage: {percent}, \
         customTags: {{team: {{literal: {{value: blue}}}}, \
         mine: {{header: {{name: x-mine, defaultValue: none}}}}}}}}]}}"
    ))
}

fn expect_tags(span: &Span) {
    assert_eq!(span.service, "client.shop", "{span:?}");
    assert_eq!(span.tags["team"], "blue", "{span:?}");
    assert_eq!(span.tags["mine"], "1", "{span:?}");
    assert_eq!(span.tags["istio.canonical_service"], "client", "{span:?}");
    assert_eq!(span.tags["istio.namespace"], "shop", "{span:?}");
}

#[tokio::test]
async fn zipkin_gets_spans() {
    let observed = Observed::start("", "").await;
    let headers =
        [("x-mine", "1"), ("x-b3-traceid", TRACE), ("x-b3-spanid", PARENT), ("x-b3-sampled", "1")];
    for provider in ["zipkin", "zipkin-by-service"] {
        let (span, echo) = observed.span(provider, &headers).await;
        expect_tags(&span);
        assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, PARENT), "{span:?}");
        assert_eq!(echo.headers["x-b3-traceid"], TRACE);
        assert_eq!(echo.headers["x-b3-spanid"], span.id, "the application continues the span");
    }
}

#[tokio::test]
async fn opentelemetry_gets_spans_over_grpc_and_http() {
    let observed = Observed::start("", "").await;
    let context = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("x-mine", "1"), ("traceparent", context.as_str())];
    for (provider, path) in [
        ("otlp", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        ("otlp-http", "/v1/traces"),
    ] {
        let (span, echo) = observed.span(provider, &headers).await;
        expect_tags(&span);
        assert_eq!(span.path, path);
        assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, PARENT), "{span:?}");
        assert_eq!(echo.headers["traceparent"], format!("00-{TRACE}-{}-01", span.id));
    }
}

#[tokio::test]
async fn skywalking_gets_segments() {
    use base64::{Engine, prelude::BASE64_STANDARD as BASE64};

    let observed = Observed::start("", "").await;
    let own = |text: &str| BASE64.encode(text);
    let fields = [TRACE, PARENT].map(own).join("-");
    let rest = ["caller", "caller-1", "/", "web"].map(own).join("-");
    let context = format!("1-{fields}-0-{rest}");
    let headers = [("x-mine", "1"), ("sw8", context.as_str())];
    let (span, echo) = observed.span("skywalking", &headers).await;
    expect_tags(&span);
    assert_eq!(span.token.as_deref(), Some("secret"));
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, PARENT), "{span:?}");
    let passed = format!("1-{}-{}-", own(TRACE), own(&span.id));
    assert!(echo.headers["sw8"].starts_with(&passed), "{:?}", echo.headers);
}

/// A caller that knows W3C's context alone is continued, and the application gets both.
#[tokio::test]
async fn zipkin_goes_on_with_w3cs_context() {
    let observed = Observed::start("", "").await;
    let context = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("x-mine", "1"), ("traceparent", context.as_str())];
    let (span, echo) = observed.span("zipkin-w3c", &headers).await;
    expect_tags(&span);
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, PARENT), "{span:?}");
    assert_eq!(echo.headers["traceparent"], format!("00-{TRACE}-{}-01", span.id));
    assert_eq!((&*echo.headers["x-b3-traceid"], &echo.headers["x-b3-spanid"]), (TRACE, &span.id));
}

#[tokio::test]
async fn datadogs_agent_gets_traces() {
    let observed = Observed::start("", "").await;
    observed.shop.mesh.write("telemetry.yaml", &tracing("datadog", 100)).unwrap();
    let report = eventually(async || {
        observed.shop.get("/dog").await;
        let mut reports = observed.http.reports().into_iter();
        let traces = reports.find(|it| it.path.ends_with("/traces"));
        traces.context("no trace yet").with_context(|| observed.shop.envoy.log_tail())
    })
    .await;
    assert_eq!(report.path, "/v0.4/traces");
    assert_eq!(report.headers["host"], "http.shop.svc.cluster.local");
    assert_eq!(report.headers["content-type"], "application/msgpack");
    for word in ["client.shop", "/dog", "istio.canonical_service", "team"] {
        let found = report.message.windows(word.len()).any(|it| it == word.as_bytes());
        assert!(found, "`{word}` is not in {:?}", report.message);
    }
}

#[tokio::test]
async fn the_share_of_traced_requests_changes_without_the_listener() {
    let observed = Observed::start("", "").await;
    let shop = &observed.shop;
    let changes = r"^listener_manager\.listener_(modified|in_place_updated|added|removed)$";
    let sampling = r"^http\.outbound_.*tracing\.(random_sampling|not_traceable)$";
    shop.mesh.write("telemetry.yaml", &tracing("zipkin", 0)).unwrap();
    // Each request is counted by how it was decided on it, from when the listener traces.
    eventually(async || {
        shop.get("/early").await;
        let counts = shop.envoy.stats(sampling).await?;
        require(counts.values().sum::<u64>() > 0, format!("{counts:?}"))
    })
    .await;
    eventually(async || {
        let runtime = shop.envoy.admin_get("/runtime").await?.text();
        require(runtime.contains("tracing.random_sampling"), runtime)
    })
    .await;
    let before = shop.envoy.stats(changes).await.unwrap();
    for _ in 0..20 {
        shop.get("/unsampled").await;
    }
    shop.mesh.write("telemetry.yaml", &tracing("zipkin", 100)).unwrap();
    let spans = eventually(async || {
        shop.get("/sampled").await;
        let spans = spans(&observed.http)?;
        require(!spans.is_empty(), "no span yet")?;
        Ok::<_, anyhow::Error>(spans)
    })
    .await;
    // Spans are sent in the order in which they were made.
    let urls = spans.iter().map(Span::url);
    let unsampled = urls.filter(|url| url.ends_with("/unsampled"));
    assert_eq!(unsampled.collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!(shop.envoy.stats(changes).await.unwrap(), before);
}

type Entries = (Vec<HttpAccessLogEntry>, Vec<TcpAccessLogEntry>);

fn entries(receiver: &Receiver) -> Result<Entries> {
    entries_of(receiver.reports().iter())
}

fn entries_of<'a>(reports: impl Iterator<Item = &'a Report>) -> Result<Entries> {
    let (mut http, mut tcp) = (Vec::new(), Vec::new());
    for report in reports {
        let path = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
        ensure!(report.path == path, "a report at `{}`", report.path);
        match StreamAccessLogsMessage::decode(report.message.clone())?.log_entries {
            Some(LogEntries::HttpLogs(logs)) => http.extend(logs.log_entry),
            Some(LogEntries::TcpLogs(logs)) => tcp.extend(logs.log_entry),
            None => (),
        }
    }
    Ok((http, tcp))
}

#[tokio::test]
async fn an_access_log_service_gets_entries_of_http_and_tcp() {
    let backend = TcpBackend::start("b", ports::loopback_socket(BYTES)).await.unwrap();
    let bytes = ports::loopback_socket(BYTES);
    let observed = Observed::start(
        &service_on("bytes", ("tcp", BYTES), &[instance(backend.address())]),
        &egress(bytes, "TCP", "bytes.shop.svc.cluster.local"),
    )
    .await;
    let shop = &observed.shop;
    shop.wait_listening(bytes).await;
    let logs = "{accessLogging: [{providers: [{name: http-als}, {name: tcp-als}]}]}";
    shop.mesh.write("telemetry.yaml", &telemetry(logs)).unwrap();
    let (http, tcp) = eventually(async || {
        let request = shop.request("/logged").header("x-mine", "1");
        Client::new().send(&request).await?;
        tcp_exchange(bytes, b"hello", Duration::from_secs(10)).await?;
        let (http, tcp) = entries(&observed.grpc)?;
        require(!http.is_empty() && !tcp.is_empty(), "not both yet")?;
        Ok::<_, anyhow::Error>((http, tcp))
    })
    .await;
    let (request, response) =
        (http[0].request.as_ref().unwrap(), http[0].response.as_ref().unwrap());
    assert_eq!((request.path.as_str(), request.authority.as_str()), ("/logged", "web"));
    assert_eq!(request.request_headers["x-mine"], "1");
    assert_eq!(response.response_code, Some(200));
    let cluster = &http[0].common_properties.as_ref().unwrap().upstream_cluster;
    assert_eq!(cluster, "outbound|7080||web.shop.svc.cluster.local");
    let properties = tcp.iter().filter_map(|entry| entry.common_properties.as_ref());
    let clusters = properties.map(|it| it.upstream_cluster.as_str());
    assert!(clusters.clone().any(|it| it == "outbound|9000||bytes.shop.svc.cluster.local"));
}
