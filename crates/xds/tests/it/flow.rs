//! Bounds: slow clients, limits, shutdown.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{io::AsyncReadExt, net::TcpStream, time};
use xds::{
    AdsStream, Code, Control, Protocol, Refusal, Response, ResponseSender, Settings, Status,
    client::{AdsClient, ClientError, ClientSettings},
};

use crate::harness::{eventually, node, patiently, start, start_with};

const RESPONSES: u64 = 60;
const RESPONSE_LEN: usize = 500_000;

/// Encoded field 2 of a delta response: a resource of a length, with a broken inside for brevity.
fn chunks(len: usize) -> Vec<Bytes> {
    let mut head = vec![0x12];
    let mut rest = len;
    while rest > 0x7f {
        head.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    head.push(rest as u8);
    // A resource whose only content is an unknown field of the remaining length.
    let mut body = vec![0xfa, 0x07];
    let mut field = len - 5;
    for _ in 0..2 {
        body.push(field as u8 | 0x80);
        field >>= 7;
    }
    body.push(field as u8);
    body.resize(len, 0);
    vec![head.into(), body.into()]
}

fn response(nonce: u64) -> Response<'static> {
    Response { type_url: "t", nonce, chunks: chunks(RESPONSE_LEN), ..Default::default() }
}

/// What a service saw of its sender.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(u64, usize)>>);

impl Seen {
    fn record(&self, nonce: u64, sender: &ResponseSender) {
        let mut seen = self.0.lock().unwrap();
        *seen = (nonce, seen.1.max(sender.bytes_in_flight()));
    }

    fn get(&self) -> (u64, usize) {
        *self.0.lock().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_at_most_one_large_response() {
    let seen = Seen::default();
    let recorded = seen.clone();
    let server = start(Settings::default(), move |mut stream: AdsStream| {
        let seen = recorded.clone();
        async move {
            for nonce in 1..=RESPONSES {
                let Ok(permit) = stream.responses.reserve().await else { return Status::OK };
                permit.send(response(nonce));
                seen.record(nonce, &stream.responses);
            }
            Status::OK
        }
    })
    .await;
    let mut settings = ClientSettings::new(server.address, Protocol::Delta, node());
    settings.window = 64 << 10;
    let mut client = AdsClient::connect_with(&settings).await.unwrap();
    time::sleep(Duration::from_millis(500)).await;
    let (sent, in_flight) = seen.get();
    assert!(sent <= 2, "{sent} responses were sent to nobody");
    assert!(in_flight <= RESPONSE_LEN + (65 << 10), "{in_flight} bytes in flight");
    for nonce in 1..=RESPONSES {
        let response = patiently(client.next_response()).await.unwrap().unwrap();
        assert_eq!(response.nonce, nonce.to_string());
        assert!(response.len > RESPONSE_LEN);
    }
    assert_eq!(patiently(client.next_response()).await.unwrap(), None);
    let (_, in_flight) = seen.get();
    assert!(in_flight <= RESPONSE_LEN + (65 << 10), "{in_flight} bytes in flight");
}

#[tokio::test]
async fn a_client_that_goes_is_seen_by_both_ends_of_the_stream() {
    let seen = Seen::default();
    let recorded = seen.clone();
    let server = start(Settings::default(), move |mut stream: AdsStream| {
        let seen = recorded.clone();
        async move {
            stream.responses.send(response(1)).await.unwrap();
            assert!(stream.requests.next().await.is_none());
            assert!(stream.responses.reserve().await.is_err());
            assert_eq!(stream.responses.bytes_in_flight(), 0);
            seen.record(7, &stream.responses);
            Status::OK
        }
    })
    .await;
    let client = server.connect(Protocol::Delta).await;
    eventually("stream is open", || server.metrics.streams_open.get() == 1).await;
    drop(client);
    eventually("service saw it", || seen.get().0 == 7).await;
    eventually("stream is closed", || server.metrics.streams_open.get() == 0).await;
    eventually("connection is closed", || server.metrics.connections_open.get() == 0).await;
}

async fn wait_for_the_end(mut stream: AdsStream) -> Status {
    while stream.requests.next().await.is_some() {}
    Status::OK
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_until_one_ends() {
    let settings = Settings { max_streams: 1, ..Settings::default() };
    let server = start(settings, wait_for_the_end).await;
    let first = server.connect(Protocol::Sotw).await;
    eventually("first is open", || server.metrics.streams_open.get() == 1).await;
    let mut second = server.connect(Protocol::Delta).await;
    match patiently(second.next_response()).await {
        Err(ClientError::Ended(status)) => assert_eq!(status.code, Code::ResourceExhausted),
        other => panic!("expected a status, found {other:?}"),
    }
    assert_eq!(server.metrics.refused(Refusal::Streams).get(), 1);
    drop(first);
    eventually("first is closed", || server.metrics.streams_open.get() == 0).await;
    let mut third = server.connect(Protocol::Delta).await;
    third.finish();
    assert_eq!(patiently(third.next_response()).await.unwrap(), None);
}

#[tokio::test]
async fn shutdown_ends_streams_within_the_grace_period() {
    let settings = Settings { grace: Duration::from_millis(400), ..Settings::default() };
    let server = start(settings, wait_for_the_end).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(server.connect(Protocol::Delta).await);
    }
    eventually("all are open", || server.metrics.streams_open.get() == 20).await;
    let begin = Instant::now();
    server.shutdown.cancel();
    for client in &mut clients {
        match patiently(client.next_response()).await {
            Err(ClientError::Ended(status)) => assert_eq!(status.code, Code::Unavailable),
            other => panic!("expected a status, found {other:?}"),
        }
    }
    drop(clients);
    patiently(server.server).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(AdsClient::connect(server.address, Protocol::Delta, node()).await.is_err());
}

#[tokio::test]
async fn a_stream_beyond_the_rate_is_told_when_to_come_again() {
    let settings = Settings { max_streams_per_second: NonZeroU32::new(1), ..Settings::default() };
    let server = start(settings, wait_for_the_end).await;
    let _first = server.connect(Protocol::Sotw).await;
    eventually("first is open", || server.metrics.streams_open.get() == 1).await;
    let mut second = server.connect(Protocol::Delta).await;
    let status = ended(&mut second).await;
    assert_eq!(status.code, Code::ResourceExhausted);
    assert!(status.retry_after.is_some_and(|wait| wait <= Duration::from_secs(1)), "{status:?}");
    assert_eq!(server.metrics.refused(Refusal::Rate).get(), 1);
}

async fn ended(client: &mut AdsClient) -> Status {
    match patiently(client.next_response()).await {
        Err(ClientError::Ended(status)) => status,
        other => panic!("expected a status, found {other:?}"),
    }
}

#[tokio::test]
async fn an_old_connection_ends_and_a_new_one_is_taken() {
    let age = Some(Duration::from_millis(300));
    let settings = Settings { max_connection_age: age, ..Settings::default() };
    let server = start(settings, wait_for_the_end).await;
    let mut client = server.connect(Protocol::Delta).await;
    assert_eq!(ended(&mut client).await.code, Code::Unavailable);
    eventually("the connection is closed", || server.metrics.connections_open.get() == 0).await;
    let mut client = server.connect(Protocol::Delta).await;
    client.finish();
    assert_eq!(patiently(client.next_response()).await.unwrap(), None);
}

#[tokio::test]
async fn all_or_some_connections_are_asked_to_go_elsewhere() {
    let control = Control::default();
    let server = start_with(Settings::default(), wait_for_the_end, |server| {
        server.steered_by(control.clone())
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(server.connect(Protocol::Delta).await);
    }
    eventually("all are open", || server.metrics.streams_open.get() == 40).await;
    control.hand_over(0.5, Duration::from_millis(100));
    eventually("some have gone", || (5..35).contains(&server.metrics.streams_open.get())).await;
    control.hand_over(1.0, Duration::from_millis(100));
    for client in &mut clients {
        let status = ended(client).await;
        assert_eq!((status.code, status.message.contains("hands")), (Code::Unavailable, true));
    }
}

#[tokio::test]
async fn a_connection_without_a_stream_is_closed() {
    let settings =
        Settings { handshake_timeout: Duration::from_millis(200), ..Settings::default() };
    let server = start(settings, wait_for_the_end).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let client = server.connect(Protocol::Delta).await;
    let mut data = Vec::new();
    // What comes is the server's SETTINGS, and then the end.
    let _ = patiently(silent.read_to_end(&mut data)).await;
    eventually("it is counted", || server.metrics.connections_failed.get() == 1).await;
    time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.metrics.streams_open.get(), 1, "the other one stays");
    drop(client);
}
