//! Which requests are traced, and what is wrong with those who take spans and logs.

use expect_test::expect;

use super::{check, check_switched, mesh};

#[test]
fn what_leads_nowhere_or_is_gone_is_reported() {
    let objects = [
        ("shop", "logs", "  accessLogging: [{providers: [{name: nobody}, {name: envoy}]}]"),
        ("istio-system", "traces", "  tracing: [{providers: [{name: lost}]}]"),
    ];
    check(
        &mesh("{}", &objects),
        expect![[r#"
        client logs to /dev/stdout
        warning[MEL0290] Telemetry shop/logs spec.accessLogging.providers: no provider is called `nobody` (add it to `extensionProviders` of the MeshConfig)
        warning[MEL0292] MeshConfig mesh extensionProviders: provider `lost`: the service `nowhere.observe.svc.cluster.local` does not exist, so nothing is traced
        server logs to /dev/stdout
    "#]],
    );
    let gone = [("shop", "traces", "  tracing: [{providers: [{name: lightstep}]}]")];
    check(
        &mesh("{}", &gone),
        expect![[r#"
        warning[MEL0291] Telemetry shop/traces: the provider `lightstep` is of the kind `lightstep`, which is gone (Envoy sends traces to SkyWalking, Zipkin, OpenTelemetry and Datadog)
    "#]],
    );
}

pub(super) const TRACES: &str = "
  tracing:
  - providers: [{name: zipkin}]
    randomSamplingPercentage: 12.5
    customTags: {b: {literal: {value: x}}, a: {header: {name: h}}, c: {formatter: {value: '%NOPE%'}}}";

#[test]
fn traces_have_a_share_and_tags() {
    check(
        &mesh("{}", &[("shop", "traces", TRACES)]),
        expect![[r#"
        client traces 1250/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        warning[MEL0293] Telemetry shop/traces: the tag `c` is left out, as `%NOPE%` is no operator of Envoy's formats
        server traces 1250/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
    "#]],
    );
    let default = "{tracing: [skywalking]}";
    let off =
        "  tracing: [{disableSpanReporting: true, match: {mode: SERVER}, enableIstioTags: false}]";
    check(
        &mesh(default, &[("shop", "traces", off)]),
        expect![[r#"
        client traces 100/10000 to outbound|4317||collector.observe.svc.cluster.local: istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
    "#]],
    );
}

#[test]
fn another_share_of_traces_is_another_value_only() {
    check_switched(
        &mesh("{}", &[("shop", "traces", TRACES)]),
        expect![[r#"
        client logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.als
        client logs to /dev/stdout by meltemi.log.client.envoy
        client logs to /dev/stderr by meltemi.log.client.json
        client logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.otel-log
        client logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.tcp-als
        client traces 100/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        warning[MEL0293] Telemetry shop/traces: the tag `c` is left out, as `%NOPE%` is no operator of Envoy's formats
        server logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.als
        server logs to /dev/stdout by meltemi.log.server.envoy
        server logs to /dev/stderr by meltemi.log.server.json
        server logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.otel-log
        server logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.tcp-als
        server traces 100/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        runtime tracing.random_sampling 1250
    "#]],
    );
    let off = format!("{TRACES}\n    disableSpanReporting: true");
    check_switched(
        &mesh("{}", &[("shop", "traces", &off)]),
        expect![[r#"
        client logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.als
        client logs to /dev/stdout by meltemi.log.client.envoy
        client logs to /dev/stderr by meltemi.log.client.json
        client logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.otel-log
        client logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.tcp-als
        client traces 100/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        warning[MEL0293] Telemetry shop/traces: the tag `c` is left out, as `%NOPE%` is no operator of Envoy's formats
        server logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.als
        server logs to /dev/stdout by meltemi.log.server.envoy
        server logs to /dev/stderr by meltemi.log.server.json
        server logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.otel-log
        server logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.tcp-als
        server traces 100/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        runtime tracing.global_enabled 0
        runtime tracing.random_sampling 1250
    "#]],
    );
    let one = "  tracing: [{providers: [{name: otel-http}]}, {match: {mode: CLIENT}, randomSamplingPercentage: 50}]";
    check_switched(
        &mesh("{}", &[("shop", "traces", one)]),
        expect![[r#"
        client logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.als
        client logs to /dev/stdout by meltemi.log.client.envoy
        client logs to /dev/stderr by meltemi.log.client.json
        client logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.otel-log
        client logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.tcp-als
        client traces 5000/10000 to node-agent-http-4318: istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        server logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.als
        server logs to /dev/stdout by meltemi.log.server.envoy
        server logs to /dev/stderr by meltemi.log.server.json
        server logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.otel-log
        server logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.tcp-als
        server traces 100/10000 to node-agent-http-4318: istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
    "#]],
    );
}
