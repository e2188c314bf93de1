//! First calls to services that the caller's proxy was never told of.

use std::time::Duration;

use anyhow::Result;
use testkit::http::{Client, Protocol};
use tokio::task::JoinSet;

use super::{CALLED, Context, FULL, ON_DEMAND, Sidecar, World, call, callers};
use crate::{
    proc,
    report::{Case, Unit},
    statistics::{as_float, milliseconds, percentile},
};

/// Calls after each first one, which tell what a call takes.
const WARM: usize = 3;
/// Failures that are printed.
const MAX_REASONS: usize = 5;

/// One at a time, on a connection that is open and on a new one; and the same where the proxy has
/// everything, since the first call to a service also opens a connection to it.
pub(in crate::scenario) async fn run_first(context: &Context) -> Result<Vec<Case>> {
    let world = World::start(context, [ON_DEMAND, FULL].into_iter().flat_map(|it| callers(it, 1)));
    let world = world.await?;
    let mut cases = Vec::new();
    for caller in &world.callers {
        let sidecar = world.sidecar(caller).await?;
        for (seed, (name, client)) in
            [("open connection", Client::keep_alive()), ("new connection", Client::new())]
                .into_iter()
                .enumerate()
        {
            let title = match caller.mode {
                ON_DEMAND => format!("on demand, {name}"),
                _ => format!("everything is there, {name}"),
            };
            // The second half of the order is that of the other connection.
            let count = context.pick(200, 5);
            let services = world.http_services(1).skip(seed * count).take(count);
            cases.push(first_calls(&world, &sidecar, (title, client), services).await?);
        }
    }
    Ok(cases)
}

async fn first_calls(
    world: &World<'_>,
    sidecar: &Sidecar,
    (title, client): (String, Client),
    services: impl Iterator<Item = usize>,
) -> Result<Case> {
    let envoy = sidecar.envoy.id().to_string();
    let (mut first, mut warm) = (Vec::new(), Vec::new());
    // The caller's own connection is not a part of the first call.
    call(&client, &world.request(&sidecar.caller, 0)).await?;
    let before = (world.server.cpu()?, proc::cpu(&envoy)?);
    for service in services {
        let request = world.request(&sidecar.caller, service);
        first.push(call(&client, &request).await?);
        for _ in 0..WARM {
            warm.push(call(&client, &request).await?);
        }
    }
    let calls = as_float(first.len());
    let (server, envoy) = (world.server.cpu()? - before.0, proc::cpu(&envoy)? - before.1);
    first.sort_unstable();
    warm.sort_unstable();
    let of = |times: &[Duration], percent| milliseconds(percentile(times, percent));
    let typical = of(&warm, 50);
    let mut case = Case::new(title);
    case.add("calls", calls, Unit::Count);
    case.add("warm p50", typical, Unit::Milliseconds);
    case.add("warm p99", of(&warm, 99), Unit::Milliseconds);
    for (name, percent) in [("p50", 50), ("p99", 99), ("most", 100)] {
        let beyond = (of(&first, percent) - typical).max(0.0);
        case.add(&format!("beyond warm {name}"), beyond, Unit::Milliseconds);
    }
    case.add("server CPU a service", server * 1e3 / calls, Unit::CpuMilliseconds);
    case.add("Envoy CPU a service", envoy * 1e3 / calls, Unit::CpuMilliseconds);
    let beyond = case.get("beyond warm p50").unwrap_or_default();
    world.context.progress.say(format_args!("{}: {beyond:.2} ms beyond a warm call", case.name));
    Ok(case)
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
