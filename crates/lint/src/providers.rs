//! Providers of the mesh configuration: those that Telemetry names, and their services.

use std::collections::BTreeSet;

use api::{
    Object, Spec,
    istio::{
        extension_provider::ExtensionProvider,
        mesh_config::MeshConfig,
        telemetry::{ProviderRef, Telemetry},
    },
};
use model::{Kind, ObjectKey};

use crate::{codes, facts::Facts, found::Found, services};

/// Providers that there always are.
const BUILT_IN: [&str; 3] = ["prometheus", "stackdriver", "envoy"];

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    let Some((object, mesh)) = mesh_config(facts) else { return };
    let mut known: BTreeSet<&str> = BUILT_IN.into_iter().collect();
    known.extend(mesh.extension_providers.iter().map(|provider| provider.name.as_str()));
    for object in facts.objects(Kind::Telemetry) {
        let Spec::Telemetry(telemetry) = &object.spec else { continue };
        for (field, provider) in named(telemetry) {
            unknown(&object.key, field, &provider.name, &known, found);
        }
    }
    if let Some(defaults) = &mesh.default_providers {
        let lists = [
            ("tracing", &defaults.tracing),
            ("metrics", &defaults.metrics),
            ("accessLogging", &defaults.access_logging),
        ];
        for (list, names) in lists {
            for (index, name) in names.iter().enumerate() {
                let field = format!("defaultProviders.{list}[{index}]");
                unknown(&object.key, field, name, &known, found);
            }
        }
    }
    for (index, provider) in mesh.extension_providers.iter().enumerate() {
        let Some((kind, service)) = service_of(provider) else { continue };
        if service.is_empty() || services::exists(service, facts) {
            continue;
        }
        let message = format!("there is no service `{service}`");
        let field = format!("extensionProviders[{index}].{kind}.service");
        let hint = "check the host, or add a Service or a ServiceEntry";
        found.add(&codes::PROVIDER_UNREACHABLE, &object.key, field, message, hint);
    }
}

/// The mesh configuration in effect, where one is listed.
pub(crate) fn mesh_config<'a>(facts: &Facts<'a>) -> Option<(&'a Object, &'a MeshConfig)> {
    facts.objects(Kind::MeshConfig).find_map(|object| match &object.spec {
        Spec::MeshConfig(mesh) => Some((object, &**mesh)),
        _ => None,
    })
}

fn unknown(
    object: &ObjectKey,
    field: String,
    name: &str,
    known: &BTreeSet<&str>,
    found: &mut Found,
) {
    if known.contains(name) || name.is_empty() {
        return;
    }
    let message = format!("the mesh has no provider `{name}`");
    let hint = "add it to `extensionProviders` of the MeshConfig";
    found.add(&codes::NO_SUCH_PROVIDER, object, field, message, hint);
}

fn named(telemetry: &Telemetry) -> Vec<(String, &ProviderRef)> {
    let mut all = Vec::new();
    for (index, it) in telemetry.tracing.iter().enumerate() {
        let field = |at| format!("spec.tracing[{index}].providers[{at}].name");
        all.extend(it.providers.iter().enumerate().map(|(at, it)| (field(at), it)));
    }
    for (index, it) in telemetry.metrics.iter().enumerate() {
        let field = |at| format!("spec.metrics[{index}].providers[{at}].name");
        all.extend(it.providers.iter().enumerate().map(|(at, it)| (field(at), it)));
    }
    for (index, it) in telemetry.access_logging.iter().enumerate() {
        let field = |at| format!("spec.accessLogging[{index}].providers[{at}].name");
        all.extend(it.providers.iter().enumerate().map(|(at, it)| (field(at), it)));
    }
    all
}

/// The kind of a provider, and the service behind it.
fn service_of(provider: &ExtensionProvider) -> Option<(&'static str, &str)> {
    let http = provider.envoy_ext_authz_http.as_ref().map(|it| ("envoyExtAuthzHttp", &it.service));
    let grpc = provider.envoy_ext_authz_grpc.as_ref().map(|it| ("envoyExtAuthzGrpc", &it.service));
    let zipkin = provider.zipkin.as_ref().map(|it| ("zipkin", &it.service));
    let datadog = provider.datadog.as_ref().map(|it| ("datadog", &it.service));
    let skywalking = provider.skywalking.as_ref().map(|it| ("skywalking", &it.service));
    let otel = provider.opentelemetry.as_ref().map(|it| ("opentelemetry", &it.service));
    let http_als = provider.envoy_http_als.as_ref().map(|it| ("envoyHttpAls", &it.service));
    let tcp_als = provider.envoy_tcp_als.as_ref().map(|it| ("envoyTcpAls", &it.service));
    let otel_als = provider.envoy_otel_als.as_ref().map(|it| ("envoyOtelAls", &it.service));
    let all = [http, grpc, zipkin, datadog, skywalking, otel, http_als, tcp_als, otel_als];
    let (kind, service) = all.into_iter().flatten().next()?;
    Some((kind, service))
}
