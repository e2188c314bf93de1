//! First calls through the gateway of mode `gateway`, until they are learned.
//!
//! - A call goes directly when its proxy has reported the first one: what is reported is the time until
//!   then as well, for which each further call takes the detour again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use testkit::{
    EnvoyProcess,
    http::{Client, Request},
    mesh::ProxySettings,
    ports,
};
use tokio::time;

use super::{
    CALLED, Context, GATEWAY, PATIENCE, Sidecar, World, call, callers,
    calls::{Times, WARM},
};
use crate::{
    proc,
    report::{Case, Unit},
    statistics::{as_float, from_count, median, milliseconds},
};

/// How often the proxy is asked whether it was told: seldom, as its CPU is measured.
const LOOK: Duration = Duration::from_millis(25);

pub(in crate::scenario) async fn run(context: &Context) -> Result<Vec<Case>> {
    let world = World::start(context, callers(GATEWAY, context.pick(40, 2))).await?;
    let settings = ProxySettings {
        address: world.gateway.ip(),
        stats_port: Some(ports::free_port()),
        ..ProxySettings::gateway("lazy-gateway.mesh").label("meltemi.io/role=lazy-gateway")
    };
    let (gateway, start) = world.envoy(&settings, world.gateway).await?;
    let services: Vec<usize> = world.http_services(1).collect();
    let (mut open, mut new) = (Detours::default(), Detours::default());
    for (index, caller) in world.callers.iter().enumerate() {
        let sidecar = world.sidecar(caller).await?;
        let mut own = services.iter().copied().cycle().skip(index * 2 * CALLED);
        for (detours, client) in [(&mut open, Client::keep_alive()), (&mut new, Client::new())] {
            let services: Vec<usize> = own.by_ref().take(CALLED).collect();
            detours.measure(&world, &gateway, &sidecar, &client, &services).await?;
        }
    }
    let mut cases = vec![
        open.case(context, "through the gateway, open connection"),
        new.case(context, "through the gateway, new connection"),
    ];
    let mut own = Case::new("the gateway");
    let resident = proc::resident(&gateway.id().to_string())?.now;
    own.add("memory", from_count(resident) / 1e3, Unit::Megabytes);
    own.add("start", start.as_secs_f64(), Unit::Seconds);
    cases.push(own);
    Ok(cases)
}

/// What calls through the gateway took.
#[derive(Debug, Default)]
struct Detours {
    times: Times,
    again: Vec<Duration>,
    learned: Vec<Duration>,
    gateway_cpu: f64,
}

impl Detours {
    async fn measure(
        &mut self,
        world: &World<'_>,
        gateway: &EnvoyProcess,
        sidecar: &Sidecar,
        client: &Client,
        services: &[usize],
    ) -> Result<()> {
        let [envoy, gateway] = [&sidecar.envoy, gateway].map(|it| it.id().to_string());
        // The caller's own connection is not a part of the first call; nothing is at this address.
        let nobody = Request::get(sidecar.caller.socket(), "nobody.invalid", "/");
        client.send(&nobody.timeout(PATIENCE)).await?;
        let clusters = clusters(sidecar).await?;
        let cpu = || -> Result<[f64; 3]> {
            Ok([world.server.cpu()?, proc::cpu(&envoy)?, proc::cpu(&gateway)?])
        };
        let before = cpu()?;
        let begin = Instant::now();
        let requests = services.iter().map(|it| world.request(&sidecar.caller, *it));
        let requests: Vec<Request> = requests.collect();
        for request in &requests {
            self.times.first.push(call(client, request).await?);
        }
        self.again.push(call(client, &requests[0]).await?);
        // Each service that is learned brings a cluster.
        while self::clusters(sidecar).await? < clusters + from_len(services) {
            ensure!(begin.elapsed() < PATIENCE, "{} learns nothing", sidecar.caller.name);
            time::sleep(LOOK).await;
        }
        self.learned.push(begin.elapsed());
        for request in &requests {
            for _ in 0..WARM {
                self.times.warm.push(call(client, request).await?);
            }
        }
        let [server, caller, relay] = cpu()?;
        self.times.server_cpu += server - before[0];
        self.times.envoy_cpu += caller - before[1];
        self.gateway_cpu += relay - before[2];
        Ok(())
    }

    fn case(&mut self, context: &Context, title: &str) -> Case {
        let calls = as_float(self.times.first.len());
        let mut case = self.times.case(context, title);
        case.add("gateway CPU a service", self.gateway_cpu * 1e3 / calls, Unit::CpuMilliseconds);
        let median = |times: &[Duration]| median(times.iter().copied().map(milliseconds).collect());
        let typical = case.get("warm p50").unwrap_or_default();
        let beyond = (median(&self.again) - typical).max(0.0);
        case.add("beyond warm, once more", beyond, Unit::Milliseconds);
        case.add("all learned after", median(&self.learned), Unit::Milliseconds);
        case
    }
}

fn from_len(services: &[usize]) -> u64 {
    services.len() as u64
}

/// How many clusters a caller's proxy has.
async fn clusters(sidecar: &Sidecar) -> Result<u64> {
    let count = sidecar.envoy.stat("cluster_manager.active_clusters").await;
    count.context("the proxy does not say what it holds")
}
