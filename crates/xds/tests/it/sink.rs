//! Calls that only take, on the port of the ADS streams.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, StatusCode};
use xds::{Code, PeerInfo, Settings, Sink, SinkMethod, SinkOpening, Status};

use crate::harness::{Running, start_with};

const PATH: &str = "/test.Log/Take";

/// Keeps what it is told, until that is `stop`.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Bytes>>>);

impl SinkMethod for Kept {
    fn path(&self) -> &'static str {
        PATH
    }

    fn open(&self, peer: PeerInfo) -> SinkOpening<'_> {
        Box::pin(async move {
            match peer.authorization {
                Some(_) => Err(Status::new(Code::PermissionDenied, "not with that")),
                None => Ok(Box::new(self.clone()) as Box<dyn Sink>),
            }
        })
    }
}

impl Sink for Kept {
    fn take(&mut self, message: Bytes) -> Result<(), Status> {
        assert_ne!(&*message, b"panic");
        if &*message == b"stop" {
            return Err(Status::new(Code::ResourceExhausted, "enough"));
        }
        self.0.lock().unwrap().push(message);
        Ok(())
    }
}

fn framed(messages: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for message in messages {
        body.push(0);
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend_from_slice(message);
    }
    body
}

async fn serve() -> (Running, Kept) {
    let kept = Kept::default();
    let method = Arc::new(kept.clone());
    let service = |_stream| async { Status::OK };
    let server = start_with(Settings::default(), service, |it| it.mount_sink(method)).await;
    (server, kept)
}

/// What is sent, the status, and what is taken.
type Case<'a> = (Vec<u8>, Code, &'a [&'a [u8]]);

#[tokio::test]
async fn messages_are_taken_one_after_the_other_until_the_end() {
    let (server, kept) = serve().await;
    let long = vec![b'x'; 300 << 10];
    let cases: [Case<'_>; 5] = [
        (framed(&[b"a", b"", b"b"]), Code::Ok, &[b"a", b"", b"b"]),
        (framed(&[b"c", b"stop", b"d"]), Code::ResourceExhausted, &[b"c"]),
        (framed(&[b"e", &long]), Code::ResourceExhausted, &[b"e"]),
        (framed(&[b"f", b"g"])[..11].to_vec(), Code::Internal, &[b"f"]),
        (framed(&[b"h", b"panic"]), Code::Internal, &[b"h"]),
    ];
    for (body, code, expected) in cases {
        let (status, headers, message, trailers) =
            server.call(Method::POST, PATH, "application/grpc", &body).await;
        assert_eq!((status, message.len()), (StatusCode::OK, 0));
        let found = trailers.get("grpc-status").or(headers.get("grpc-status")).unwrap();
        assert_eq!(found.to_str().unwrap(), (code as u32).to_string());
        assert_eq!(std::mem::take(&mut *kept.0.lock().unwrap()), expected);
    }
}
