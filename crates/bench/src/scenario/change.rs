//! One object changes, again and again, and every stream that depends on it is waited for.

use std::time::Instant;

use anyhow::Result;

use super::{
    Context,
    plane::{Plane, PlaneSettings, QUIET, Times},
};
use crate::{
    client::{Goal, Kind},
    mesh::RouteScope,
    report::{Case, Unit},
    statistics::{as_float, from_count, median},
};

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Endpoint,
    Route,
}

impl Change {
    fn kind(self) -> Kind {
        match self {
            Self::Endpoint => Kind::Endpoint,
            Self::Route => Kind::Route,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Endpoint => "one endpoint changes",
            Self::Route => "one route changes",
        }
    }
}

impl Plane<'_> {
    /// Changes a file so many times and waits each time until `dependants` streams have had the
    /// response that says so. The median of times, the mean of the rest.
    pub(super) async fn change(
        &mut self,
        change: Change,
        (rounds, dependants): (u32, usize),
        case: &mut Case,
    ) -> Result<()> {
        let kind = change.kind();
        let mut times = Vec::new();
        let (mut resources, mut responses, mut others, mut bytes) = (0, 0, 0, 0);
        let meter = self.meter().await?;
        for round in 1..=rounds {
            self.fleet.reset();
            let start = self.write(change, round)?;
            let progress = &self.context.progress;
            let what = change.title();
            let reached = self.fleet.wait_for(what, progress, Goal::First(kind), dependants);
            times.push(Times::new(start, &reached.await?));
            self.fleet.wait_quiet(QUIET).await?;
            resources += self.fleet.sum(|seen| seen.resources);
            responses += self.fleet.sum(|seen| seen.responses[kind as usize]);
            others += self.fleet.sum(|seen| seen.responses.iter().sum());
            bytes += self.fleet.sum(|seen| seen.bytes.iter().sum());
        }
        others -= responses;
        let used = self.used(&meter).await?;
        let pick = |pick: fn(&Times) -> f64| median(times.iter().map(pick).collect());
        let typical = Times {
            first: pick(|times| times.first),
            half: pick(|times| times.half),
            p99: pick(|times| times.p99),
            last: pick(|times| times.last),
        };
        case.add_times(&typical);
        let best = times.iter().map(|times| times.last).fold(f64::INFINITY, f64::min);
        case.add("last, best round", best, Unit::Milliseconds);
        let rounds = f64::from(rounds);
        case.add("server CPU", used.server_cpu / rounds, Unit::CpuSeconds);
        case.add("client CPU", used.client_cpu / rounds, Unit::CpuSeconds);
        case.add("sent", from_count(bytes) / rounds / 1e3, Unit::Kilobytes);
        let each = rounds * as_float(dependants).max(1.0);
        case.add("resources a stream", from_count(resources) / each, Unit::Count);
        case.add("other responses", from_count(others) / each, Unit::Count);
        let told = from_count(responses) / rounds - as_float(dependants);
        case.add("streams told in vain", told.max(0.0), Unit::Count);
        let text = change.title();
        self.context.progress.say(format_args!("{text}: {:.1} ms to the last", typical.last));
        Ok(())
    }

    /// Gives when the file was put in place.
    pub(super) fn write(&self, change: Change, round: u32) -> Result<Instant> {
        match change {
            Change::Endpoint => {
                let put = self.files.stage_endpoint(round)?;
                let start = Instant::now();
                put().map(|()| start)
            }
            Change::Route => {
                let put = self.files.stage_route(round)?;
                let start = Instant::now();
                put().map(|()| start)
            }
        }
    }
}

pub(super) async fn run_endpoint(context: &Context) -> Result<Vec<Case>> {
    let sizes = context.pick([(200, 10), (2_000, 50)], [(20, 2), (30, 2)]);
    let mut cases = Vec::new();
    for (services, endpoints) in sizes {
        cases.push(run_one(context, Change::Endpoint, (services, endpoints)).await?);
    }
    Ok(cases)
}

pub(super) async fn run_route(context: &Context) -> Result<Vec<Case>> {
    let size = context.pick((200, 10), (20, 2));
    Ok(vec![run_one(context, Change::Route, size).await?])
}

async fn run_one(
    context: &Context,
    change: Change,
    (services, endpoints): (usize, usize),
) -> Result<Case> {
    let count = context.streams(1_000, 10);
    let mut plane = Plane::start(context, &PlaneSettings::delta(services, endpoints)).await?;
    plane.cold(count, &mut Case::default()).await?;
    let mut case = Case::new(format!("{services} services × {endpoints}, {count} streams"));
    plane.change(change, (context.pick(15, 2), count), &mut case).await?;
    Ok(case)
}

/// The proxies of one of twenty namespaces see the rule that is changed.
pub(super) async fn run_route_some(context: &Context) -> Result<Vec<Case>> {
    let mut settings = PlaneSettings::delta(context.pick(200, 20), context.pick(10, 2));
    settings.mesh.route_scope = RouteScope::Namespace;
    let count = context.streams(10_000, 40);
    let mut plane = Plane::start(context, &settings).await?;
    plane.cold(count, &mut Case::default()).await?;
    let dependants = (0..count).filter(|index| index % settings.mesh.workloads == 0).count();
    let mut case = Case::new(format!("{dependants} of {count} streams"));
    let rounds = context.pick(10, 2);
    let before = plane.server.counters().await?;
    plane.change(Change::Route, (rounds, dependants), &mut case).await?;
    let after = plane.server.counters().await?;
    let each = |after: u64, before: u64| from_count(after - before) / f64::from(rounds);
    case.add("compiled", each(after.compiled, before.compiled), Unit::Count);
    case.add("jobs", each(after.jobs, before.jobs), Unit::Count);
    case.add("streams woken", each(after.notified, before.notified), Unit::Count);
    Ok(vec![case])
}
