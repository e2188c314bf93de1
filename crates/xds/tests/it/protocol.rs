//! What goes over the wire: routes, messages, errors and statuses.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use envoy::{Resource, config::cluster::v3::Cluster, type_url};
use http::Method;
use xds::{
    AdsStream, Code, Protocol, Request, Response, Settings, Status,
    client::{AdsResponse, ClientError},
};

use crate::harness::{eventually, patiently, start};

/// Answers each request that subscribes with one cluster, and says what it saw at the end.
async fn answer(mut stream: AdsStream) -> Status {
    let cluster = Cluster { name: "c1".to_owned(), ..Default::default() };
    let resource = Resource::from_message("c1", type_url::CLUSTER, &cluster);
    let mut seen = Vec::new();
    while let Some(request) = stream.requests.next().await {
        let request = match request {
            Ok(request) => request,
            Err(error) => return error.status(),
        };
        let nonce = match request {
            Request::Delta(request) => {
                let node = request.node.map(|node| node.id.len());
                let error = request.error_detail.map(|error| error.message);
                seen.push(format!("{node:?} {} {error:?}", request.response_nonce));
                request.response_nonce
            }
            Request::Sotw(request) => {
                let node = request.node.map(|node| node.id.len());
                let (nonce, version) = (&request.response_nonce, &request.version_info);
                seen.push(format!("{node:?} {nonce} {version} {:?}", request.resource_names));
                request.response_nonce
            }
        };
        if nonce.is_empty() {
            let chunks = match stream.protocol {
                Protocol::Delta => resource.delta_chunks().chunks().to_vec(),
                Protocol::Sotw => resource.sotw_chunks().chunks().to_vec(),
            };
            let removed: Vec<Arc<str>> = match stream.protocol {
                Protocol::Delta => vec!["gone".into()],
                Protocol::Sotw => vec![],
            };
            let type_url = type_url::CLUSTER;
            let response = Response { type_url, nonce: 7, version: "v1", chunks, removed };
            if stream.responses.send(response).await.is_err() {
                return Status::OK;
            }
        }
    }
    Status::new(Code::Aborted, format!("ende: {}", seen.join("; ")))
}

/// Subscribes, answers the response, ends the stream and gives what came.
async fn converse(protocol: Protocol, nack: Option<&str>) -> (AdsResponse, Status) {
    let server = start(Settings::default(), answer).await;
    let mut client = server.connect(protocol).await;
    client.subscribe(type_url::CLUSTER, [], BTreeMap::new()).await.unwrap();
    let response = patiently(client.next_response()).await.unwrap().unwrap();
    match nack {
        None => client.ack(&response).await.unwrap(),
        Some(reason) => client.nack(&response, reason).await.unwrap(),
    }
    client.finish();
    match patiently(client.next_response()).await {
        Err(ClientError::Ended(status)) => {
            eventually("stream is closed", || server.metrics.streams_open.get() == 0).await;
            assert_eq!(server.metrics.requests.get(), 2);
            assert_eq!(server.metrics.responses.get(), 1);
            assert_eq!(server.metrics.bytes_sent.get(), response.len as u64 + 5);
            (response, status)
        }
        other => panic!("expected a status, found {other:?}"),
    }
}

#[tokio::test]
async fn a_delta_stream_is_served_and_ends_with_a_status() {
    let (response, status) = converse(Protocol::Delta, None).await;
    assert_eq!((&*response.nonce, &*response.version), ("7", "v1"));
    assert_eq!(response.removed, ["gone"]);
    assert_eq!(response.resources[0].name, "c1");
    assert_eq!(response.resources[0].version.len(), 16);
    let cluster: Cluster = response.resources[0].resource.as_ref().unwrap().unpack().unwrap();
    assert_eq!(cluster.name, "c1");
    assert_eq!(status, Status::new(Code::Aborted, "ende: Some(26)  None; None 7 None"));
}

#[tokio::test]
async fn a_sotw_stream_is_served_and_ends_with_a_status() {
    let (response, status) = converse(Protocol::Sotw, None).await;
    assert_eq!(response.resources[0].name, "c1");
    assert_eq!(response.resources[0].version, "v1");
    assert_eq!(status.message, "ende: Some(26)   []; None 7 v1 []");
}

#[tokio::test]
async fn a_nack_carries_its_reason_and_on_sotw_the_old_version() {
    let (_, status) = converse(Protocol::Delta, Some("böse")).await;
    assert_eq!(status.message, "ende: Some(26)  None; None 7 Some(\"böse\")");
    let (_, status) = converse(Protocol::Sotw, Some("no")).await;
    assert_eq!(status.message, "ende: Some(26)   []; None 7  []");
}

#[track_caller]
fn check_refused(result: Result<Option<AdsResponse>, ClientError>, code: Code, message: &str) {
    match result {
        Err(ClientError::Ended(status)) => {
            assert_eq!(status, Status::new(code, message.to_owned()));
        }
        other => panic!("expected a status, found {other:?}"),
    }
}

#[tokio::test]
async fn unreadable_messages_end_the_stream_with_what_is_wrong() {
    let settings = Settings { max_request_len: 100, ..Settings::default() };
    let server = start(settings, answer).await;
    let cases: [(&'static [u8], Code, &str); 4] = [
        (
            &[1, 0, 0, 0, 1, 9],
            Code::Unimplemented,
            "message is compressed, and no compression was offered",
        ),
        (&[2, 0, 0, 0, 1, 9], Code::Internal, "message starts with the unknown flag 2"),
        (
            &[0, 0, 0, 0, 101],
            Code::ResourceExhausted,
            "message of 101 bytes exceeds the limit of 100",
        ),
        (
            &[0, 0, 0, 0, 2, 0x0a, 0xff],
            Code::InvalidArgument,
            "failed to decode a delta discovery request",
        ),
    ];
    for (data, code, message) in cases {
        let mut client = server.connect(Protocol::Delta).await;
        client.send_raw(Bytes::from_static(data)).await.unwrap();
        check_refused(patiently(client.next_response()).await, code, message);
    }
    let mut client = server.connect(Protocol::Delta).await;
    client.send_raw(Bytes::from_static(&[0, 0, 0, 0, 9, 1])).await.unwrap();
    client.finish();
    let message = "stream ended in the middle of a message";
    check_refused(patiently(client.next_response()).await, Code::Internal, message);
    assert_eq!(server.metrics.decode_errors.get(), 5);
    assert_eq!(server.metrics.requests.get(), 0);
}

#[tokio::test]
async fn a_message_in_many_pieces_is_one_request() {
    let server = start(Settings::default(), answer).await;
    let mut client = server.connect(Protocol::Delta).await;
    for byte in [0, 0, 0, 0, 3, 0x12, 1, b't'] {
        client.send_raw(Bytes::from(vec![byte])).await.unwrap();
    }
    let response = patiently(client.next_response()).await.unwrap().unwrap();
    assert_eq!(response.nonce, "7");
}

#[tokio::test]
async fn an_empty_stream_ends_with_the_status_of_the_service() {
    let server = start(Settings::default(), answer).await;
    let path = Protocol::Delta.path();
    let (status, headers, body, trailers) =
        server.call(Method::POST, path, "application/grpc+proto", &[]).await;
    assert_eq!((status.as_u16(), body.len()), (200, 0));
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(trailers["grpc-status"], "10");
    assert_eq!(trailers["grpc-message"], "ende: ");
}

#[tokio::test]
async fn unknown_methods_and_content_types_are_refused() {
    let server = start(Settings::default(), answer).await;
    let grpc = "application/grpc";
    let (status, headers, ..) = server.call(Method::POST, "/a.B/C", grpc, &[]).await;
    assert_eq!((status.as_u16(), headers["grpc-status"].to_str().unwrap()), (200, "12"));
    let (_, headers, ..) = server.call(Method::GET, Protocol::Delta.path(), grpc, &[]).await;
    assert_eq!(headers["grpc-status"], "12");
    let json = "application/json";
    let (status, ..) = server.call(Method::POST, Protocol::Delta.path(), json, &[]).await;
    assert_eq!(status.as_u16(), 415);
    assert_eq!(server.metrics.streams.get(), 0);
}

#[tokio::test]
async fn the_authorization_header_reaches_the_service_as_sensitive() {
    let server = start(Settings::default(), |stream: AdsStream| async move {
        let value = stream.peer.authorization.expect("header");
        assert!(value.is_sensitive() && !stream.peer.tls && stream.peer.certificates.is_empty());
        Status::new(Code::PermissionDenied, value.to_str().unwrap().to_owned())
    })
    .await;
    let mut settings =
        xds::client::ClientSettings::new(server.address, Protocol::Delta, Default::default());
    settings.authorization = Some("Bearer t".to_owned());
    let mut client = xds::client::AdsClient::connect_with(&settings).await.unwrap();
    check_refused(patiently(client.next_response()).await, Code::PermissionDenied, "Bearer t");
}

#[tokio::test]
async fn a_service_that_panics_ends_its_stream_only() {
    let server = start(Settings::default(), |stream: AdsStream| async move {
        assert!(stream.id > 1, "the first stream fails");
        Status::OK
    })
    .await;
    let mut client = server.connect(Protocol::Delta).await;
    let message = "the service of this stream failed";
    check_refused(patiently(client.next_response()).await, Code::Internal, message);
    let mut client = server.connect(Protocol::Delta).await;
    assert_eq!(patiently(client.next_response()).await.unwrap(), None);
}
