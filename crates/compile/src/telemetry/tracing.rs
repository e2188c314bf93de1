//! Which requests are traced, by whom, and what their spans say.

use std::{collections::BTreeMap, sync::Arc};

use api::istio::{
    CustomTag,
    mesh_proxy_config::MeshTracing,
    telemetry::{Telemetry as TelemetryObject, Tracing as Rule},
};
use envoy::{
    extensions::filters::network::http_connection_manager::v3::http_connection_manager::Tracing as XdsTracing,
    types::{
        tracing::v3::{CustomTag as XdsTag, custom_tag},
        v3::Percent,
    },
};
use model::{Diagnostic, Kind, ObjectKey};
use snapshot::{Mesh, PolicyRecord, Reader};

use super::{Side, format::check_format, provider::Provider, tracer::Tracer};
use crate::{Client, codes};

type Objects<'a, 'b> = &'b [&'a PolicyRecord<TelemetryObject>];

/// All, in ten thousandths.
const ALL: u32 = 10_000;
/// Istio's share of traced requests in percent (`PILOT_TRACE_SAMPLING`).
const DEFAULT_SAMPLING: f64 = 1.0;
const SAMPLING_SWITCH: &str = "PILOT_TRACE_SAMPLING";
/// Envoy's own keys.
const RANDOM_KEY: &str = "tracing.random_sampling";
const GLOBAL_KEY: &str = "tracing.global_enabled";

/// How a side's connection managers trace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tracing {
    pub tracer: Tracer,
    /// In ten thousandths.
    pub sampling: u32,
    pub reports: bool,
    pub tags: Vec<Tag>,
    pub max_tag_length: Option<u32>,
    pub uses_request_id: bool,
    pub propagates: bool,
}

/// A tag of each span, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tag {
    pub name: Arc<str>,
    pub value: TagValue,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TagValue {
    Literal(Arc<str>),
    /// A variable of the proxy's environment, and what holds without one.
    Environment(Arc<str>, Arc<str>),
    Header(Arc<str>, Arc<str>),
    /// In the language of access logs.
    Format(Arc<str>),
}

/// What the objects come to for one side.
#[derive(Clone, Debug)]
struct Spec<'a> {
    provider: Option<Arc<str>>,
    named_by: Option<&'a ObjectKey>,
    sampling: u32,
    reports: bool,
    tags: Option<(&'a ObjectKey, &'a BTreeMap<String, CustomTag>)>,
    uses_request_id: bool,
    istio_tags: bool,
    propagates: bool,
}

impl<'a> Spec<'a> {
    fn of(side: Side, objects: Objects<'a, '_>, mesh: &Mesh) -> Self {
        let legacy = legacy(mesh);
        let defaults = mesh.config.default_providers.as_ref();
        let default = defaults.and_then(|it| it.tracing.first());
        let mut spec = Spec {
            provider: default.map(|name| name.as_str().into()),
            named_by: None,
            sampling: default_sampling(mesh),
            reports: true,
            tags: None,
            uses_request_id: true,
            istio_tags: legacy.and_then(|it| it.enable_istio_tags).unwrap_or(true),
            propagates: true,
        };
        for object in objects {
            for rule in &object.spec.tracing {
                if rule.match_.as_ref().is_none_or(|it| side.is_meant_by(it.mode)) {
                    spec.add(&object.key, rule);
                }
            }
        }
        spec
    }

    fn add(&mut self, key: &'a ObjectKey, rule: &'a Rule) {
        if let Some(provider) = rule.providers.first() {
            self.provider = Some(provider.name.as_str().into());
            self.named_by = Some(key);
        }
        if let Some(disabled) = rule.disable_span_reporting {
            self.reports = !disabled;
        }
        if let Some(percent) = rule.random_sampling_percentage {
            self.sampling = ten_thousandths(percent);
        }
        if !rule.custom_tags.is_empty() {
            self.tags = Some((key, &rule.custom_tags));
        }
        if let Some(uses) = rule.use_request_id_for_trace_sampling {
            self.uses_request_id = uses;
        }
        if let Some(enabled) = rule.enable_istio_tags {
            self.istio_tags = enabled;
        }
        if let Some(disabled) = rule.disable_context_propagation {
            self.propagates = !disabled;
        }
    }
}

/// The settings that were in `defaultConfig` before there were providers.
fn legacy(mesh: &Mesh) -> Option<&MeshTracing> {
    mesh.config.default_config.as_ref()?.tracing.as_ref()
}

fn default_sampling(mesh: &Mesh) -> u32 {
    let written = legacy(mesh).map(|it| it.sampling).filter(|percent| *percent > 0.0);
    let switch = || mesh.features.0.get(SAMPLING_SWITCH).and_then(|text| text.parse().ok());
    ten_thousandths(written.or_else(switch).unwrap_or(DEFAULT_SAMPLING))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
fn ten_thousandths(percent: f64) -> u32 {
    (percent * 100.0).round().clamp(0.0, ALL.into()) as u32
}

/// How a side traces. With switches that are looked up at run time, what they decide is the same
/// for all here, so that another share of requests is no other listener.
pub(super) fn select(
    side: Side,
    objects: Objects<'_, '_>,
    client: &Client,
    reader: &Reader<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Option<Tracing> {
    let mesh = reader.mesh();
    let spec = Spec::of(side, objects, mesh);
    let tracer = tracer(&spec, client, reader, findings)?;
    let switched = client.telemetry.runtime;
    let same = |of: fn(&Spec<'_>) -> u32| {
        let [one, other] = [Side::Client, Side::Server].map(|it| of(&Spec::of(it, objects, mesh)));
        switched && one == other
    };
    if !spec.reports && !same(|spec| spec.reports.into()) {
        return None;
    }
    let sampling = match same(|spec| spec.sampling) {
        true => default_sampling(mesh),
        false => spec.sampling,
    };
    Some(Tracing {
        sampling,
        reports: spec.reports || same(|spec| spec.reports.into()),
        tags: tags(&spec, mesh, findings),
        max_tag_length: max_tag_length(&spec, mesh),
        uses_request_id: spec.uses_request_id,
        propagates: spec.propagates,
        tracer,
    })
}

/// Envoy's runtime keys. They are the process's: where the two sides of a proxy disagree, it is the
/// listeners that say it.
pub(super) fn switches(
    objects: Objects<'_, '_>,
    reader: &Reader<'_>,
) -> impl Iterator<Item = (Arc<str>, u32)> + use<> {
    let mesh = reader.mesh();
    let [one, other] = [Side::Client, Side::Server].map(|side| Spec::of(side, objects, mesh));
    let traces = mesh.config.enable_tracing && legacy(mesh).is_some()
        || one.provider.is_some()
        || other.provider.is_some();
    let sampling = traces && one.sampling == other.sampling;
    let sampling = sampling.then(|| (RANDOM_KEY.into(), one.sampling));
    let off = (traces && !one.reports && !other.reports).then(|| (GLOBAL_KEY.into(), 0));
    sampling.into_iter().chain(off)
}

fn tracer(
    spec: &Spec<'_>,
    client: &Client,
    reader: &Reader<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Option<Tracer> {
    let config = &reader.mesh().config;
    let mesh = ObjectKey::new(Kind::MeshConfig, "", "mesh");
    let Some(name) = &spec.provider else {
        let legacy = legacy(reader.mesh()).filter(|_| config.enable_tracing)?;
        let found = Tracer::of_legacy(legacy, client, reader)?;
        return found
            .map_err(|why| {
                let finding = codes::COLLECTOR.diagnostic(why).object(mesh);
                findings.push(finding.field("defaultConfig.tracing"));
            })
            .ok();
    };
    let by = spec.named_by.cloned().unwrap_or_else(|| mesh.clone());
    let Some(provider) = Provider::find(name, config) else {
        let message = format!("no provider is called `{name}`");
        let hint = "add it to `extensionProviders` of the MeshConfig";
        let finding = codes::PROVIDER.diagnostic(message).object(by).hint(hint);
        findings.push(finding.field("spec.tracing.providers"));
        return None;
    };
    if let Some(kind) = provider.unsupported() {
        let message = format!("the provider `{name}` is of the kind `{kind}`, which is gone");
        let hint = "Envoy sends traces to SkyWalking, Zipkin, OpenTelemetry and Datadog";
        findings.push(codes::PROVIDER_KIND.diagnostic(message).object(by).hint(hint));
        return None;
    }
    match Tracer::of_provider(&provider, client, reader) {
        Some(Ok(tracer)) => Some(tracer),
        Some(Err(why)) => {
            let message = format!("provider `{name}`: {why}, so nothing is traced");
            let finding = codes::COLLECTOR.diagnostic(message).object(mesh);
            findings.push(finding.field("extensionProviders"));
            None
        }
        None => {
            let message = format!("the provider `{name}` takes no traces");
            findings.push(codes::PROVIDER.diagnostic(message).object(by));
            None
        }
    }
}

fn max_tag_length(spec: &Spec<'_>, mesh: &Mesh) -> Option<u32> {
    let name = spec.provider.as_ref();
    let provider = name.and_then(|name| Provider::find(name, &mesh.config));
    let of_provider = match provider {
        Some(Provider::Configured(it)) => {
            let zipkin = it.zipkin.as_ref().map(|it| it.max_tag_length);
            let datadog = it.datadog.as_ref().map(|it| it.max_tag_length);
            zipkin.or(datadog).or(it.opentelemetry.as_ref().map(|it| it.max_tag_length))
        }
        Some(Provider::Envoy | Provider::Prometheus) | None => None,
    };
    let of_mesh = legacy(mesh).map(|it| it.max_path_tag_length);
    of_provider.filter(|it| *it > 0).or(of_mesh).filter(|it| *it > 0)
}

/// The tags of the last rule that has some, else the mesh's, and Istio's own, which say where the
/// span was made. These are read from the node, so that equal proxies of two workloads stay equal.
fn tags(spec: &Spec<'_>, mesh: &Mesh, findings: &mut Vec<Diagnostic>) -> Vec<Tag> {
    let mut tags: BTreeMap<Arc<str>, TagValue> = BTreeMap::new();
    if spec.istio_tags {
        let own = [
            ("istio.canonical_revision", "MELTEMI_CANONICAL_REVISION"),
            ("istio.canonical_service", "MELTEMI_CANONICAL_SERVICE"),
            ("istio.cluster_id", "CLUSTER_ID"),
            ("istio.mesh_id", "MESH_ID"),
            ("istio.namespace", "NAMESPACE"),
        ];
        tags.extend(own.into_iter().map(|(name, key)| {
            (name.into(), TagValue::Format(format!("%CEL(xds.node.metadata['{key}'])%").into()))
        }));
    }
    let (key, written) = match (&spec.tags, legacy(mesh)) {
        (Some((key, tags)), _) => (Some(*key), Some(*tags)),
        (None, Some(legacy)) => (None, Some(&legacy.custom_tags)),
        (None, None) => (None, None),
    };
    let mut leave_out = |name: &str, why: &str| {
        let mesh = ObjectKey::new(Kind::MeshConfig, "", "mesh");
        let message = format!("the tag `{name}` is left out, as {why}");
        let object = key.cloned().unwrap_or(mesh);
        findings.push(codes::LOG_FORMAT.diagnostic(message).object(object));
    };
    for (name, tag) in written.into_iter().flatten() {
        let value = match tag {
            CustomTag::Unset => {
                leave_out(name, "it says nothing");
                continue;
            }
            CustomTag::Literal(tag) => TagValue::Literal(tag.value.as_str().into()),
            CustomTag::Environment(tag) => {
                TagValue::Environment(tag.name.as_str().into(), tag.default_value.as_str().into())
            }
            CustomTag::Header(tag) => {
                TagValue::Header(tag.name.as_str().into(), tag.default_value.as_str().into())
            }
            CustomTag::Formatter(tag) => {
                if let Err(why) = check_format(&tag.value) {
                    leave_out(name, &why);
                    continue;
                }
                TagValue::Format(tag.value.as_str().into())
            }
        };
        tags.insert(name.as_str().into(), value);
    }
    tags.into_iter().map(|(name, value)| Tag { name, value }).collect()
}

impl Tracing {
    pub(crate) fn compile(&self) -> XdsTracing {
        let percent = |part: u32| Some(Percent { value: f64::from(part) / 100.0 });
        XdsTracing {
            client_sampling: percent(ALL),
            random_sampling: percent(self.sampling),
            overall_sampling: percent(if self.reports { ALL } else { 0 }),
            max_path_tag_length: self.max_tag_length,
            custom_tags: self.tags.iter().map(Tag::compile).collect(),
            provider: Some(self.tracer.compile()),
            no_context_propagation: !self.propagates,
            spawn_upstream_span: self.tracer.needs_exit_span().then_some(true),
            ..XdsTracing::default()
        }
    }
}

impl Tag {
    fn compile(&self) -> XdsTag {
        let kind = match &self.value {
            TagValue::Literal(value) => {
                custom_tag::Type::Literal(custom_tag::Literal { value: value.to_string() })
            }
            TagValue::Environment(name, default) => {
                custom_tag::Type::Environment(custom_tag::Environment {
                    name: name.to_string(),
                    default_value: default.to_string(),
                })
            }
            TagValue::Header(name, default) => {
                custom_tag::Type::RequestHeader(custom_tag::Header {
                    name: name.to_string(),
                    default_value: default.to_string(),
                })
            }
            TagValue::Format(format) => custom_tag::Type::Value(format.to_string()),
        };
        XdsTag { tag: self.name.to_string(), r#type: Some(kind), ..XdsTag::default() }
    }
}

/// Whether the spans of some side name their service in the listener.
pub(super) fn names_service(objects: Objects<'_, '_>, reader: &Reader<'_>) -> bool {
    let mesh = reader.mesh();
    [Side::Client, Side::Server].into_iter().any(|side| {
        let name = Spec::of(side, objects, mesh).provider;
        let provider = name.as_ref().and_then(|name| Provider::find(name, &mesh.config));
        match provider {
            Some(Provider::Configured(it)) => it.opentelemetry.is_some() || it.datadog.is_some(),
            Some(Provider::Envoy | Provider::Prometheus) | None => false,
        }
    })
}
