//! What rules say of answers and times holds for a fenced workload as for any other.

use std::time::{Duration, Instant};

use http::Method;
use testkit::http::{Behaviour, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    fence,
    shop::{Shop, ShopSettings, eventually, send, virtual_service},
};

/// A fenced client with these rules for `web`.
async fn fenced(rules: &str) -> Shop {
    let fence = fence::namespace("on-demand");
    let files = &[(fence::FILE, &*fence)];
    let yaml = &*virtual_service(rules);
    Shop::start_with(ShopSettings { versions: &["v1"], yaml, files, ..Default::default() }).await
}

/// The wait for a route ends with these as well, and says why.
#[tokio::test]
async fn answers_of_rules_are_not_taken_for_a_wait_that_ended() {
    let mut rules = "  http:\n".to_owned();
    for status in [408, 504] {
        rules += &format!(
            "  - match: [{{uri: {{prefix: /abort/{status}}}}}]
    fault: {{abort: {{httpStatus: {status}, percentage: {{value: 100}}}}}}
    route: [{{destination: {{host: web}}}}]
  - match: [{{uri: {{prefix: /direct/{status}}}}}]
    directResponse: {{status: {status}, body: {{string: hello}}}}
"
        );
    }
    let shop = fenced(&rules).await;
    for round in 0..2 {
        for status in [408, 504] {
            let aborted = shop.get(&format!("/abort/{status}")).await;
            let aborted = (aborted.status.as_u16(), aborted.text());
            assert_eq!(aborted, (status, "fault filter abort".into()), "{round}");
            let direct = shop.get(&format!("/direct/{status}")).await;
            assert_eq!(
                (direct.status.as_u16(), direct.text()),
                (status, "hello".into()),
                "{round}"
            );
        }
    }
}

#[tokio::test]
async fn deadlines_of_callers_reach_a_service_with_a_timeout() {
    let shop = fenced("  http: [{timeout: 1s, route: [{destination: {host: web}}]}]\n").await;
    let call = |deadline: &str| {
        let request = shop.request("/echo.Echo/Call").method(Method::POST);
        let request = request.header("content-type", "application/grpc");
        request.header("grpc-timeout", deadline)
    };
    for _ in 0..2 {
        let echo = send(&call("5S")).await.echo().unwrap();
        assert_eq!(echo.headers.get("grpc-timeout").map(String::as_str), Some("5S"));
        assert_eq!(
            echo.headers.get("x-envoy-expected-rq-timeout-ms").map(String::as_str),
            Some("1000")
        );
    }
    // A deadline does not prolong the timeout, and a shorter one is left to its caller.
    shop.web[0].set_behaviour(Behaviour::delay(Duration::from_secs(10)));
    for deadline in ["5S", "100m"] {
        let start = Instant::now();
        let answer = send(&call(deadline)).await;
        assert_eq!(answer.grpc_status(), Some(14), "{deadline}: {answer:?}");
        assert!(start.elapsed() >= Duration::from_millis(900), "{deadline}: {:?}", start.elapsed());
    }
}

/// Envoy refuses it by itself only where the route is known.
#[tokio::test]
async fn an_upgrade_that_is_not_allowed_is_refused_from_the_first_call_on() {
    let shop = fenced("  http: [{route: [{destination: {host: web}}]}]\n").await;
    let head = async |headers: &str| {
        let mut stream = TcpStream::connect(shop.address).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nHost: web\r\n{headers}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        String::from_utf8_lossy(&status).into_owned()
    };
    let upgrade = "Connection: Upgrade\r\nUpgrade: foo";
    assert_eq!(head(upgrade).await, "HTTP/1.1 403");
    assert_eq!(head("Upgrade: foo").await, "HTTP/1.1 200", "nobody asks for it");
    assert_eq!(head(upgrade).await, "HTTP/1.1 403");
    assert_eq!(shop.received(), [1]);
}

const SIDECAR: &str = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: ['./*']}]}
";

/// The workload is of another class then, which has asked for nothing. Envoy asks for no name twice.
#[tokio::test]
async fn what_was_asked_has_an_answer_when_a_sidecar_comes_and_goes() {
    let fence = fence::namespace("on-demand");
    let files = &[(fence::FILE, &*fence)];
    let mesh_config = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}";
    let settings = ShopSettings { versions: &["v1"], files, mesh_config, ..Default::default() };
    let shop = Shop::start_with(settings).await;
    let statuses = async || {
        let mut statuses = Vec::new();
        for host in ["web", "nobody.example"] {
            statuses.push(send(&Request::get(shop.address, host, "/")).await.status.as_u16());
        }
        statuses
    };
    assert_eq!(statuses().await, [200, 502]);
    shop.taken_in(|mesh| mesh.write("sidecar.yaml", SIDECAR)).await;
    eventually(async || shop.mesh.expect_synced(1).await).await;
    assert_eq!(statuses().await, [200, 502], "it came");
    shop.taken_in(|mesh| mesh.remove("sidecar.yaml")).await;
    eventually(async || shop.mesh.expect_synced(1).await).await;
    assert_eq!(statuses().await, [200, 502], "it went");
}
