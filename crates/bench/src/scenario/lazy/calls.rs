//! First calls to services that the caller's proxy was never told of.

use std::time::Duration;

use anyhow::{Result, bail};
use testkit::http::{Client, Protocol, Request};
use tokio::task::JoinSet;

use super::{CALLED, Context, FULL, ON_DEMAND, PATIENCE, Sidecar, World, call, callers};
use crate::{
    proc,
    report::{Case, Unit},
    statistics::{as_float, milliseconds, percentile},
};

/// Calls after each first one, which tell what a call takes.
pub(super) const WARM: usize = 3;
/// Failures that are printed.
const MAX_REASONS: usize = 5;

/// One at a time: by many workloads that call few services, and by one that calls many. Beside it the same
/// where the proxy has everything, since the first call to a service also opens a connection to it.
pub(in crate::scenario) async fn run_first(context: &Context) -> Result<Vec<Case>> {
    let workloads = context.pick(40, 2);
    let callers = callers(ON_DEMAND, workloads + 1).chain(callers(FULL, 1));
    let world = World::start(context, callers).await?;
    let services: Vec<usize> = world.http_services(1).collect();
    let (few, many) = world.callers.split_at(workloads);
    let (mut open, mut new) = (Times::default(), Times::default());
    for (index, caller) in few.iter().enumerate() {
        let sidecar = world.sidecar(caller).await?;
        let mut own = services.iter().copied().cycle().skip(index * 2 * CALLED);
        open.measure(&world, &sidecar, &Client::keep_alive(), own.by_ref().take(CALLED)).await?;
        new.measure(&world, &sidecar, &Client::new(), own.take(CALLED)).await?;
    }
    let mut cases = vec![
        open.case(context, "on demand, open connection"),
        new.case(context, "on demand, new connection"),
    ];
    let [one, full] = many else { bail!("two callers are left") };
    let sidecar = world.sidecar(one).await?;
    let client = Client::keep_alive();
    // A class that asks for more than 500 services is sent everything.
    let (before, count) = context.pick((300, 100), (5, 5));
    let mut times = Times::default();
    times.measure(&world, &sidecar, &client, services.iter().copied().take(before)).await?;
    let mut times = Times::default();
    let further = services.iter().copied().skip(before).take(count);
    times.measure(&world, &sidecar, &client, further).await?;
    cases.push(times.case(context, &format!("further {count} services after {before}")));
    drop(sidecar);
    let sidecar = world.sidecar(full).await?;
    let mut times = Times::default();
    let count = open.first.len();
    times.measure(&world, &sidecar, &client, services.into_iter().take(count)).await?;
    cases.push(times.case(context, "everything is there, open connection"));
    Ok(cases)
}

/// What calls took.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) first: Vec<Duration>,
    pub(super) warm: Vec<Duration>,
    pub(super) server_cpu: f64,
    pub(super) envoy_cpu: f64,
}

impl Times {
    async fn measure(
        &mut self,
        world: &World<'_>,
        sidecar: &Sidecar,
        client: &Client,
        services: impl Iterator<Item = usize>,
    ) -> Result<()> {
        let envoy = sidecar.envoy.id().to_string();
        // The caller's own connection is not a part of the first call; nothing is at this address.
        let nobody = Request::get(sidecar.caller.socket(), "nobody.invalid", "/");
        client.send(&nobody.timeout(PATIENCE)).await?;
        let before = (world.server.cpu()?, proc::cpu(&envoy)?);
        for service in services {
            let request = world.request(&sidecar.caller, service);
            self.first.push(call(client, &request).await?);
            for _ in 0..WARM {
                self.warm.push(call(client, &request).await?);
            }
        }
        self.server_cpu += world.server.cpu()? - before.0;
        self.envoy_cpu += proc::cpu(&envoy)? - before.1;
        Ok(())
    }

    pub(super) fn case(&mut self, context: &Context, title: &str) -> Case {
        self.first.sort_unstable();
        self.warm.sort_unstable();
        let of = |times: &[Duration], percent| milliseconds(percentile(times, percent));
        let typical = of(&self.warm, 50);
        let calls = as_float(self.first.len());
        let mut case = Case::new(title);
        case.add("services", calls, Unit::Count);
        case.add("warm p50", typical, Unit::Milliseconds);
        case.add("warm p99", of(&self.warm, 99), Unit::Milliseconds);
        for (name, percent) in [("p50", 50), ("p99", 99), ("most", 100)] {
            let beyond = (of(&self.first, percent) - typical).max(0.0);
            case.add(&format!("beyond warm {name}"), beyond, Unit::Milliseconds);
        }
        case.add("server CPU a service", self.server_cpu * 1e3 / calls, Unit::CpuMilliseconds);
        case.add("Envoy CPU a service", self.envoy_cpu * 1e3 / calls, Unit::CpuMilliseconds);
        let beyond = case.get("beyond warm p50").unwrap_or_default();
        context.progress.say(format_args!("{title}: {beyond:.2} ms beyond a warm call"));
        case
    }
}

/// What a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Http1,
    Http2,
    Grpc,
}

impl Language {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Http1, "HTTP/1"), (Self::Http2, "HTTP/2"), (Self::Grpc, "gRPC")];
}

/// What became of a first call.
type Outcome = (Language, Result<Duration, String>);

/// Many at once, in all languages, each by a proxy that does not know the service.
pub(in crate::scenario) async fn run_many(context: &Context) -> Result<Vec<Case>> {
    // A class that asks for more than 500 services is sent everything.
    let (proxies, calls) = context.pick((20, 500), (2, 10));
    let world = World::start(context, callers(ON_DEMAND, proxies)).await?;
    let mut sidecars = Vec::new();
    for caller in &world.callers {
        sidecars.push(world.sidecar(caller).await?);
    }
    context.progress.say(format_args!("{proxies} Envoys are live"));
    let server = world.server.cpu()?;
    let begin = std::time::Instant::now();
    let mut running = JoinSet::new();
    for (seed, sidecar) in sidecars.iter().enumerate() {
        let services = world.shuffled(seed as u64).into_iter().take(calls);
        let requests = services.enumerate().map(|(index, service)| {
            let request = world.request(&sidecar.caller, service);
            match request.protocol {
                Protocol::Http2 => (Language::Grpc, request),
                Protocol::Http1 if index % 2 == 0 => (Language::Http1, request),
                Protocol::Http1 => (Language::Http2, request.http2()),
            }
        });
        let requests: Vec<_> = requests.collect();
        running.spawn(async move {
            let client = Client::keep_alive();
            let mut outcomes: Vec<Outcome> = Vec::new();
            for (language, request) in requests {
                let outcome = call(&client, &request).await;
                outcomes.push((language, outcome.map_err(|error| format!("{error:#}"))));
            }
            outcomes
        });
    }
    let outcomes: Vec<Outcome> = running.join_all().await.into_iter().flatten().collect();
    let took = begin.elapsed().as_secs_f64();
    let server = world.server.cpu()? - server;
    for reason in outcomes.iter().filter_map(|(_, it)| it.as_ref().err()).take(MAX_REASONS) {
        context.progress.say(reason);
    }
    let mut all = case("all together", outcomes.iter().map(|(_, outcome)| outcome));
    let done = as_float(outcomes.len());
    all.add("calls a second", done / took, Unit::Count);
    all.add("server CPU a call", server * 1e3 / done, Unit::CpuMilliseconds);
    all.add("Envoys", as_float(sidecars.len()), Unit::Count);
    let mut cases = vec![all];
    for (language, name) in Language::ALL {
        let own = outcomes.iter().filter(|(it, _)| *it == language);
        cases.push(case(name, own.map(|(_, outcome)| outcome)));
    }
    Ok(cases)
}

fn case<'a>(name: &str, outcomes: impl Iterator<Item = &'a Result<Duration, String>>) -> Case {
    let outcomes: Vec<_> = outcomes.collect();
    let mut times: Vec<Duration> =
        outcomes.iter().filter_map(|it| it.as_ref().ok().copied()).collect();
    times.sort_unstable();
    let mut case = Case::new(name);
    case.add("calls", as_float(outcomes.len()), Unit::Count);
    case.add("failed", as_float(outcomes.len() - times.len()), Unit::Count);
    for (name, percent) in [("p50", 50), ("p99", 99), ("most", 100)] {
        case.add(name, milliseconds(percentile(&times, percent)), Unit::Milliseconds);
    }
    case
}

/// What a workload calls, whichever it is.
pub(super) fn called(world: &World<'_>) -> Vec<usize> {
    world.http_services(7).take(CALLED).collect()
}
