//! What callers' proxies report is learned, each for itself.

use std::time::Duration;

use bytes::Bytes;
use envoy::{
    data::accesslog::v3::{AccessLogCommon, HttpAccessLogEntry, HttpRequestProperties},
    service::accesslog::v3::{
        StreamAccessLogsMessage,
        stream_access_logs_message::{HttpAccessLogEntries, Identifier, LogEntries},
    },
};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{net::TcpStream, time};

use crate::plane::{Plane, node};

const PATH: &str = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
const WEB: &str = "web.shop.svc.cluster.local";

/// A report of calls: cluster and authority of each.
fn report(node_id: Option<&str>, calls: &[(&str, &str)]) -> StreamAccessLogsMessage {
    let entries = calls.iter().map(|(cluster, authority)| HttpAccessLogEntry {
        common_properties: Some(AccessLogCommon {
            upstream_cluster: (*cluster).to_owned(),
            ..AccessLogCommon::default()
        }),
        request: Some(HttpRequestProperties {
            authority: (*authority).to_owned(),
            ..HttpRequestProperties::default()
        }),
        ..HttpAccessLogEntry::default()
    });
    let identifier = node_id.map(|id| Identifier {
        node: Some(node(id, &[("WORKLOAD_NAME", "caller")])),
        log_name: "scope".to_owned(),
    });
    let log_entry = entries.collect();
    let entries = LogEntries::HttpLogs(HttpAccessLogEntries { log_entry });
    StreamAccessLogsMessage { identifier, log_entries: Some(entries) }
}

/// Sends messages as a proxy does, and ends. The code of the answer.
async fn send(plane: &Plane, messages: &[StreamAccessLogsMessage]) -> String {
    let mut body = Vec::new();
    for message in messages {
        let bytes = message.encode_to_vec();
        body.push(0);
        body.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        body.extend(bytes);
    }
    let address = plane.mesh.xds_address();
    let socket = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{address}{PATH}"))
        .header("content-type", "application/grpc")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let code = body.trailers().and_then(|it| it.get("grpc-status")).cloned();
    let code = code.or_else(|| head.headers.get("grpc-status").cloned());
    code.unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn calls_that_a_proxy_reports_are_learned_for_its_workload() {
    let plane = Plane::shop().await;
    let id = "sidecar~10.1.0.1~caller-1.shop~shop.svc.cluster.local";
    let first = report(
        Some(id),
        &[("outbound|80|v1|web.shop.svc.cluster.local", "x"), ("PassthroughCluster", "junk.test")],
    );
    let second = report(None, &[("PassthroughCluster", "web"), ("inbound|8080||", "web")]);
    assert_eq!(send(&plane, &[first, second]).await, "0");
    for _ in 0..500 {
        let said = plane.run(&["scope", "shop/caller", "-o", "json"]).await.expect(0).json();
        if said["items"][0]["count"] == 2 {
            assert_eq!(said["items"].as_array().map(Vec::len), Some(1), "{said}");
            assert_eq!(said["items"][0]["host"], WEB);
            assert_eq!(said["items"][0]["sensors"], serde_json::json!(["access-log"]));
            return;
        }
        time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing was learned");
}

#[tokio::test]
async fn reports_of_nobody_are_refused() {
    let plane = Plane::shop().await;
    let calls = [("outbound|80||web.shop.svc.cluster.local", "x")];
    assert_eq!(send(&plane, &[report(None, &calls)]).await, "3");
    assert_eq!(send(&plane, &[report(Some("no node"), &calls)]).await, "3");
}
