//! One stream stops reading; do the others notice, and what does it cost the server?

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    Context,
    change::Change,
    plane::{Plane, PlaneSettings, QUIET, Times},
};
use crate::{
    client::{Command, Goal, Kind},
    report::{Case, Unit},
    statistics::{from_count, median},
};

/// How often something changes.
const PERIOD: Duration = Duration::from_millis(500);

/// What the other streams felt.
struct Felt {
    times: Vec<Times>,
    /// Of the server at the end, in kB.
    memory: u64,
}

pub(super) async fn run(context: &Context) -> Result<Vec<Case>> {
    let settings = PlaneSettings::delta(context.pick(200, 20), context.pick(10, 2));
    let duration = context.pick(Duration::from_secs(60), Duration::from_secs(2));
    let count = context.streams(1_000, 10);
    let mut plane = Plane::start(context, &settings).await?;
    // The slow one is one of them, so that nothing but its reading makes the difference.
    plane.cold(count, &mut Case::default()).await?;
    // Before the first measurement the allocator has seen what a change needs.
    plane.feel(duration / 6, count).await?;
    let before = plane.feel(duration / 2, count).await?;
    plane.fleet.command(count - 1, Command::Freeze).await;
    context.progress.say("one stream reads nothing any more");
    let with = plane.feel(duration, count - 1).await?;
    plane.fleet.command(count - 1, Command::Thaw).await;
    let behind = plane.streams_behind().await?;

    let mut case = Case::new(format!("{count} streams, changes twice a second"));
    let p99 = |felt: &Felt| median(felt.times.iter().map(|times| times.p99).collect());
    case.add("p99 before", p99(&before), Unit::Milliseconds);
    case.add("p99 with it", p99(&with), Unit::Milliseconds);
    case.add("p99 against before", p99(&with) / p99(&before).max(f64::EPSILON), Unit::Times);
    let more = from_count(with.memory.saturating_sub(before.memory)) / 1e3;
    let largest = from_count(plane.largest_route().await?) / 1e6;
    case.add("memory more", more, Unit::Megabytes);
    case.add("largest resource", largest, Unit::Megabytes);
    case.add("memory over its largest resource", (more - largest).max(0.0), Unit::Megabytes);
    case.add("streams behind when it reads again", from_count(behind as u64), Unit::Count);
    Ok(vec![case])
}

impl Plane<'_> {
    /// Changes endpoints and routes in turn, and sees how long they take to `count` streams.
    async fn feel(&mut self, duration: Duration, count: usize) -> Result<Felt> {
        let (start, mut times) = (Instant::now(), Vec::new());
        let mut round = 0;
        while start.elapsed() < duration {
            round += 1;
            let change = [Change::Endpoint, Change::Route][round % 2];
            let kind = [Kind::Endpoint, Kind::Route][round % 2];
            self.fleet.reset();
            // Numbers that were not used before: the files must differ.
            let number = u32::try_from(start.duration_since(self.server.started).as_millis())?;
            let begin = self.write(change, number + u32::try_from(round)?)?;
            let progress = &self.context.progress;
            let reached = self.fleet.wait_for("a change", progress, Goal::First(kind), count);
            times.push(Times::new(begin, &reached.await?));
            tokio::time::sleep(PERIOD.saturating_sub(begin.elapsed())).await;
        }
        self.fleet.wait_quiet(QUIET).await?;
        Ok(Felt { times, memory: self.server.resident()?.now })
    }

    /// The length of the route configuration that everybody holds.
    async fn largest_route(&mut self) -> Result<u64> {
        self.fleet.reset();
        let begin = self.write(Change::Route, u32::MAX)?;
        let goal = Goal::First(Kind::Route);
        self.fleet.wait("a route", &self.context.progress, goal).await?;
        self.context.progress.say(format_args!("a route took {:?}", begin.elapsed()));
        let lengths = self.fleet.each(|seen| seen.bytes[Kind::Route as usize]);
        Ok(lengths.into_iter().max().unwrap_or_default())
    }
}
