//! Telemetry.

use super::{Check, Path};
use crate::{
    codes,
    istio::{
        CustomTag,
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
