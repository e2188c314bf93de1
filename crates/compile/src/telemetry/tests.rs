//! Golden tests: a mesh, and what a sidecar in the namespace `shop` logs and traces.

mod envoy;
mod logs;
mod metrics;
mod services;
mod traces;

use std::{collections::BTreeSet, fmt::Write};

use ::envoy::{
    config::accesslog::v3::AccessLog,
    json::{FieldNames, typed_to_json},
};
use expect_test::Expect;
use model::Proxy;
use serde_json::{Value, json};
use snapshot::Reader;

use super::{Side, logs::Subject, select_runtime, select_telemetry, sink::Sink};
use crate::{Client, fixture};

/// Collectors, and the mesh that names them.
const MESH: &str = "
apiVersion: v1
kind: Service
metadata: {name: collector, namespace: observe}
spec:
  clusterIP: 10.96.0.9
  ports: [{name: grpc, port: 4317}, {name: http, port: 9411}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultProviders: DEFAULTS
    extensionProviders:
    - name: json
      envoyFileAccessLog: {path: /dev/stderr, logFormat: {labels: {code: \"%RESPONSE_CODE%\"}}}
    - name: als
      envoyHttpAls: {service: collector.observe.svc.cluster.local, port: 4317}
    - name: tcp-als
      envoyTcpAls: {service: observe/collector.observe.svc.cluster.local, port: 4317}
    - name: otel-log
      envoyOtelAls: {service: collector.observe.svc.cluster.local, port: 4317}
    - name: zipkin
      zipkin: {service: collector.observe.svc.cluster.local, port: 9411}
    - name: skywalking
      skywalking: {service: collector.observe.svc.cluster.local, port: 4317, accessToken: t}
    - name: otel
      opentelemetry: {service: collector.observe.svc.cluster.local, port: 4317}
    - name: otel-http
      opentelemetry:
        {service: $(HOST_IP), port: 4318, http: {path: /v1/traces, timeout: 3s, headers: [{name: a, value: b}]}}
    - name: lost
      zipkin: {service: nowhere.observe.svc.cluster.local, port: 9411}
    - name: lightstep
      lightstep: {service: x, port: 1}
";

const ENVOY: &str = "  accessLogging: [{providers: [{name: envoy}]}]";

fn proxy(runtime: bool) -> Proxy {
    let mut proxy = fixture::proxy("shop");
    let mut metadata = (*proxy.metadata).clone();
    if runtime {
        metadata.insert("MELTEMI_RUNTIME".to_owned(), json!("true"));
    }
    metadata.insert("MELTEMI_NODE_AGENT".to_owned(), json!("4318"));
    proxy.metadata = metadata.into();
    proxy.labels = [("app", "cart")].into_iter().collect();
    proxy
}

fn sink(sink: &Sink) -> String {
    match sink {
        Sink::File(file) => file.path.to_string(),
        Sink::HttpAls(als) => format!("http als {}", als.collector.cluster),
        Sink::TcpAls(als) => format!("tcp als {}", als.collector.cluster),
        Sink::Otel(otel) => format!("otel {}", otel.collector.cluster),
    }
}

fn render(mesh: &str, proxy: &Proxy) -> String {
    let snapshot = fixture::snapshot(mesh);
    let reader = Reader::new(&snapshot);
    let client = Client::reduce(proxy, &reader);
    let mut out = String::new();
    for (name, side) in [("client", Side::Client), ("server", Side::Server)] {
        let (telemetry, findings) = select_telemetry(side, &client, &reader);
        for logger in &telemetry.logs {
            // That each log looks for marked services too is shown once, in `services`.
            let conditions = logger.conditions.iter();
            for condition in conditions.filter(|it| it.subject == Subject::Connection) {
                let expression = condition.expression.as_ref().map(|it| format!(" if {it}"));
                let expression = expression.unwrap_or_default();
                let switch = condition.switch.as_ref().map(|it| format!(" by {it}"));
                let switch = switch.unwrap_or_default();
                writeln!(out, "{name} logs to {}{switch}{expression}", sink(&logger.sink)).unwrap();
            }
        }
        if let Some(tracing) = &telemetry.tracing {
            let tags: Vec<&str> = tracing.tags.iter().map(|tag| &*tag.name).collect();
            let cluster = &tracing.tracer.collector().cluster;
            let part = tracing.sampling;
            let off = if tracing.reports { "" } else { ", reports nothing" };
            writeln!(out, "{name} traces {part}/10000 to {cluster}{off}: {}", tags.join(" "))
                .unwrap();
        }
        for finding in findings.iter().filter(|_| side == Side::Client) {
            writeln!(out, "{finding}").unwrap();
        }
    }
    for (key, value) in
        select_runtime(&client, &BTreeSet::new(), &reader).unwrap_or_default().values
    {
        writeln!(out, "runtime {key} {value}").unwrap();
    }
    out
}

/// `objects` are specs of Telemetry objects: a namespace and a name, and the text below `spec`.
fn mesh(defaults: &str, objects: &[(&str, &str, &str)]) -> String {
    let mut mesh = MESH.replace("DEFAULTS", defaults);
    for (namespace, name, spec) in objects {
        write!(
            mesh,
            "---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: {name}, namespace: {namespace}}}
spec:
{spec}
"
        )
        .unwrap();
    }
    mesh
}

#[track_caller]
fn check(mesh: &str, expected: Expect) {
    expected.assert_eq(&render(mesh, &proxy(false)));
}

#[track_caller]
fn check_switched(mesh: &str, expected: Expect) {
    expected.assert_eq(&render(mesh, &proxy(true)));
}

fn yaml(logs: &[AccessLog]) -> String {
    let values = logs.iter().map(|log| typed_to_json(log, FieldNames::Proto));
    serde_json::to_string_pretty(&Value::Array(values.collect())).unwrap()
}
