//! Reads spans by the protocols in which proxies send them.

use std::collections::BTreeMap;

use anyhow::Result;
use envoy::opentelemetry::proto::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
};
use prost::Message;
use serde_json::Value;
use testkit::http::{Receiver, Report};

/// What the protocols have in common.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub path: String,
    pub service: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub tags: BTreeMap<String, String>,
    /// The token by which the proxy is let in.
    pub token: Option<String>,
}

impl Span {
    /// SkyWalking has a name of its own for it.
    pub(crate) fn url(&self) -> &str {
        self.tags.get("http.url").or(self.tags.get("url")).map_or("", String::as_str)
    }
}

/// All spans that came, in their order.
pub(crate) fn spans(receiver: &Receiver) -> Result<Vec<Span>> {
    let mut spans = Vec::new();
    for report in receiver.reports() {
        match report.path.as_str() {
            "/api/v2/spans" => spans.extend(zipkin(&report)?),
            "/v1/traces" | "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
                spans.extend(otlp(&report)?);
            }
            "/skywalking.v3.TraceSegmentReportService/collect" => {
                spans.extend(skywalking(&report)?);
            }
            other => anyhow::bail!("a report at `{other}`"),
        }
    }
    Ok(spans)
}

fn zipkin(report: &Report) -> Result<Vec<Span>> {
    let written: Vec<Value> = serde_json::from_slice(&report.message)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spans = written.iter().map(|span| Span {
        path: report.path.clone(),
        service: text(&span["localEndpoint"]["serviceName"]),
        trace: text(&span["traceId"]),
        id: text(&span["id"]),
        parent: text(&span["parentId"]),
        tags: serde_json::from_value(span["tags"].clone()).unwrap_or_default(),
        token: None,
    });
    Ok(spans.collect())
}

pub(super) fn otlp(report: &Report) -> Result<Vec<Span>> {
    let export = ExportTraceServiceRequest::decode(report.message.clone())?;
    let mut spans = Vec::new();
    for group in export.resource_spans {
        let resource = attributes(group.resource.unwrap_or_default().attributes);
        for span in group.scope_spans.into_iter().flat_map(|it| it.spans) {
            spans.push(Span {
                path: report.path.clone(),
                service: resource.get("service.name").cloned().unwrap_or_default(),
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                tags: attributes(span.attributes),
                token: None,
            });
        }
    }
    Ok(spans)
}

/// Texts as they are, anything else as it is debugged.
pub(super) fn attributes(list: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: any_value::Value| match value {
        any_value::Value::StringValue(text) => text,
        other => format!("{other:?}"),
    };
    let value = |it: AnyValue| it.value.map(text).unwrap_or_default();
    list.into_iter().map(|it| (it.key, it.value.map(value).unwrap_or_default())).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of `skywalking.v3.SegmentObject` what is asked for here.
#[derive(Clone, PartialEq, Message)]
struct Segment {
    #[prost(string, tag = "1")]
    trace: String,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(message, repeated, tag = "3")]
    spans: Vec<SegmentSpan>,
    #[prost(string, tag = "4")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct SegmentSpan {
    #[prost(message, repeated, tag = "5")]
    references: Vec<Reference>,
    #[prost(message, repeated, tag = "12")]
    tags: Vec<SegmentTag>,
}

#[derive(Clone, PartialEq, Message)]
struct Reference {
    #[prost(string, tag = "3")]
    parent: String,
}

#[derive(Clone, PartialEq, Message)]
struct SegmentTag {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

fn skywalking(report: &Report) -> Result<Vec<Span>> {
    let segment = Segment::decode(report.message.clone())?;
    let token = report.headers.get("authentication").and_then(|it| it.to_str().ok());
    let spans = segment.spans.iter().map(|span| {
        let tags: BTreeMap<_, _> =
            span.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
        Span {
            path: report.path.clone(),
            service: segment.service.clone(),
            trace: segment.trace.clone(),
            id: segment.id.clone(),
            parent: span.references.first().map(|it| it.parent.clone()).unwrap_or_default(),
            tags,
            token: token.map(str::to_owned),
        }
    });
    Ok(spans.collect())
}
