//! Telemetry, and what of the MeshConfig is about it.

use super::{Check, Path};
use crate::{
    codes,
    istio::{
        CustomTag,
        extension_provider::{ExtensionProvider, ProviderHeader},
        mesh_config::DefaultProviders,
        mesh_proxy_config::MeshTracing,
        telemetry::{
            Metrics, MetricsOverrides, ProviderRef, TagOperation, Telemetry, Tracing, WorkloadMode,
        },
    },
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, telemetry: &Telemetry) {
    let (one, many) = (telemetry.target_ref.as_ref(), &telemetry.target_refs);
    check.targets(path, telemetry.selector.as_ref(), one, many);
    let list = path.field("tracing");
    if several_for_one_side(&telemetry.tracing) {
        let message =
            "several tracing rules are for one side: the last one that sets a field counts";
        check.report(&codes::TEL_MULTIPLE, &list, message, "");
    }
    for (index, rule) in telemetry.tracing.iter().enumerate() {
        tracing(check, &list.index(index), rule);
    }
    let list = path.field("metrics");
    for (index, rule) in telemetry.metrics.iter().enumerate() {
        metrics(check, &list.index(index), rule);
    }
    let list = path.field("accessLogging");
    for (index, rule) in telemetry.access_logging.iter().enumerate() {
        providers(check, &list.index(index), &rule.providers);
    }
}

fn several_for_one_side(rules: &[Tracing]) -> bool {
    let is_for = |side| {
        let mode = move |rule: &&Tracing| rule.match_.as_ref().map_or(side, |it| it.mode);
        let rules = rules.iter().map(|rule| mode(&rule));
        rules.filter(|mode| *mode == side || *mode == WorkloadMode::ClientAndServer).count()
    };
    is_for(WorkloadMode::Client) > 1 || is_for(WorkloadMode::Server) > 1
}

fn providers(check: &mut Check<'_>, path: &Path<'_>, providers: &[ProviderRef]) {
    let list = path.field("providers");
    for (index, provider) in providers.iter().enumerate() {
        let at = list.index(index);
        check.required(!provider.name.is_empty(), &at.field("name"), "the name of the provider");
    }
}

fn tracing(check: &mut Check<'_>, path: &Path<'_>, tracing: &Tracing) {
    providers(check, path, &tracing.providers);
    if tracing.providers.len() > 1 {
        let message = "only the first tracing provider has an effect";
        check.report(&codes::TEL_MULTIPLE, &path.field("providers"), message, "");
    }
    if let Some(percent) = tracing.random_sampling_percentage {
        check.percent(&path.field("randomSamplingPercentage"), percent);
    }
    let map = path.field("customTags");
    for (name, tag) in &tracing.custom_tags {
        let at = map.key(name);
        let missing = match tag {
            CustomTag::Unset => "`literal`, `environment`, `header` or `formatter`",
            CustomTag::Literal(tag) if tag.value.is_empty() => "the value",
            CustomTag::Environment(tag) if tag.name.is_empty() => "the name of the variable",
            CustomTag::Header(tag) if tag.name.is_empty() => "the name of the header",
            CustomTag::Formatter(tag) if tag.value.is_empty() => "the value",
            CustomTag::Literal(_)
            | CustomTag::Environment(_)
            | CustomTag::Header(_)
            | CustomTag::Formatter(_) => continue,
        };
        check.report(&codes::TEL_TAG, &at, format!("{missing} must be set"), "");
    }
}

/// A provider of the mesh: it has one kind, and a header has a value.
pub(super) fn provider(check: &mut Check<'_>, path: &Path<'_>, provider: &ExtensionProvider) {
    let kinds = [
        ("envoyExtAuthzHttp", provider.envoy_ext_authz_http.is_some()),
        ("envoyExtAuthzGrpc", provider.envoy_ext_authz_grpc.is_some()),
        ("zipkin", provider.zipkin.is_some()),
        ("lightstep", provider.lightstep.is_some()),
        ("datadog", provider.datadog.is_some()),
        ("stackdriver", provider.stackdriver.is_some()),
        ("opencensus", provider.opencensus.is_some()),
        ("skywalking", provider.skywalking.is_some()),
        ("opentelemetry", provider.opentelemetry.is_some()),
        ("prometheus", provider.prometheus.is_some()),
        ("envoyFileAccessLog", provider.envoy_file_access_log.is_some()),
        ("envoyHttpAls", provider.envoy_http_als.is_some()),
        ("envoyTcpAls", provider.envoy_tcp_als.is_some()),
        ("envoyOtelAls", provider.envoy_otel_als.is_some()),
        ("sds", provider.sds.is_some()),
    ];
    let set: Vec<&str> = kinds.iter().filter(|(_, is_set)| *is_set).map(|it| it.0).collect();
    let name = &provider.name;
    if set.is_empty() {
        let message = format!("the provider `{name}` has no kind that is known, and does nothing");
        let hint = "set one such as `envoyFileAccessLog`, `opentelemetry` or `zipkin`";
        check.report(&codes::TEL_PROVIDER, path, message, hint);
    } else if set.len() > 1 {
        let message = format!("the provider `{name}` has several kinds: {}", set.join(", "));
        check.report(&codes::TEL_PROVIDER, path, message, "write a provider for each");
    }
    check.unsupported(provider.sds.is_some(), path, "sds");
    if let Some(zipkin) = &provider.zipkin {
        let path = path.field("zipkin");
        headers(check, &path.field("headers"), &zipkin.headers);
        let context = zipkin.trace_context_option.as_str();
        if !matches!(context, "" | "USE_B3" | "USE_B3_WITH_W3C_PROPAGATION") {
            let message = format!("`{context}` is not known, and `USE_B3` is used");
            let hint = "write `USE_B3` or `USE_B3_WITH_W3C_PROPAGATION`";
            check.report(&codes::TEL_PROVIDER, &path.field("traceContextOption"), message, hint);
        }
    }
    if let Some(otel) = &provider.opentelemetry {
        let path = path.field("opentelemetry");
        if let Some(http) = &otel.http {
            headers(check, &path.field("http").field("headers"), &http.headers);
        }
        if let Some(grpc) = &otel.grpc {
            let at = path.field("grpc");
            headers(check, &at.field("initialMetadata"), &grpc.initial_metadata);
        }
        check.unsupported(otel.dynatrace_sampler.is_some(), &path, "dynatraceSampler");
        let detectors = otel.resource_detectors.as_ref();
        let dynatrace = detectors.is_some_and(|it| it.dynatrace.is_some());
        check.unsupported(dynatrace, &path.field("resourceDetectors"), "dynatrace");
    }
}

fn headers(check: &mut Check<'_>, path: &Path<'_>, headers: &[ProviderHeader]) {
    for (index, header) in headers.iter().enumerate().filter(|(_, it)| it.value.is_none()) {
        let name = &header.name;
        let (field, message) = match header.env_name {
            Some(_) => {
                ("envName", format!("the header `{name}` is left out: no environment is read"))
            }
            None => ("value", format!("the header `{name}` is left out: it has no value")),
        };
        let at = path.index(index);
        check.report(&codes::TEL_PROVIDER, &at.field(field), message, "write its `value`");
    }
}

/// What is reported to where no Telemetry says anything.
pub(super) fn default_providers(
    check: &mut Check<'_>,
    path: &Path<'_>,
    defaults: &DefaultProviders,
) {
    if defaults.tracing.len() > 1 {
        let message = "only the first tracing provider has an effect";
        check.report(&codes::TEL_MULTIPLE, &path.field("tracing"), message, "");
    }
}

/// The tracing settings in their old place.
pub(super) fn mesh_tracing(check: &mut Check<'_>, path: &Path<'_>, tracing: &MeshTracing) {
    let fields = [
        ("lightstep", tracing.lightstep.is_some()),
        ("datadog", tracing.datadog.is_some()),
        ("stackdriver", tracing.stackdriver.is_some()),
        ("openCensusAgent", tracing.open_census_agent.is_some()),
        ("tlsSettings", tracing.tls_settings.is_some()),
    ];
    for (name, is_set) in fields {
        check.unsupported(is_set, path, name);
    }
}

fn metrics(check: &mut Check<'_>, path: &Path<'_>, metrics: &Metrics) {
    providers(check, path, &metrics.providers);
    let interval = metrics.reporting_interval;
    check.duration(&path.field("reportingInterval"), interval);
    check.unsupported(interval.is_some(), path, "reportingInterval");
    let list = path.field("overrides");
    for (index, change) in metrics.overrides.iter().enumerate() {
        overrides(check, &list.index(index), change);
    }
}

fn overrides(check: &mut Check<'_>, path: &Path<'_>, overrides: &MetricsOverrides) {
    let map = path.field("tagOverrides");
    for (name, tag) in &overrides.tag_overrides {
        let at = map.key(name);
        let message = match (tag.operation, tag.value.is_empty()) {
            (TagOperation::Upsert, true) => "the operation UPSERT needs a `value`",
            (TagOperation::Remove, false) => "the operation REMOVE has no `value`",
            (TagOperation::Upsert, false) | (TagOperation::Remove, true) => continue,
        };
        check.report(&codes::TEL_OVERRIDE, &at, message, "");
    }
    let Some(selector) = &overrides.match_ else { return };
    let at = path.field("match");
    if selector.metric.is_some() && selector.custom_metric.is_some() {
        let message = "only one of `metric` and `customMetric` may be set";
        check.report(&codes::EXCLUSIVE, &at, message, "");
    }
    if selector.custom_metric.as_deref() == Some("") {
        check.required(false, &at.field("customMetric"), "the name of the metric");
    }
}
