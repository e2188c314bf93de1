//! A gateway that hears of a change after its callers.

use std::net::SocketAddr;

use testkit::{
    http::{Backend, BackendSettings, Request},
    ports,
};
use tokio::{
    io,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{MODE, gateway_proxy, gateway_service, settings, silent, taken};
use crate::shop::{
    BINARY, Instance, PORT, Shop, ShopSettings, backend, eventually, require, send, service,
    service_on,
};

const LATE: u16 = PORT + 1;
const FILE: &str = "late.yaml";

/// Passes connections on until it is dropped.
struct Line(#[expect(dead_code, reason = "what is dropped ends")] JoinSet<()>);

impl Line {
    async fn open(at: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let mut line = JoinSet::new();
        line.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut other = TcpStream::connect(to).await?;
                    io::copy_bidirectional(&mut stream, &mut other).await
                });
            }
        });
        Self(line)
    }
}

#[tokio::test]
async fn a_gateway_that_has_not_heard_of_a_port_is_passed_by() {
    let other = backend("other").await;
    let far =
        BackendSettings { address: ports::loopback_socket(LATE), ..BackendSettings::new("far") };
    let far = Backend::start_with(far).await.unwrap();
    let (address, port) = (ports::loopback_address(), ports::free_port());
    let late = ports::loopback_socket(LATE);
    let shop = Shop::start_with(ShopSettings {
        versions: &["v1"],
        yaml: &format!(
            "{}{}",
            service("other", &[Instance::new("v1", &other)]),
            gateway_service(address, port, "")
        ),
        egress: &format!(
            "  - port: {{number: {LATE}, protocol: HTTP, name: late}}
    bind: {}
    captureMode: NONE
    hosts: ['*/*']
  outboundTrafficPolicy:
    mode: ALLOW_ANY
    egressProxy: {{host: other, port: {{number: {PORT}}}}}
",
            late.ip()
        ),
        files: &[("mode.yaml", MODE)],
        settings: &settings(port),
        proxy: Some(silent()),
        ..ShopSettings::default()
    })
    .await;
    let (here, plane) = (ports::loopback_socket(ports::free_port()), shop.mesh.xds_address());
    let line = Line::open(here, plane).await;
    let gateway = gateway_proxy(address).envoy(BINARY.as_ref(), here, None).unwrap();
    let gateway = gateway.start().await.unwrap();
    shop.wait_listening((address, port).into()).await;
    assert_eq!(shop.get("/").await.backend(), Some("web-v1"));
    drop(line);

    let yaml = service_on("far", ("http", LATE), &[Instance::new("v1", &far)]);
    shop.mesh.write(FILE, &yaml).unwrap();
    shop.wait_listening(late).await;
    let request = Request::get(late, "far.shop", "/");
    eventually(async || {
        let before = taken(&gateway).await;
        let answer = send(&request).await;
        assert_eq!(answer.backend(), Some("other"), "{}: {}", answer.status, answer.text());
        require(taken(&gateway).await > before, "the caller has not heard of it either")
    })
    .await;
    let _line = Line::open(here, plane).await;
    eventually(async || {
        let answer = send(&request).await;
        require(answer.backend() == Some("far"), answer.status)
    })
    .await;
}
