//! Callers that write anything as their Host, by the hundred thousand: neither side grows with it.
//!
//! - Everything is counted, and nothing is timed.

use std::{fs, net::SocketAddr, ops::Range};

use testkit::{
    EnvoyProcess,
    http::{Client, Request, junk_host},
    mesh::ProxySettings,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
};

use crate::shop::{Instance, Shop, ShopSettings, backend, send, service};

const QUARTERS: u64 = 4;
/// Each has a connection of its own: Envoy ends one on which it has several answers of its own to write.
const SENDERS: u64 = 16;
/// Of each sender in each quarter. All of them together are more than 100,000.
const REQUESTS: u64 = 1_800;
/// So often, one request is for a service.
const REAL: u64 = 50;
/// Of the first quarter. What is answered once is answered for all like it; the hosts of this test are of
/// some hundred kinds by how they end, and each sender may ask before the first is answered.
const MOST_QUESTIONS: u64 = 400;
/// Of all others together.
const MOST_LATER: u64 = 60;
/// What three quarters may add to either process, in kB. If 100 bytes were kept of each request, it
/// would be 7,500.
const SLACK: u64 = 4_000;

/// Resident memory in kB.
#[derive(Clone, Copy, Debug)]
struct Memory {
    envoy: u64,
    server: u64,
}

impl Memory {
    async fn of(shop: &Shop) -> Self {
        let metrics = shop.mesh.control_plane().metrics().await.unwrap();
        let gauge = |line: &str| {
            let value = line.strip_prefix("process_resident_memory_bytes ")?;
            value.trim_end_matches(".0").parse().ok()
        };
        let server: u64 = metrics.lines().find_map(gauge).expect("the server says what it needs");
        Self { envoy: resident(&shop.envoy), server: server / 1_000 }
    }

    fn expect_flat(self, later: Self) {
        let is_flat = |before: u64, after: u64| after <= before + SLACK;
        let both = is_flat(self.envoy, later.envoy) && is_flat(self.server, later.server);
        assert!(both, "kB after the first quarter and after the last: {self:?}, {later:?}");
    }
}

fn resident(envoy: &EnvoyProcess) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", envoy.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn questions(shop: &Shop) -> u64 {
    let counters = shop.mesh.control_plane().get("/debug/counters").await.unwrap();
    counters["questions"].as_u64().unwrap()
}

/// The status of the next answer.
async fn read_answer(stream: &mut BufReader<TcpStream>) -> u16 {
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        assert_ne!(stream.read_line(&mut line).await.unwrap(), 0, "the connection was closed");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        } else if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    status
}

/// Sends junk, and in between calls of `web`, which must be answered.
async fn send_junk(address: SocketAddr, numbers: Range<u64>) {
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    let (client, web) = (Client::keep_alive(), Request::get(address, "web", "/"));
    for number in numbers {
        if number.is_multiple_of(REAL) {
            let answer = client.send(&web).await.unwrap();
            assert_eq!(answer.backend(), Some("web-v1"), "{}", answer.status);
        }
        let host = junk_host(number);
        // Envoy takes others for no host.
        if host.is_ascii() {
            let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            assert_eq!(read_answer(&mut stream).await, 502, "{host}");
        }
    }
}

#[tokio::test]
async fn memory_stays_flat_under_a_hundred_thousand_random_hosts() {
    let cart = backend("cart").await;
    let yaml = service("cart", &[Instance::new("v1", &cart)]);
    let shop = Shop::start_with(ShopSettings {
        versions: &["v1"],
        yaml: &yaml,
        mesh_config: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}",
        proxy: Some(ProxySettings::sidecar("client.shop").label("meltemi.io/scope=on-demand")),
        ..ShopSettings::default()
    })
    .await;
    for (host, backend) in [("web", "web-v1"), ("cart", "cart")] {
        let answer = send(&Request::get(shop.address, host, "/")).await;
        assert_eq!(answer.backend(), Some(backend), "{}", answer.status);
    }
    let mut after = Vec::new();
    for quarter in 0..QUARTERS {
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let first = (quarter * SENDERS + sender) * REQUESTS;
            senders.spawn(send_junk(shop.address, first..first + REQUESTS));
        }
        while let Some(ended) = senders.join_next().await {
            ended.unwrap();
        }
        after.push((questions(&shop).await, Memory::of(&shop).await));
    }
    let [(asked, first), .., (asked_in_all, last)] = after[..] else { unreachable!() };
    assert!(asked < MOST_QUESTIONS, "{asked} questions in the first quarter");
    assert!(asked_in_all - asked < MOST_LATER, "{asked} questions, and {asked_in_all} in all");
    println!("questions and kB after each quarter: {after:?}");
    first.expect_flat(last);
    let answer = send(&Request::get(shop.address, "cart", "/")).await;
    assert_eq!(answer.backend(), Some("cart"), "{}", answer.status);
}
