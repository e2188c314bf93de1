//! Who takes spans: Zipkin (and Jaeger's port of it), SkyWalking, OpenTelemetry, Datadog.

use std::sync::Arc;

use api::{
    Duration,
    istio::{
        extension_provider::{OpenTelemetryProvider, ProviderHeader, ZipkinProvider},
        mesh_proxy_config::MeshTracing,
    },
};
use envoy::{
    Any,
    config::{
        core::v3::{
            HeaderValue, HeaderValueOption, HttpService, HttpUri, TypedExtensionConfig,
            header_value_option::HeaderAppendAction, http_uri::HttpUpstreamType,
        },
        trace::v3::{
            ClientConfig, DatadogConfig, OpenTelemetryConfig, SkyWalkingConfig, ZipkinConfig,
            client_config::BackendTokenSpecifier,
            tracing::{Http, http},
            zipkin_config::{CollectorEndpointVersion, TraceContextOption},
        },
    },
    extensions::tracers::opentelemetry::resource_detectors::v3::EnvironmentResourceDetectorConfig,
};
use prost::{Message, Name};
use snapshot::Reader;

use super::{
    collector::{Collector, Transport},
    provider::Provider,
};
use crate::{Client, filters::duration};

const ZIPKIN_PATH: &str = "/api/v2/spans";
/// How long an export over HTTP may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A backend of traces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tracer {
    Zipkin(Zipkin),
    SkyWalking(Collector, Arc<str>),
    OpenTelemetry(OpenTelemetry),
    Datadog(Collector, Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Zipkin {
    collector: Collector,
    path: Arc<str>,
    w3c: bool,
    short_ids: bool,
    timeout: Option<Duration>,
    headers: Vec<(Arc<str>, Arc<str>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OpenTelemetry {
    collector: Collector,
    service: Arc<str>,
    export: Export,
    timeout: Option<Duration>,
    headers: Vec<(Arc<str>, Arc<str>)>,
    reads_environment: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Export {
    Grpc,
    Http { uri: Arc<str> },
}

impl Tracer {
    pub(super) fn collector(&self) -> &Collector {
        match self {
            Self::Zipkin(it) => &it.collector,
            Self::OpenTelemetry(it) => &it.collector,
            Self::SkyWalking(collector, _) | Self::Datadog(collector, _) => collector,
        }
    }

    /// SkyWalking passes its context on from a span of the request to the upstream alone, and
    /// otherwise hands on the header of its caller, as if the proxy were not there.
    pub(super) fn needs_exit_span(&self) -> bool {
        matches!(self, Self::SkyWalking(..))
    }

    /// `None` if the provider takes no traces; the words say why one that does cannot be used.
    pub(super) fn of_provider(
        provider: &Provider<'_>,
        client: &Client,
        reader: &Reader<'_>,
    ) -> Option<Result<Self, String>> {
        let Provider::Configured(provider) = provider else { return None };
        let find = |service: &str, port: u32, transport: Transport| {
            Collector::find(service, port, transport, client, reader)
        };
        if let Some(it) = &provider.zipkin {
            let found = find(&it.service, it.port, Transport::Http);
            return Some(found.map(|collector| Self::Zipkin(Zipkin::new(it, collector))));
        }
        if let Some(it) = &provider.skywalking {
            let found = find(&it.service, it.port, Transport::Grpc);
            let token = it.access_token.as_str().into();
            return Some(found.map(|collector| Self::SkyWalking(collector, token)));
        }
        if let Some(it) = &provider.opentelemetry {
            let transport = if it.http.is_some() { Transport::Http } else { Transport::Grpc };
            let found = find(&it.service, it.port, transport);
            return Some(
                found.map(|collector| {
                    Self::OpenTelemetry(OpenTelemetry::new(it, collector, client))
                }),
            );
        }
        let it = provider.datadog.as_ref()?;
        let found = find(&it.service, it.port, Transport::Http);
        let service = client.telemetry.service_name.clone().unwrap_or_else(|| "envoy".into());
        Some(found.map(|collector| Self::Datadog(collector, service)))
    }

    /// The backend of `defaultConfig.tracing`.
    pub(super) fn of_legacy(
        tracing: &MeshTracing,
        client: &Client,
        reader: &Reader<'_>,
    ) -> Option<Result<Self, String>> {
        let zipkin = tracing.zipkin.as_ref()?;
        let (host, port) = zipkin.address.rsplit_once(':')?;
        let provider = ZipkinProvider {
            service: host.to_owned(),
            port: port.parse().unwrap_or_default(),
            ..ZipkinProvider::default()
        };
        let transport = Transport::Http;
        let found = Collector::find(&provider.service, provider.port, transport, client, reader);
        Some(found.map(|collector| Self::Zipkin(Zipkin::new(&provider, collector))))
    }

    pub(super) fn compile(&self) -> Http {
        match self {
            Self::Zipkin(zipkin) => named("envoy.tracers.zipkin", &zipkin.compile()),
            Self::SkyWalking(collector, token) => {
                let token = (!token.is_empty())
                    .then(|| BackendTokenSpecifier::BackendToken(token.to_string()));
                let config = SkyWalkingConfig {
                    grpc_service: Some(collector.grpc_service()),
                    // Service and instance are the node's cluster and id, so that proxies share
                    // listeners.
                    client_config: Some(ClientConfig {
                        backend_token_specifier: token,
                        ..ClientConfig::default()
                    }),
                };
                named("envoy.tracers.skywalking", &config)
            }
            Self::OpenTelemetry(otel) => named("envoy.tracers.opentelemetry", &otel.compile()),
            Self::Datadog(collector, service) => {
                let config = DatadogConfig {
                    collector_cluster: collector.cluster.to_string(),
                    collector_hostname: collector.authority.to_string(),
                    service_name: service.to_string(),
                    ..DatadogConfig::default()
                };
                named("envoy.tracers.datadog", &config)
            }
        }
    }
}

fn named<M: Message + Name>(name: &str, config: &M) -> Http {
    let config_type = Some(http::ConfigType::TypedConfig(Any::pack(config)));
    Http { name: name.to_owned(), config_type }
}

impl Zipkin {
    fn new(written: &ZipkinProvider, collector: Collector) -> Self {
        Self {
            collector,
            path: match written.path.as_str() {
                "" => ZIPKIN_PATH.into(),
                path => path.into(),
            },
            w3c: written.trace_context_option == "USE_B3_WITH_W3C_PROPAGATION",
            short_ids: written.enable64bit_trace_id,
            timeout: written.timeout,
            headers: headers(&written.headers),
        }
    }

    fn compile(&self) -> ZipkinConfig {
        let context = match self.w3c {
            true => TraceContextOption::UseB3WithW3cPropagation,
            false => TraceContextOption::UseB3,
        };
        let config = ZipkinConfig {
            trace_id_128bit: !self.short_ids,
            shared_span_context: Some(false),
            collector_endpoint_version: CollectorEndpointVersion::HttpJson.into(),
            trace_context_option: context.into(),
            ..ZipkinConfig::default()
        };
        let authority = self.collector.authority.to_string();
        if self.timeout.is_none() && self.headers.is_empty() {
            return ZipkinConfig {
                collector_cluster: self.collector.cluster.to_string(),
                collector_endpoint: self.path.to_string(),
                collector_hostname: authority,
                ..config
            };
        }
        let uri = format!("http://{authority}{}", self.path);
        let service = http_service(&self.collector, &uri, self.timeout, &self.headers);
        ZipkinConfig { collector_service: Some(service), ..config }
    }
}

impl OpenTelemetry {
    fn new(written: &OpenTelemetryProvider, collector: Collector, client: &Client) -> Self {
        let (http, grpc) = (written.http.as_ref(), written.grpc.as_ref());
        let written_headers = http
            .map(|it| it.headers.as_slice())
            .or(grpc.map(|it| it.initial_metadata.as_slice()))
            .unwrap_or_default();
        let export = match http {
            Some(http) => {
                let slash = if http.path.starts_with('/') { "" } else { "/" };
                let (authority, path) = (&collector.authority, &http.path);
                Export::Http { uri: format!("http://{authority}{slash}{path}").into() }
            }
            None => Export::Grpc,
        };
        Self {
            collector,
            service: client.telemetry.service_name.clone().unwrap_or_default(),
            export,
            timeout: http.and_then(|it| it.timeout).or(grpc.and_then(|it| it.timeout)),
            headers: headers(written_headers),
            reads_environment: written
                .resource_detectors
                .as_ref()
                .is_some_and(|it| it.environment.is_some()),
        }
    }

    fn compile(&self) -> OpenTelemetryConfig {
        let mut config = OpenTelemetryConfig {
            service_name: self.service.to_string(),
            ..OpenTelemetryConfig::default()
        };
        match &self.export {
            Export::Grpc => {
                let mut service = self.collector.grpc_service();
                service.timeout = self.timeout.map(duration);
                service.initial_metadata =
                    self.headers.iter().map(|(name, value)| header(name, value)).collect();
                config.grpc_service = Some(service);
            }
            Export::Http { uri } => {
                let service = http_service(&self.collector, uri, self.timeout, &self.headers);
                config.http_service = Some(service);
            }
        }
        if self.reads_environment {
            config.resource_detectors.push(TypedExtensionConfig {
                name: "envoy.tracers.opentelemetry.resource_detectors.environment".to_owned(),
                typed_config: Some(Any::pack(&EnvironmentResourceDetectorConfig {})),
            });
        }
        config
    }
}

fn http_service(
    collector: &Collector,
    uri: &str,
    timeout: Option<Duration>,
    headers: &[(Arc<str>, Arc<str>)],
) -> HttpService {
    let headers = headers.iter().map(|(name, value)| HeaderValueOption {
        header: Some(header(name, value)),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    });
    HttpService {
        http_uri: Some(HttpUri {
            uri: uri.to_owned(),
            timeout: Some(duration(timeout.unwrap_or(TIMEOUT))),
            http_upstream_type: Some(HttpUpstreamType::Cluster(collector.cluster.to_string())),
        }),
        request_headers_to_add: headers.collect(),
        ..HttpService::default()
    }
}

fn header(name: &str, value: &str) -> HeaderValue {
    HeaderValue { key: name.to_owned(), value: value.to_owned(), ..HeaderValue::default() }
}

/// A value from the environment is istiod's there, and no part of what is compiled here.
fn headers(written: &[ProviderHeader]) -> Vec<(Arc<str>, Arc<str>)> {
    let with_value = written.iter().filter_map(|it| Some((it.name.as_str(), it.value.as_ref()?)));
    with_value.map(|(name, value)| (name.into(), value.as_str().into())).collect()
}
