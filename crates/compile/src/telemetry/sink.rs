//! What an access log is written to, by its provider.

use std::sync::Arc;

use api::istio::{
    extension_provider::{
        AlsProvider, ExtensionProvider, FileAccessLogProvider, LogFormat as WrittenFormat,
        OtelAlsProvider,
    },
    mesh_config::{AccessLogEncoding, MeshConfig},
};
use serde_json::Value;
use snapshot::Reader;

use super::{
    collector::{Collector, Transport},
    format::LogFormat,
    provider::{ENVOY, Provider},
};
use crate::Client;

const STDOUT: &str = "/dev/stdout";

/// Where entries go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sink {
    File(FileSink),
    HttpAls(AlsSink),
    TcpAls(AlsSink),
    Otel(OtelSink),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileSink {
    pub path: Arc<str>,
    pub format: LogFormat,
    pub omit_empty: bool,
}

/// Envoy's own access log service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AlsSink {
    pub collector: Collector,
    pub log_name: Arc<str>,
    pub filter_states: Vec<String>,
    pub request_headers: Vec<String>,
    pub response_headers: Vec<String>,
    pub response_trailers: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OtelSink {
    pub collector: Collector,
    pub log_name: Arc<str>,
    pub filter_states: Vec<String>,
    /// Of the entry's body.
    pub text: Arc<str>,
    /// Name and format of the entry's attributes.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
}

impl Sink {
    pub(super) fn collector(&self) -> Option<&Collector> {
        match self {
            Self::File(_) => None,
            Self::HttpAls(sink) | Self::TcpAls(sink) => Some(&sink.collector),
            Self::Otel(sink) => Some(&sink.collector),
        }
    }

    /// The file that `accessLogFile` of the mesh names.
    pub(super) fn of_mesh(config: &MeshConfig) -> (Option<Self>, Option<String>) {
        if config.access_log_file.is_empty() {
            return (None, None);
        }
        let (format, wrong) = mesh_format(config);
        let path = config.access_log_file.as_str().into();
        (Some(Self::File(FileSink { path, format, omit_empty: false })), wrong)
    }

    /// What a provider writes to; `Ok(None)` if it is none of access logs. The words say why it
    /// cannot be used, or what of it cannot.
    pub(super) fn of_provider(
        provider: &Provider<'_>,
        client: &Client,
        reader: &Reader<'_>,
    ) -> (Option<Self>, Option<String>) {
        let config = &reader.mesh().config;
        let ExtensionProvider { name, envoy_file_access_log: file, .. } = match provider {
            Provider::Envoy => return of_file(ENVOY, &FileAccessLogProvider::default(), config),
            Provider::Prometheus => return (None, None),
            Provider::Configured(provider) => *provider,
        };
        let Provider::Configured(provider) = provider else { return (None, None) };
        let als = |als: &AlsProvider, kind: fn(AlsSink) -> Self, name: &str| match Collector::find(
            &als.service,
            als.port,
            Transport::Grpc,
            client,
            reader,
        ) {
            Ok(collector) => (Some(kind(als_sink(als, collector, name))), None),
            Err(why) => (None, Some(why)),
        };
        if let Some(file) = file {
            return of_file(name, file, config);
        }
        if let Some(http) = &provider.envoy_http_als {
            return als(http, Self::HttpAls, "http_envoy_accesslog");
        }
        if let Some(tcp) = &provider.envoy_tcp_als {
            return als(tcp, Self::TcpAls, "tcp_envoy_accesslog");
        }
        match &provider.envoy_otel_als {
            Some(otel) => of_otel(otel, client, reader),
            None => (None, None),
        }
    }
}

fn als_sink(als: &AlsProvider, collector: Collector, name: &str) -> AlsSink {
    AlsSink {
        collector,
        log_name: or(&als.log_name, name),
        filter_states: als.filter_state_objects_to_log.clone(),
        request_headers: als.additional_request_headers_to_log.clone(),
        response_headers: als.additional_response_headers_to_log.clone(),
        response_trailers: als.additional_response_trailers_to_log.clone(),
    }
}

fn of_file(
    name: &str,
    file: &FileAccessLogProvider,
    config: &MeshConfig,
) -> (Option<Sink>, Option<String>) {
    let written = file.log_format.as_ref();
    // The provider that is always there takes its format from the mesh, as in Istio.
    let (format, wrong) = match written {
        None if name == ENVOY => mesh_format(config),
        None => (LogFormat::default_text(), None),
        Some(WrittenFormat { labels: Some(labels), .. }) => {
            or_default(LogFormat::labels(labels), LogFormat::default_json)
        }
        Some(WrittenFormat { text, .. }) => match text.as_deref().unwrap_or_default() {
            "" => (LogFormat::default_text(), None),
            text => or_default(LogFormat::text(text), LogFormat::default_text),
        },
    };
    let omit_empty = file.omit_empty_values == Some(true);
    (Some(Sink::File(FileSink { path: or(&file.path, STDOUT), format, omit_empty })), wrong)
}

fn mesh_format(config: &MeshConfig) -> (LogFormat, Option<String>) {
    match (config.access_log_encoding, config.access_log_format.as_str()) {
        (AccessLogEncoding::Text, "") => (LogFormat::default_text(), None),
        (AccessLogEncoding::Json, "") => (LogFormat::default_json(), None),
        (AccessLogEncoding::Text, text) => {
            or_default(LogFormat::text(text), LogFormat::default_text)
        }
        (AccessLogEncoding::Json, text) => {
            or_default(LogFormat::json(text), LogFormat::default_json)
        }
    }
}

fn or_default(
    format: Result<LogFormat, String>,
    default: fn() -> LogFormat,
) -> (LogFormat, Option<String>) {
    match format {
        Ok(format) => (format, None),
        Err(why) => (default(), Some(format!("{why}, so the default format is used"))),
    }
}

fn of_otel(
    otel: &OtelAlsProvider,
    client: &Client,
    reader: &Reader<'_>,
) -> (Option<Sink>, Option<String>) {
    let found = Collector::find(&otel.service, otel.port, Transport::Grpc, client, reader);
    let collector = match found {
        Ok(collector) => collector,
        Err(why) => return (None, Some(why)),
    };
    let format = otel.log_format.as_ref();
    let written = format.and_then(|it| it.text.as_deref()).filter(|text| !text.is_empty());
    let text = written.map_or_else(|| Ok(LogFormat::default_text()), LogFormat::text);
    let (text, mut wrong) = or_default(text, LogFormat::default_text);
    let (LogFormat::Text(text) | LogFormat::Json(text)) = text;
    let labels = format.and_then(|it| it.labels.as_ref()).and_then(Value::as_object);
    let mut attributes = Vec::new();
    for (name, value) in labels.into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match super::format::check_format(&value) {
            Ok(()) => attributes.push((name.as_str().into(), value.into())),
            Err(why) => wrong = Some(format!("{why}, so the label `{name}` is left out")),
        }
    }
    let sink = OtelSink {
        collector,
        log_name: or(&otel.log_name, "otel_envoy_accesslog"),
        filter_states: otel.filter_state_objects_to_log.clone(),
        text,
        attributes,
    };
    (Some(Sink::Otel(sink)), wrong)
}

fn or(written: &str, default: &str) -> Arc<str> {
    if written.is_empty() { default.into() } else { written.into() }
}
