//! Streams without connections behave as those with one.

use bytes::{BufMut, Bytes, BytesMut};
use envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use prost::Message;
use xds::{
    AdsService, AdsStream, Code, Metrics, Protocol, Request, Response, Settings, Status,
    memory::{MemoryClient, MemoryServer},
};

use crate::harness::patiently;

/// Answers each request with `responses` responses of its type, whose chunk is 100 kB, and ends
/// when it is asked for `end`.
struct Echo {
    responses: u64,
}

const CHUNK: Bytes = Bytes::from_static(&[0; 100_000]);

impl AdsService for Echo {
    async fn serve(&self, mut stream: AdsStream) -> Status {
        while let Some(Ok(Request::Delta(request))) = stream.requests.next().await {
            if request.type_url == "end" {
                return Status::new(Code::Aborted, "as asked");
            }
            for nonce in 0..self.responses {
                // Field 15 is unknown, and as long as the chunk.
                let head = Bytes::from_static(&[0x7a, 0xa0, 0x8d, 0x06]);
                let type_url = request.type_url.as_str();
                let chunks = vec![head, CHUNK];
                let response = Response { type_url, nonce, chunks, ..Response::default() };
                if stream.responses.send(response).await.is_err() {
                    return Status::OK;
                }
                assert!(stream.responses.responses_in_flight() <= 4);
            }
        }
        Status::OK
    }
}

async fn ask(client: &MemoryClient, type_url: &str) {
    let request = DeltaDiscoveryRequest { type_url: type_url.to_owned(), ..Default::default() };
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(request.encoded_len()).unwrap());
    request.encode(&mut message).unwrap();
    client.send(message.freeze()).await;
}

#[tokio::test]
async fn requests_and_responses_are_those_of_a_connection() {
    let server = MemoryServer::new(Echo { responses: 8 }, Settings::default(), Metrics::default());
    let mut client = server.connect(Protocol::Delta);
    ask(&client, "type").await;
    for nonce in 0..8 {
        let chunks = patiently(client.next()).await.unwrap();
        // What was sent is what comes, and not a copy.
        assert_eq!(chunks.last().unwrap().as_ptr(), CHUNK.as_ptr());
        let bytes = chunks.concat();
        let response = DeltaDiscoveryResponse::decode(&bytes[5..]).unwrap();
        assert_eq!((response.type_url.as_str(), response.nonce), ("type", nonce.to_string()));
    }
    ask(&client, "end").await;
    assert_eq!(patiently(client.next()).await.unwrap_err().message, "as asked");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_not_sent_more_than_fits() {
    let metrics = Metrics::default();
    let server = MemoryServer::new(Echo { responses: 50 }, Settings::default(), metrics.clone());
    let mut client = server.connect(Protocol::Delta);
    ask(&client, "type").await;
    patiently(client.next()).await.unwrap();
    // The service has run as far as it can when this task is the only one that may go on.
    tokio::task::yield_now().await;
    assert!(metrics.responses.get() <= 2, "{} responses", metrics.responses.get());
    drop(client);
}
