//! Calls on the port of the ADS streams.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use xds::{Code, PeerInfo, Settings, Status, UnaryAnswer, UnaryMethod};

use crate::harness::{Running, start_with};

const PATH: &str = "/test.Echo/Echo";

/// Says back what it is told, unless that is `panic`.
struct Echo;

impl UnaryMethod for Echo {
    fn path(&self) -> &'static str {
        PATH
    }

    fn call(&self, peer: PeerInfo, message: Bytes) -> UnaryAnswer<'_> {
        Box::pin(async move {
            assert!(peer.is_loopback() && peer.is_private() && !peer.tls);
            assert_ne!(&*message, b"panic");
            match message.is_empty() {
                true => Err(Status::new(Code::PermissionDenied, "say something")),
                false => Ok(message),
            }
        })
    }
}

async fn serve() -> Running {
    let service = |_stream| async { Status::OK };
    start_with(Settings::default(), service, |server| server.mount(Arc::new(Echo))).await
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// Message and code of a call.
async fn call(server: &Running, path: &str, body: &[u8]) -> (Bytes, u32) {
    let (status, headers, message, trailers) =
        server.call(Method::POST, path, "application/grpc", body).await;
    assert_eq!(status, StatusCode::OK);
    // An answer without a message has its status in the headers.
    let code = trailers.get("grpc-status").or(headers.get("grpc-status")).unwrap();
    (message, code.to_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_call_is_answered_with_a_message_and_a_status() {
    let server = serve().await;
    let (message, code) = call(&server, PATH, &framed(b"hello")).await;
    assert_eq!(message, framed(b"hello"));
    assert_eq!(code, 0);
}

#[tokio::test]
async fn a_call_that_cannot_be_answered_has_a_status() {
    let server = serve().await;
    let cases: [(&str, Vec<u8>, Code); 6] = [
        ("/test.Echo/Other", framed(b"hello"), Code::Unimplemented),
        (PATH, framed(b""), Code::PermissionDenied),
        (PATH, framed(b"panic"), Code::Internal),
        (PATH, Vec::new(), Code::InvalidArgument),
        (PATH, framed(b"hello")[..7].to_vec(), Code::Internal),
        (PATH, framed(&vec![1; 300 << 10]), Code::ResourceExhausted),
    ];
    for (path, body, code) in cases {
        let (message, found) = call(&server, path, &body).await;
        assert_eq!((message.len(), found), (0, code as u32), "{path} {}", body.len());
    }
}
