//! A real Prometheus with the configuration of `examples/prometheus`: what it reads of two sidecars
//! and of the control plane, and what the questions of dashboards are answered with.
//!
//! Rates are compared with each other: what Prometheus adds at the ends of a window is the same
//! for all series of a target.

use std::{fs, time::Duration};

use anyhow::Result;
use expect_test::{Expect, expect};
use testkit::{
    EnvoyProcess,
    http::{Behaviour, Request},
    ports,
    prometheus::{CONFIG, Prometheus, test_rules},
    tools::workspace_root,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    mtls::{ANY_GRPC, GREETED, HTTP, Pair, PairSettings, TCP},
    shop::{eventually, require, send},
};

/// What a slow answer takes; the histograms have a bound at 500 and at 1000.
const SLOW: Duration = Duration::from_millis(600);

fn example(name: &str) -> String {
    let path = workspace_root().join("examples").join("prometheus").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The example with these targets in place of those that Kubernetes names: what discovery would
/// say of each is written down, so that the rules that look at it work as they would there.
fn config(proxies: [(&str, u16); 2], control_plane: &str) -> String {
    let target = |address: &str, labels: &[(&str, &str)]| {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{{targets: ['{address}'], labels: {{{}}}}}", labels.join(", "))
    };
    let pods = proxies.map(|(name, port)| {
        let pod = [
            ("__meta_kubernetes_pod_container_port_name", "http-envoy-prom"),
            ("__meta_kubernetes_namespace", "shop"),
            ("__meta_kubernetes_pod_name", name),
            ("__meta_kubernetes_pod_label_app", name),
        ];
        target(&format!("127.0.0.1:{port}"), &pod)
    });
    // Another port of the same pod, which is not scraped.
    let other = target("127.0.0.1:1", &[("__meta_kubernetes_pod_container_port_name", "http")]);
    let service = [
        ("__meta_kubernetes_service_name", "meltemi"),
        ("__meta_kubernetes_endpoint_port_name", "http-monitoring"),
    ];
    let mut scrape = example("scrape.yaml");
    for (role, targets) in [
        ("pod", format!("{}, {other}", pods.join(", "))),
        ("endpoints", target(control_plane, &service)),
    ] {
        let discovery = format!("kubernetes_sd_configs: [{{role: {role}}}]");
        assert!(scrape.contains(&discovery), "{role}");
        scrape = scrape.replace(&discovery, &format!("static_configs: [{targets}]"));
    }
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yaml]\n{scrape}"
    )
}

/// A pair of sidecars, and who watches it.
struct Watched {
    pair: Pair,
    prometheus: Prometheus,
}

impl Watched {
    /// Every kind of request is made once before Prometheus looks: it sees no growth in a series
    /// that appears.
    async fn start() -> Self {
        let stats_ports = (ports::free_port(), ports::free_port());
        let pair = Pair::start_with(PairSettings {
            mesh_config: "defaultProviders: {metrics: [prometheus]}",
            stats_ports: Some(stats_ports),
            ..PairSettings::default()
        })
        .await;
        calls(&pair, 1).await;
        for envoy in [&pair.sidecar, &pair.server] {
            eventually(async || {
                let text = envoy.admin_get("/stats/prometheus").await?.text();
                let name = "istio_request_duration_milliseconds_count{";
                let counts = text.lines().filter(|line| line.starts_with(name));
                let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
                require(counts.sum::<u64>() == 5, "the histograms have not been written")
            })
            .await;
        }
        let (client, server) = stats_ports;
        let proxies = [("client", client), ("web", server)];
        let config = config(proxies, &pair.mesh.admin_address().to_string());
        let rules = example("rules.yaml");
        let files = [(CONFIG, config.as_str()), ("rules.yaml", &rules)];
        let watched = Self { prometheus: Prometheus::start(&files).await.unwrap(), pair };
        watched.until("sum by (reporter) (istio_requests_total)", 5.0, 2).await;
        watched
    }

    /// Waits until each of `count` series has this value.
    async fn until(&self, expression: &str, value: f64, count: usize) {
        eventually(async || {
            let samples = self.prometheus.query(expression).await?;
            let all = samples.len() == count && samples.iter().all(|it| it.value == value);
            require(all, format!("`{expression}` is {samples:?}"))
        })
        .await;
    }

    /// Every target is read, every rule evaluated.
    async fn expect_healthy(&self) {
        let targets = self.prometheus.get("/api/v1/targets?state=active").await.unwrap();
        let targets = targets["activeTargets"].as_array().unwrap();
        assert_eq!(targets.len(), 3, "{targets:?}");
        assert!(targets.iter().all(|target| target["health"] == "up"), "{targets:?}");
        let groups = self.prometheus.get("/api/v1/rules").await.unwrap();
        let groups = groups["groups"].as_array().unwrap();
        let rules: Vec<_> =
            groups.iter().flat_map(|it| it["rules"].as_array().into_iter().flatten()).collect();
        assert!(!rules.is_empty());
        assert!(rules.iter().all(|rule| rule["health"] == "ok"), "{rules:?}");
    }

    /// Compares the labels and values of an answer.
    async fn check(&self, expression: &str, expected: Expect) {
        let samples = self.prometheus.query(expression).await.unwrap();
        let lines = samples.iter().map(|sample| {
            let labels: Vec<String> =
                sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} = {}\n", labels.join(" "), sample.value)
        });
        expected.assert_eq(&lines.collect::<String>());
    }
}

/// Three requests that are answered at once for one that fails slowly, a call of gRPC and a
/// connection of bytes, and all of it `times` over.
async fn calls(pair: &Pair, times: usize) {
    for _ in 0..times {
        for _ in 0..3 {
            assert_eq!(send(&pair.request(HTTP)).await.status, 200);
        }
        pair.http.set_behaviour(Behaviour { delay: SLOW, ..Behaviour::status(500) });
        assert_eq!(send(&pair.request(HTTP)).await.status, 500);
        pair.http.set_behaviour(Behaviour::answer());
        let address = (pair.client, ANY_GRPC).into();
        let answer = send(&Request::grpc(address, "web", "/shop.Web/Say", b"hello")).await;
        assert_eq!(answer.grpc_status(), Some(0), "{answer:?}");
        assert_eq!(pair.bytes_through(pair.client, TCP).await.unwrap(), GREETED);
    }
}

/// Kiali's graph, without what is the same for all.
const GRAPH: &str = "round(1000 * sum by (reporter, source_workload_namespace, source_workload, \
    source_canonical_service, source_canonical_revision, destination_service_namespace, \
    destination_service, destination_service_name, destination_workload_namespace, \
    destination_workload, destination_canonical_service, destination_canonical_revision, \
    request_protocol, response_code, grpc_response_status, response_flags) \
    (rate(istio_requests_total[5m])) / on (reporter) group_left () sum by (reporter) \
    (rate(istio_requests_total[5m])))";

#[tokio::test]
async fn dashboards_find_what_they_ask_for() {
    let watched = Watched::start().await;
    calls(&watched.pair, 3).await;
    // A change that goes to a proxy, for the figures of the control plane.
    let rule = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{timeout: 9s, route: [{destination: {host: web}}]}]}
";
    watched.pair.mesh.write("rule.yaml", rule).unwrap();
    watched.until("sum by (reporter) (istio_requests_total)", 20.0, 2).await;
    let durations = "sum by (reporter) (istio_request_duration_milliseconds_count)";
    watched.until(durations, 20.0, 2).await;
    watched.check(GRAPH, expect![[r#"
        destination_canonical_revision=latest destination_canonical_service=web destination_service=web.shop destination_service_name=web.shop destination_service_namespace=shop destination_workload=web-1 destination_workload_namespace=shop grpc_response_status=0 reporter=destination request_protocol=grpc response_code=200 response_flags=- source_canonical_revision=unknown source_canonical_service=unknown source_workload=unknown source_workload_namespace=shop = 200
        destination_canonical_revision=latest destination_canonical_service=web destination_service=web.shop destination_service_name=web.shop destination_service_namespace=shop destination_workload=web-1 destination_workload_namespace=shop reporter=destination request_protocol=http response_code=200 response_flags=- source_canonical_revision=unknown source_canonical_service=unknown source_workload=unknown source_workload_namespace=shop = 600
        destination_canonical_revision=latest destination_canonical_service=web destination_service=web.shop destination_service_name=web.shop destination_service_namespace=shop destination_workload=web-1 destination_workload_namespace=shop reporter=destination request_protocol=http response_code=500 response_flags=- source_canonical_revision=unknown source_canonical_service=unknown source_workload=unknown source_workload_namespace=shop = 200
        destination_canonical_revision=latest destination_canonical_service=web destination_service=web.shop.svc.cluster.local destination_service_name=web destination_service_namespace=shop destination_workload=web-1 destination_workload_namespace=shop grpc_response_status=0 reporter=source request_protocol=grpc response_code=200 response_flags=- source_canonical_revision=latest source_canonical_service=client source_workload=client-1 source_workload_namespace=shop = 200
        destination_canonical_revision=latest destination_canonical_service=web destination_service=web.shop.svc.cluster.local destination_service_name=web destination_service_namespace=shop destination_workload=web-1 destination_workload_namespace=shop reporter=source request_protocol=http response_code=200 response_flags=- source_canonical_revision=latest source_canonical_service=client source_workload=client-1 source_workload_namespace=shop = 600
        destination_canonical_revision=latest destination_canonical_service=web destination_service=web.shop.svc.cluster.local destination_service_name=web destination_service_namespace=shop destination_workload=web-1 destination_workload_namespace=shop reporter=source request_protocol=http response_code=500 response_flags=- source_canonical_revision=latest source_canonical_service=client source_workload=client-1 source_workload_namespace=shop = 200
    "#]]).await;
    let web = "destination_service='web.shop.svc.cluster.local'";
    for (expression, lowest, highest) in [
        // Istio's own dashboards: the share of requests that succeed, and what is carried.
        (
            format!(
                "sum(rate(istio_requests_total{{reporter='source', {web}, \
                 response_code!~'5.*'}}[5m])) \
                 / sum(rate(istio_requests_total{{reporter='source', {web}}}[5m]))"
            ),
            0.8,
            0.8,
        ),
        ("sum(istio_tcp_received_bytes_total{reporter='source'})".to_owned(), 24.0, 24.0),
        ("sum(istio_tcp_received_bytes_total{reporter='destination'})".to_owned(), 24.0, 24.0),
        (format!("service:istio_request_errors:ratio5m{{{web}}}"), 0.2, 0.2),
        (format!("service:istio_request_duration_milliseconds:p99_5m{{{web}}}"), 500.0, f64::MAX),
        (
            "histogram_quantile(0.5, sum by (le) (rate(istio_request_duration_milliseconds_bucket\
             {reporter='destination', destination_workload='web-1'}[5m])))"
                .to_owned(),
            0.0,
            500.0,
        ),
        (
            "sum(workload:istio_requests:rate5m{destination_workload='web-1', response_code='500'})\
             / sum(workload:istio_requests:rate5m{destination_workload='web-1'})"
                .to_owned(),
            0.2,
            0.2,
        ),
        (format!("sum(istio_request_messages_total{{reporter='source', {web}}})"), 4.0, 4.0),
        ("sum(istio_response_messages_total{reporter='destination'})".to_owned(), 4.0, 4.0),
        ("sum(pilot_xds)".to_owned(), 2.0, 2.0),
        ("mesh:pilot_proxy_convergence_time:p99_5m".to_owned(), 0.0, 30.0),
        ("mesh:meltemi_proxy_live_seconds:p99_5m".to_owned(), 0.0, 30.0),
    ] {
        eventually(async || {
            let value = watched.prometheus.value(&expression).await?;
            let near = (lowest - 1e-6..=highest + 1e-6).contains(&value);
            require(near, format!("`{expression}` is {value}"))
        })
        .await;
    }
    watched.expect_healthy().await;
    // What is asked for learning. The caller's series alone count, of requests and of bytes.
    let calls = scope::usual_query().replace("$range", "300s");
    let calls = format!(
        "count by (source_workload_namespace, source_workload, destination_service) ({calls})"
    );
    watched.check(&calls, expect![[r#"
        destination_service=web.shop.svc.cluster.local source_workload=client-1 source_workload_namespace=shop = 1
    "#]]).await;
    // Envoy's own metrics, of which only some are made: who calls whom, and with what success.
    let own = "sum by (app, destination_service, response_code_class) \
               (envoy_cluster_upstream_rq{app='client', cluster_name=~'outbound.+'}) > 0";
    watched
        .check(
            own,
            expect![[r#"
        app=client destination_service=web.shop.svc.cluster.local response_code_class=2xx = 16
        app=client destination_service=web.shop.svc.cluster.local response_code_class=5xx = 4
    "#]],
        )
        .await;
    let tails = watched
        .prometheus
        .query("count(envoy_cluster_membership_total{destination_service!=''})")
        .await
        .unwrap();
    assert_eq!(tails, []);
}

/// The caller counts a connection while it is open, or it would be missing for as long as it lasts.
#[tokio::test]
async fn open_connections_are_counted_once() {
    let pair = Pair::start_with(PairSettings {
        mesh_config: "accessLogFile: /dev/stdout\ndefaultProviders: {metrics: [prometheus]}",
        ..PairSettings::default()
    })
    .await;
    let counted = async |envoy: &EnvoyProcess| -> Result<[u64; 2]> {
        let text = envoy.admin_get("/stats/prometheus").await?.text();
        Ok(["opened", "closed"].map(|what| {
            let name = format!("istio_tcp_connections_{what}_total{{");
            let lines = text.lines().filter(|line| line.starts_with(&name));
            // The server is also asked by somebody without a sidecar whether it listens.
            let own = lines.filter(|line| line.contains("sa/client"));
            own.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        }))
    };
    // The called side knows who calls only after it has connected, and counts at the end.
    let both = [&pair.sidecar, &pair.server];
    let mut before = Vec::new();
    for envoy in both {
        // Those who waited for the listeners have gone.
        before.push(
            eventually(async || {
                let [opened, closed] = counted(envoy).await?;
                require(opened > 0 && opened == closed, format!("{opened}, {closed}"))?;
                Ok::<_, anyhow::Error>(opened)
            })
            .await,
        );
    }
    let expect = async |further: [[u64; 2]; 2]| {
        for ((envoy, before), further) in both.iter().zip(&before).zip(further) {
            eventually(async || {
                let counts = counted(envoy).await?;
                require(counts == further.map(|it| before + it), format!("{before}, {counts:?}"))
            })
            .await;
        }
    };
    let mut stream = TcpStream::connect((pair.client, TCP)).await.unwrap();
    stream.write_all(b"\0hello").await.unwrap();
    let mut answer = vec![0; GREETED.len()];
    stream.read_exact(&mut answer).await.unwrap();
    expect([[1, 0], [0, 0]]).await;
    drop(stream);
    expect([[1, 1], [1, 1]]).await;
    // The file has a line for each connection, and none for its beginning.
    eventually(async || {
        let lines = pair.sidecar.stdout();
        let lines = lines.lines().filter(|it| it.contains("|9000||") || it.contains("|9001||"));
        let count = lines.count() as u64;
        require(count == before[0] + 1, format!("{count} lines"))
    })
    .await;
}

/// The limit of series, which listeners have much higher: what is cut is seen.
#[tokio::test]
async fn series_that_are_left_out_are_counted() {
    let envoy = EnvoyProcess::start(
        "static_resources:
  listeners:
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config:
            virtual_hosts:
            - {name: web, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          access_log:
          - name: envoy.access_loggers.stats
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config
              stats_scope: {prefix: wasmcustom, max_counters: 2, max_histograms: 2, enable_eviction: true}
              counters:
              - {stat: {name: requests, tags: [{name: path, value_format: '%REQ(:PATH)%'}]}, value_fixed: 1}
",
    )
    .await
    .unwrap();
    let address = envoy.listener("web").await.unwrap();
    for path in ["/1", "/2", "/3", "/3", "/1"] {
        assert_eq!(send(&Request::get(address, "web", path)).await.status, 200);
    }
    eventually(async || {
        let text = envoy.admin_get("/stats/prometheus").await?.text();
        let shown = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
        let cut = text.lines().any(|line| line == "envoy_server_stats_overflow_counter{} 2");
        require(cut && shown("envoy_wasmcustom_requests{") == 2, &text)
    })
    .await;
}

/// What the alerts say of the numbers of some minutes.
#[test]
fn alerts_fire_when_something_is_wrong() {
    let rules = workspace_root().join("examples/prometheus/rules.yaml");
    let test = format!(
        "rule_files: [{}]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series:
  - {{series: 'pilot_total_xds_rejects{{type=\"cds\"}}', values: '0x5 1x5'}}
  - {{series: 'pilot_total_xds_rejects{{type=\"lds\"}}', values: '2x10'}}
  - {{series: 'envoy_server_stats_overflow_counter{{pod=\"cut\"}}', values: '0x5 7x5'}}
  - {{series: 'envoy_server_stats_overflow_histogram{{pod=\"cut\"}}', values: '0x10'}}
  - {{series: 'envoy_server_stats_overflow_counter{{pod=\"whole\"}}', values: '3x10'}}
  - {{series: 'envoy_server_stats_overflow_histogram{{pod=\"whole\"}}', values: '0x10'}}
  - {{series: 'meltemi_proxy_live_seconds_bucket{{le=\"1\"}}', values: '0x5 0x10'}}
  - {{series: 'meltemi_proxy_live_seconds_bucket{{le=\"3\"}}', values: '0x5 0+9x10'}}
  - {{series: 'meltemi_proxy_live_seconds_bucket{{le=\"+Inf\"}}', values: '0x5 0+9x10'}}
  alert_rule_test:
  - {{eval_time: 5m, alertname: ConfigurationRefused}}
  - {{eval_time: 5m, alertname: MetricsAreCut}}
  - eval_time: 7m
    alertname: ConfigurationRefused
    exp_alerts:
    - exp_labels: {{severity: critical, type: cds}}
      exp_annotations: {{summary: A proxy has refused a response of the type cds.}}
  - eval_time: 7m
    alertname: MetricsAreCut
    exp_alerts:
    - exp_labels: {{severity: warning, pod: cut}}
      exp_annotations:
        summary: \"cut has too many series of metrics and leaves new ones out: a label has too many values.\"
  - {{eval_time: 8m, alertname: ChangesComeLate}}
  - eval_time: 14m
    alertname: ChangesComeLate
    exp_alerts:
    - exp_labels: {{severity: warning}}
      exp_annotations: {{summary: A change takes more than two seconds until a proxy has acknowledged it.}}
",
        rules.display()
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), test).unwrap();
    test_rules(file.path()).unwrap();
}
