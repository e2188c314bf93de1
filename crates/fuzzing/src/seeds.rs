//! Inputs to begin with, out of the corpus, and words that mean something.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use envoy::{
    config::core::v3::Node,
    data::accesslog::v3::{AccessLogCommon, HttpAccessLogEntry, HttpRequestProperties},
    service::accesslog::v3::{
        StreamAccessLogsMessage,
        stream_access_logs_message::{HttpAccessLogEntries, LogEntries},
    },
    service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    type_url,
};
use prost::Message;
use serde_json::Value;

/// Larger files make a fuzzer slow and find nothing more.
const MAX_SEED: usize = 16 * 1024;

/// Words of YAML and of the objects' fields and values.
pub const DOCUMENT_WORDS: &[&str] = &[
    "---\n",
    "...\n",
    "- ",
    "? ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "|\n",
    ">-\n",
    "\"",
    "'",
    "#",
    "\t",
    "\r\n",
    "\u{feff}",
    "null",
    "~",
    "true",
    "0x1f",
    "1e9",
    "-1",
    "4294967296",
    "65536",
    "99999999999999999999",
    "0.5s",
    "1h30m",
    "315576000001s",
    "1.2.3.4",
    "10.0.0.0/8",
    "::1",
    "unix:///run/x",
    "*",
    "*.com",
    "*.",
    ".",
    "~/*",
    "./*",
    "a/*",
    "mesh",
    "kind: List\nitems:\n",
    "kind: Service\n",
    "kind: VirtualService\n",
    "kind: DestinationRule\n",
    "kind: ServiceEntry\n",
    "kind: WorkloadEntry\n",
    "kind: Sidecar\n",
    "kind: Gateway\n",
    "apiVersion: v1\n",
    "apiVersion: networking.istio.io/v1\n",
    "metadata: {name: a}\n",
    "spec:\n",
    "namespace: shop",
    "hosts: [a]",
    "host: a",
    "subset: v1",
    "weight: 100",
    "port: {number: 80}",
    "number: 0",
    "protocol: TLS",
    "protocol: GRPC",
    "resolution: DNS",
    "resolution: NONE",
    "resolution: STATIC",
    "endpoints: []",
    "exportTo: ['.']",
    "mode: PASSTHROUGH",
    "mode: MUTUAL",
    "mode: AUTO_PASSTHROUGH",
    "captureMode: NONE",
    "delegate: {name: b}",
    "regex: '('",
    "exact: ''",
    "prefix: ''",
    "percentage: {value: 0.1}",
    "timeout: 1s",
    "simple: PASSTHROUGH",
    "consistentHash: {useSourceIp: true}",
    "outlierDetection: {}",
    "localityLbSetting: {}",
    "publishNotReadyAddresses: true",
    "clusterIP: None",
    "externalName: a",
    "type: ExternalName",
];

/// Words of discovery requests.
pub const REQUEST_WORDS: &[&str] = &[
    "\u{0}\u{0}\u{0}\u{0}\u{1}",
    "\u{0}\u{0}\u{0}\u{0}\u{0}",
    "\u{1}\u{0}\u{0}\u{0}\u{0}",
    "*",
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
];

/// Pieces of tokens: dots, and objects as base64url.
pub const TOKEN_WORDS: &[&str] =
    &[".", "..", "=", "e30", "eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9", "[", "{}", "\"kid\""];

/// The keys that `TOKEN` can be checked with.
pub const KEYS: &str = include_str!("../../identity/testdata/rsa.jwks");
/// A token that is good until the year 2100.
pub const TOKEN: &str = include_str!("../../identity/testdata/rsa.jwt");

/// A token and the keys of its issuer.
pub fn tokens() -> Vec<Vec<u8>> {
    vec![TOKEN.trim_end().as_bytes().to_vec(), KEYS.as_bytes().to_vec()]
}

/// Files and pieces of files with objects, each once, sorted.
pub fn documents(corpus: &Path) -> Result<Vec<Vec<u8>>> {
    let mut found =
        vec![b"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {}\n".to_vec()];
    collect(corpus, &mut found).with_context(|| format!("failed to read {}", corpus.display()))?;
    found.retain(|seed| seed.len() <= MAX_SEED);
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
            continue;
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml") => found.push(fs::read(&path)?),
            Some("json") => {
                let value: Value = serde_json::from_slice(&fs::read(&path)?)?;
                collect_texts(&value, found);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The simulation cases hold their objects as text.
fn collect_texts(value: &Value, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if text.contains("apiVersion:") => found.push(text.clone().into()),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|item| collect_texts(item, found)),
        _ => {}
    }
}

/// Signing requests as openssl writes them, in PEM and DER.
pub fn certificates() -> Vec<Vec<u8>> {
    let requests = [
        include_str!("../../identity/testdata/ec.csr"),
        include_str!("../../identity/testdata/rsa.csr"),
    ];
    let mut seeds: Vec<Vec<u8>> = requests.iter().map(|pem| pem.as_bytes().to_vec()).collect();
    for pem in requests {
        let lines = pem.lines().filter(|line| !line.starts_with('-'));
        seeds.extend(STANDARD.decode(lines.collect::<String>()).ok());
    }
    seeds
}

/// Streams of requests as Envoy begins them, of both protocols.
pub fn requests() -> Vec<Vec<u8>> {
    let node = Some(Node {
        id: "sidecar~10.0.0.1~a.default~default.svc.cluster.local".to_owned(),
        ..Node::default()
    });
    let types = [type_url::CLUSTER, type_url::ENDPOINT, type_url::LISTENER, type_url::ROUTE];
    let mut streams = vec![vec![0], vec![1]];
    let (mut delta, mut sotw) = (vec![254], vec![255]);
    for (index, type_url) in types.into_iter().enumerate() {
        let node = node.clone().filter(|_| index == 0);
        let subscribe = DeltaDiscoveryRequest {
            node: node.clone(),
            type_url: type_url.to_owned(),
            resource_names_subscribe: vec!["*".to_owned(), "a".to_owned()],
            resource_names_unsubscribe: vec!["b".to_owned()],
            initial_resource_versions: [("a".to_owned(), "1".to_owned())].into(),
            response_nonce: index.to_string(),
            ..DeltaDiscoveryRequest::default()
        };
        let ask = DiscoveryRequest {
            node,
            type_url: type_url.to_owned(),
            resource_names: vec!["a".to_owned()],
            version_info: "1".to_owned(),
            response_nonce: index.to_string(),
            ..DiscoveryRequest::default()
        };
        delta.extend(framed(&subscribe));
        sotw.extend(framed(&ask));
        // The same with small pieces.
        streams.push([vec![6], framed(&subscribe)].concat());
        streams.push([vec![7], framed(&ask)].concat());
    }
    streams.extend([delta, sotw]);
    streams
}

fn framed(message: &impl Message) -> Vec<u8> {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0][..], &length, &body].concat()
}

/// Words of call graphs.
pub const GRAPH_WORDS: &[&str] = &[
    "\"data\":",
    "\"items\":",
    "\"elements\":",
    "\"nodes\":",
    "\"edges\":",
    "\"calls\":",
    "\"parent\":",
    "\"child\":",
    "\"source\":",
    "\"target\":",
    "\"id\":",
    "\"name\":",
    "null",
    "[]",
    "{}",
    "1e99",
    "-1",
    "outbound|80||a",
    "PassthroughCluster",
    "::",
    ".",
    "/",
    ",",
    "\"",
];

/// A call graph of each form, and a report of calls.
pub fn graphs() -> Vec<Vec<u8>> {
    let entry = |cluster: &str| HttpAccessLogEntry {
        common_properties: Some(AccessLogCommon {
            upstream_cluster: cluster.to_owned(),
            ..AccessLogCommon::default()
        }),
        request: Some(HttpRequestProperties {
            authority: "cart:80".to_owned(),
            ..HttpRequestProperties::default()
        }),
        ..HttpAccessLogEntry::default()
    };
    let log_entry = vec![entry("outbound|80||cart.shop"), entry("PassthroughCluster")];
    let report = StreamAccessLogsMessage {
        identifier: None,
        log_entries: Some(LogEntries::HttpLogs(HttpAccessLogEntries { log_entry })),
    };
    let texts = [
        "workload,host,count\nshop/web,cart,3\nshop/web;pay.bank\n# c\n",
        r#"[{"workload": "shop/web", "host": "cart", "count": 3}]"#,
        r#"{"data": [{"parent": "web.shop", "child": "cart.shop", "callCount": 1}]}"#,
        r#"{"data": {"t": {"nodes": [{"id": "1", "name": "g::web.shop"}, {"id": "2", "name": "db:1",
            "isReal": false}], "calls": [{"source": "1", "target": "2"}]}}}"#,
        r#"{"elements": {"nodes": [{"data": {"id": "w", "namespace": "shop", "workload": "web"}},
            {"data": {"id": "s", "nodeType": "service", "namespace": "shop", "service": "a",
            "destServices": [{"name": "b", "namespace": "c"}]}}],
            "edges": [{"data": {"source": "w", "target": "s"}}]}}"#,
    ];
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    seeds.push(report.encode_to_vec());
    seeds
}
