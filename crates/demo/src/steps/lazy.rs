//! Many services appear that nobody calls, and a fence keeps them away from whoever does not.

use std::{
    fmt::Write,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use testkit::{
    http::{Backend, BackendSettings, Behaviour, Client, Request},
    ports,
};
use tokio::time;

use crate::{
    plane::PATIENCE,
    run::Demo,
    shop::{INSTANCES, Instance, MARKET_PORT},
};

const SERVICES: usize = 500;
const SIDECARS: &str = "sidecars.yaml";
/// The last part of the address at which all further services answer.
const MARKET: u8 = 99;
const CALLER: &str = "frontend-1";
/// Services of the market that are called.
const CALLED: usize = 5;
/// Calls after each first one.
const WARM: usize = 5;
/// What an Envoy of the shop has for itself and for its own calls is less.
const FEW: u64 = 60;
const LOOK: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// What an Envoy says that it has.
#[derive(Clone, Copy, Debug)]
struct Weight {
    clusters: u64,
    /// Allocated memory in bytes.
    heap: u64,
}

/// The services appear, and all callers are told of them; then a fence, and the first calls.
pub(super) async fn fence(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("500 further services appear, and who calls others may call them");
    // All of them are one server; to Envoy they are 500.
    let behaviour = Behaviour { body: Some(Bytes::from_static(b"sold\n")), ..Behaviour::answer() };
    let address = SocketAddr::new(demo.shop.address(MARKET).into(), ports::free_port());
    let settings = BackendSettings { address, behaviour, ..BackendSettings::new("market") };
    demo.market = Some(Backend::start_with(settings).await?);
    let mark = demo.plane.mark().await?;
    demo.write("market.yaml", &services(demo, address))?;
    demo.write(SIDECARS, &with_market(demo)?)?;
    let live = demo.wait_live(&mark).await?;
    let before = weights(demo, |weight| weight.clusters > SERVICES as u64).await?;
    demo.watch(LOOK).await;
    demo.end(step, Some(live));

    let step = demo.begin("a fence: each is told of what it calls");
    let mark = demo.plane.mark().await?;
    demo.write("fence.yaml", FENCE)?;
    let live = demo.wait_live(&mark).await?;
    weights(demo, |weight| weight.clusters < FEW).await?;
    demo.watch(LOOK).await;
    let after = weights(demo, |weight| weight.clusters < FEW).await?;
    report_weights(demo, &before, &after);
    demo.end(step, Some(live));

    let step = demo.begin("first calls: each waits in its own Envoy for its route");
    first_calls(demo).await?;
    demo.end(step, None);
    Ok(())
}

/// TCP is not asked for, so that it is declared.
const FENCE: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: on-demand}}
---
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: cart, namespace: shop}
spec:
  enable: true
  host:
    stock: {stable: {}}
";

fn host(service: usize) -> String {
    format!("item-{service}.market.example")
}

/// Services that all lead to one address.
fn services(demo: &Demo, address: SocketAddr) -> String {
    let (number, ip, target) = (demo.shop.port(MARKET_PORT), address.ip(), address.port());
    let mut text = String::new();
    for service in 0..SERVICES {
        let host = host(service);
        // A `String` takes everything.
        let _ = write!(
            text,
            "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: item-{service}, namespace: market}}
spec:
  hosts: [{host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: {number}, protocol: HTTP, name: http}}]
  endpoints: [{{address: {ip}, ports: {{http: {target}}}}}]
"
        );
    }
    text
}

/// The Sidecars of the shop, those of callers with a further listener that leads to the market.
fn with_market(demo: &Demo) -> Result<String> {
    let number = demo.shop.port(MARKET_PORT);
    let text = demo.shop.read(SIDECARS)?;
    let documents = text.split("\n---\n").map(|document| {
        if document.contains("~/*") {
            return Ok(document.to_owned());
        }
        let mut lines = document.lines();
        let address = lines.find_map(|line| line.trim().strip_prefix("bind: "));
        let address = address.context("a Sidecar of the shop binds nothing")?;
        let market = format!(
            "  egress:
  - port: {{number: {number}, protocol: HTTP, name: market}}
    bind: {address}
    captureMode: NONE
    hosts: [market/*]"
        );
        Ok(document.replacen("  egress:", &market, 1))
    });
    let documents: Vec<String> = documents.collect::<Result<_>>()?;
    Ok(documents.join("\n---\n"))
}

/// What the Envoys of all callers have, when each is as wanted or never will be.
async fn weights(
    demo: &Demo,
    wanted: impl Fn(&Weight) -> bool,
) -> Result<Vec<(&'static Instance, Weight)>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut weights = Vec::new();
        for instance in INSTANCES.iter().filter(|it| !it.calls.is_empty()) {
            weights.push((instance, weight(demo, instance.name).await?));
        }
        if weights.iter().all(|(_, weight)| wanted(weight)) || Instant::now() > deadline {
            return Ok(weights);
        }
        time::sleep(POLL).await;
    }
}

async fn weight(demo: &Demo, instance: &str) -> Result<Weight> {
    let port = demo.fleet.admin_port(instance).context("the instance does not run")?;
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let get = async |path: &str| {
        let answer = Client::new().send(&Request::get(admin, "admin", path)).await?;
        anyhow::Ok(serde_json::from_slice::<serde_json::Value>(&answer.body)?)
    };
    let stats = get("/stats?format=json&filter=active_clusters").await?;
    let mut stats = stats["stats"].as_array().into_iter().flatten();
    let clusters = stats.find(|stat| stat["name"] == "cluster_manager.active_clusters");
    let clusters = clusters.and_then(|stat| stat["value"].as_u64());
    // The statistic of the same name is seconds old.
    let memory = get("/memory").await?;
    let heap = memory["allocated"].as_str().and_then(|bytes| bytes.parse().ok());
    let of = || format!("the Envoy of {instance} does not say what it holds");
    Ok(Weight { clusters: clusters.with_context(of)?, heap: heap.with_context(of)? })
}

type Weights<'a> = &'a [(&'static Instance, Weight)];

fn report_weights(demo: &mut Demo, before: Weights<'_>, after: Weights<'_>) {
    demo.report.say("sidecar       clusters    memory    fenced: clusters    memory");
    for ((instance, before), (_, after)) in before.iter().zip(after) {
        let name = instance.name;
        let [before_mb, after_mb] = [before, after].map(|weight| render_megabytes(weight.heap));
        let (before, after) = (before.clusters, after.clusters);
        demo.report.say(format_args!(
            "{name:<12}  {before:>8}  {before_mb:>8}    {after:>16}  {after_mb:>8}"
        ));
    }
    let told = before.iter().all(|(_, weight)| weight.clusters > SERVICES as u64);
    demo.report.check(told, format_args!("before, each has {SERVICES} clusters and its own"));
    let most = after.iter().map(|(_, weight)| weight.clusters).max().unwrap_or_default();
    let spared = after.iter().all(|(_, weight)| weight.clusters < FEW);
    demo.report.check(spared, format_args!("fenced, none has more than {most}"));
}

fn render_megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

async fn first_calls(demo: &mut Demo) -> Result<()> {
    let caller = INSTANCES.iter().find(|it| it.name == CALLER).context("there is no caller")?;
    let (client, address) = (Client::keep_alive(), demo.shop.market(caller));
    let before = weight(demo, CALLER).await?.clusters;
    let mut answered = 0;
    for service in (0..CALLED).map(|index| index * 97) {
        let request = Request::get(address, &host(service), "/").timeout(PATIENCE);
        let mut times = Vec::new();
        for _ in 0..=WARM {
            let begin = Instant::now();
            let answer = client.send(&request).await?;
            times.push(begin.elapsed());
            answered += usize::from(answer.backend() == Some("market"));
        }
        let first = times.remove(0);
        times.sort_unstable();
        demo.report.say(format_args!(
            "{}: the first call took {}, further ones {}",
            host(service),
            render_milliseconds(first),
            render_milliseconds(times[WARM / 2]),
        ));
    }
    let all = CALLED * (WARM + 1);
    demo.report.check(answered == all, format_args!("{answered} of {all} calls are answered"));
    let known = weight(demo, CALLER).await?.clusters - before;
    let text = format!("of {SERVICES} services {CALLER} knows the {CALLED} that it has called");
    demo.report.check(known == CALLED as u64, text);
    Ok(())
}

fn render_milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
