//! Every stream comes back and says what it holds.

use std::{
    iter,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::time;

use super::{
    Context,
    plane::{Plane, PlaneSettings, QUIET, Times},
};
use crate::{
    client::{Command, Goal},
    report::{Case, Unit},
    statistics::{as_float, from_count},
};

/// How often the server is asked whether it has read everything: seldom, as that costs it time.
const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(120);

impl Plane<'_> {
    /// The server is done when it has read all requests and, should it send something, when that
    /// has come.
    pub(super) async fn reconnect(&mut self, case: &mut Case) -> Result<()> {
        self.fleet.reset();
        let progress = &self.context.progress;
        let before = self.server.counters().await?;
        let meter = self.meter().await?;
        self.fleet.command_all(Command::Reconnect).await;
        self.fleet.wait("reconnect", progress, Goal::Reconnected).await?;
        let requests = self.fleet.sum(|seen| seen.requests);
        let deadline = Instant::now() + PATIENCE;
        let read = loop {
            let read = self.server.counters().await?.requests - before.requests;
            if read >= requests {
                break Instant::now();
            }
            ensure!(Instant::now() < deadline, "the server has read {read} of {requests} requests");
            time::sleep(POLL).await;
        };
        let last = self.fleet.wait_quiet(QUIET).await?.map_or(read, |last| last.max(read));
        let used = self.used(&meter).await?;
        let resources = self.fleet.sum(|seen| seen.resources);
        let times = Times::new(meter.start, &iter::once(last).collect::<Vec<_>>());
        case.add("last", times.last, Unit::Milliseconds);
        case.add_used(&used);
        let each = used.server_cpu * 1e3 / as_float(self.fleet.len().max(1));
        case.add("CPU a stream", each, Unit::CpuMilliseconds);
        case.add("resources sent", from_count(resources), Unit::Count);
        case.add("sent", from_count(used.sent_bytes) / 1e3, Unit::Kilobytes);
        self.add_memory(case)?;
        progress.say(format_args!("reconnect: {:.0} ms, {resources} resources sent", times.last));
        Ok(())
    }
}

pub(super) async fn run(context: &Context) -> Result<Vec<Case>> {
    let settings = PlaneSettings::delta(context.pick(200, 20), context.pick(10, 2));
    let count = context.streams(10_000, 10);
    let mut plane = Plane::start(context, &settings).await?;
    plane.cold(count, &mut Case::default()).await?;
    let mut case = Case::new(format!("{count} streams"));
    plane.reconnect(&mut case).await?;
    Ok(vec![case])
}
