use std::time::Duration;

use http::Method;
use testkit::{
    http::{
        Backend, BackendSettings, Behaviour, Client, Fault, GrpcBackend, Load, LoadSettings,
        Request, TcpBackend, tcp_exchange,
    },
    ports,
};

const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

#[tokio::test]
async fn a_backend_tells_what_it_saw_over_both_protocols() {
    let backend = Backend::start("web-v1").await.unwrap();
    let request = Request::get(backend.address(), "web.shop", "/a?b=c")
        .method(Method::POST)
        .header("x-one", "1")
        .header("x-one", "2")
        .body("hello");
    let answer = Client::new().send(&request).await.unwrap();
    assert_eq!(answer.backend(), Some("web-v1"));
    let echo = answer.echo().unwrap();
    assert_eq!((echo.method.as_str(), echo.path.as_str()), ("POST", "/a?b=c"));
    assert_eq!((echo.host.as_str(), echo.body.as_str()), ("web.shop", "hello"));
    assert_eq!(echo.headers["x-one"], "1,2");
    assert_eq!((echo.protocol.as_str(), echo.count), ("HTTP/1.1", 1));

    let echo = Client::new().send(&request.http2()).await.unwrap().echo().unwrap();
    assert_eq!((echo.protocol.as_str(), echo.count), ("HTTP/2.0", 2));
    assert_eq!(echo.host, "web.shop");
}

#[tokio::test]
async fn a_backend_misbehaves_as_told() {
    let backend = Backend::start("web").await.unwrap();
    let client = Client::new();
    let request = Request::get(backend.address(), "web", "/").timeout(Duration::from_millis(300));

    backend.set_behaviour(Behaviour::status(503).with_header("retry-after", "1"));
    let answer = client.send(&request).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));

    backend.set_behaviour(Behaviour::fault(Fault::Close));
    client.send(&request).await.expect_err("the connection was closed");

    backend.set_behaviour(Behaviour::fault(Fault::Hang));
    let error = client.send(&request).await.expect_err("there was no answer");
    assert_eq!(error.to_string(), "no answer within 300ms");
    assert_eq!(backend.requests(), 3);
}

#[tokio::test]
async fn a_kept_connection_is_used_again_and_replaced_when_it_is_gone() {
    let address = ports::loopback_socket(8080);
    let settings = BackendSettings { address, ..BackendSettings::new("first") };
    let backend = Backend::start_with(settings).await.unwrap();
    let (client, request) = (Client::keep_alive(), Request::get(address, "web", "/"));
    for _ in 0..3 {
        assert_eq!(client.send(&request).await.unwrap().backend(), Some("first"));
    }
    assert_eq!(backend.connections(), 1);

    drop(backend);
    // The connections end with the task, which ends when it is next polled.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let settings = BackendSettings { address, ..BackendSettings::new("second") };
    let _backend = Backend::start_with(settings).await.unwrap();
    assert_eq!(client.send(&request).await.unwrap().backend(), Some("second"));
}

#[tokio::test]
async fn a_tcp_backend_greets_and_echoes() {
    let backend = TcpBackend::start("db", ANY_PORT.into()).await.unwrap();
    let answer = tcp_exchange(backend.address(), b"ping", Duration::from_secs(5)).await.unwrap();
    assert_eq!(answer, b"db\nping");
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_grpc_backend_echoes_or_fails() {
    let backend = GrpcBackend::start("grpc", ANY_PORT.into()).await.unwrap();
    let request = Request::grpc(backend.address(), "grpc", "/a.B/C", b"\x0a\x01x");
    let answer = Client::new().send(&request).await.unwrap();
    assert_eq!(answer.grpc_status(), Some(0));
    assert_eq!(answer.grpc_message().as_deref(), Some(&b"\x0a\x01x"[..]));

    backend.set_status(14);
    let answer = Client::new().send(&request).await.unwrap();
    assert_eq!((answer.grpc_status(), answer.grpc_message()), (Some(14), None));
    assert_eq!(backend.requests(), 2);
}

#[tokio::test]
async fn a_load_counts_what_failed() {
    let backend = Backend::start("web").await.unwrap();
    let request = Request::get(backend.address(), "web", "/");
    let load = Load::start(LoadSettings::new(request, 100));
    tokio::time::sleep(Duration::from_millis(300)).await;
    backend.set_behaviour(Behaviour::status(500));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let report = load.stop().await;

    assert!(report.ok > 10 && report.failed.len() > 10, "{report}");
    assert_eq!(report.sent, report.ok + report.failed.len() as u64);
    assert_eq!(report.backends["web"], report.ok);
    assert!(report.failed[0].reason.starts_with("500"), "{report}");
    report.expect_no_failure().expect_err("there were failures");
}
