use std::{collections::BTreeMap, time::{Duration, Instant}};
use xds::*;
use bytes::Bytes;
struct S { chunks: Vec<Bytes> }
impl AdsService for S {
    fn serve(&self, mut s: AdsStream) -> impl Future<Output = Status> + Send {
        let chunks = self.chunks.clone();
        async move {
            while let Some(Ok(_)) = s.requests.next().await {
                let r = Response { type_url: "t", nonce: 1, chunks: chunks.clone(), ..Default::default() };
                if s.responses.send(r).await.is_err() { break }
            }
            Status::OK
        }
    }
}
fn stat() -> (u64, u64) {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    let rss = s.lines().find(|l| l.starts_with("VmRSS")).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    let t = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<_> = t.rsplit(')').next().unwrap().split_whitespace().collect();
    (rss, f[11].parse::<u64>().unwrap() + f[12].parse::<u64>().unwrap())
}
fn chunk(n: usize) -> Bytes {
    let mut v = vec![0x12]; let body = n; let mut l = body; while l > 127 { v.push(l as u8 | 128); l >>= 7 } v.push(l as u8);
    let f = body - 4; v.extend([0xfa, 7, f as u8 | 128, (f >> 7) as u8]); v.resize(v.len() + f, 0); v.into()
}
#[tokio::main]
async fn main() {
    let a: Vec<String> = std::env::args().collect();
    if a[1] == "server" {
        let l = tokio::net::TcpListener::bind("127.0.0.1:18123").await.unwrap();
        let mut chunks: Vec<_> = (0..2000).map(|_| chunk(360)).collect();
        chunks.extend((0..2000).map(|_| chunk(4200)));
        let (tls, m) = (None, Metrics::default());
        let tls = if a.len() > 3 { Some(tls::server_config(a[2].as_ref(), a[3].as_ref(), None).unwrap()) } else { tls };
        let m2 = m.clone();
        tokio::spawn(async move { let mut last = 0; loop { tokio::time::sleep(Duration::from_secs(1)).await; let (r, c) = stat(); let n = m2.streams_open.get(); if c != last { println!("streams {n} rss {r} kB cpu {c} cs sent {}", m2.responses.get()); last = c; } } });
        Server::new(Settings { tls, ..Default::default() }, m).run(l, S { chunks }, Default::default()).await;
    } else {
        let n: usize = a[2].parse().unwrap();
        let mut settings = client::ClientSettings::new("127.0.0.1:18123".parse().unwrap(), Protocol::Delta, Default::default());
        if a.len() > 3 { settings.tls = Some((tls::client_config(a[3].as_ref(), None).unwrap(), "server.test".try_into().unwrap())); }
        let mut cs = Vec::new();
        for _ in 0..n { cs.push(client::AdsClient::connect_with(&settings).await.unwrap()); }
        tokio::time::sleep(Duration::from_secs(4)).await;
        if a[1] == "push" {
            let t = Instant::now();
            let mut js = Vec::new();
            for mut c in cs { js.push(tokio::spawn(async move { c.subscribe("t", [], BTreeMap::new()).await.unwrap(); let r = c.next_response().await.unwrap().unwrap(); let l = r.len; drop(r); (c, l) })); }
            let mut keep = vec![]; for j in js { keep.push(j.await.unwrap()); }
            println!("all {} of {} B in {:?}", keep.len(), keep[0].1, t.elapsed());
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }
}
