//! The same client against two servers that read the same files: ours, and an istiod.
//!
//! Both are seen from the streams alone, so that nothing depends on a server's own counters. What
//! istiod waits is shown by a run without its debounce; its file watcher waits 250 ms in any case.

use std::{
    iter,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::time;

use super::{
    Context,
    change::Change,
    plane::{Plane, PlaneSettings, Times, temporary_folder},
    start::{add_figures, first_stream},
};
use crate::{
    client::{Command, Goal},
    mesh::MeshFiles,
    report::{Case, Unit},
    server::MeasuredServer,
    statistics::{as_float, from_count},
};

/// A server that has neither sent nor worked for so long has nothing left to do.
const REST: Duration = Duration::from_secs(1);
/// CPU seconds in that time that are no work: a collector of garbage, a watcher's timer.
const RESTING_CPU: f64 = 0.05;
const PATIENCE: Duration = Duration::from_secs(300);
/// Turns off what istiod waits for further changes before it pushes (100 ms).
const NO_DEBOUNCE: &[&str] = &["PILOT_DEBOUNCE_AFTER=1ms"];

/// What is started.
#[derive(Clone, Copy, Debug)]
enum Subject<'a> {
    Meltemi(&'a Path),
    Istiod(&'a Path, &'a [&'a str]),
}

impl Subject<'_> {
    fn start(self, files: &MeshFiles) -> Result<MeasuredServer> {
        let log = files.folder.with_extension("log");
        match self {
            Self::Meltemi(binary) => MeasuredServer::start(binary, &files.folder, &log),
            Self::Istiod(binary, environment) => {
                MeasuredServer::start_istiod(binary, &files.folder, &log, environment)
            }
        }
    }

    async fn plane<'a>(self, context: &'a Context, settings: &PlaneSettings) -> Result<Plane<'a>> {
        let folder = temporary_folder()?;
        let files = MeshFiles::write(settings.mesh, folder.path())?;
        let mut server = self.start(&files)?;
        server.wait_ready().await?;
        Plane::on(context, settings, server, files, folder)
    }
}

/// Start, cold sync, both changes and a reconnect, with 100 and 1,000 streams.
pub(crate) async fn versus(context: &Context, istiod: &Path) -> Result<Vec<Case>> {
    let settings = PlaneSettings::delta(context.pick(200, 20), context.pick(10, 2));
    let ours = Subject::Meltemi(&context.meltemi);
    let theirs = Subject::Istiod(istiod, &[]);
    let hasty = Subject::Istiod(istiod, NO_DEBOUNCE);
    let mut cases = Vec::new();
    context.progress.say("start");
    cases.push(beside(
        start(ours, context, &settings).await?,
        &start(theirs, context, &settings).await?,
    ));
    for count in context.pick([100, 1_000], [3, 5]) {
        let count = context.streams(count, count);
        context.progress.say(format_args!("{count} streams: meltemi"));
        let own = measure(ours, context, &settings, count).await?;
        context.progress.say(format_args!("{count} streams: istiod"));
        let other = measure(theirs, context, &settings, count).await?;
        cases.extend(own.into_iter().zip(&other).map(|(own, other)| beside(own, other)));
        context.progress.say(format_args!("{count} streams: istiod, debounce off"));
        let waitless = changes_without_waiting(hasty, context, &settings, count).await?;
        for case in &mut cases {
            let hasty = waitless.iter().find(|waitless| waitless.name == case.name);
            hasty.into_iter().for_each(|hasty| add_waitless(case, hasty));
        }
    }
    Ok(cases)
}

async fn start(subject: Subject<'_>, context: &Context, settings: &PlaneSettings) -> Result<Case> {
    let folder = temporary_folder()?;
    let files = MeshFiles::write(settings.mesh, folder.path())?;
    let mut starts = Vec::new();
    for _ in 0..context.pick(3, 1) {
        starts.push(first_stream(context, subject.start(&files)?, settings).await?.figures);
    }
    let mut case = Case::new("start, one stream");
    add_figures(&starts, &mut case);
    Ok(case)
}

async fn measure(
    subject: Subject<'_>,
    context: &Context,
    settings: &PlaneSettings,
    count: usize,
) -> Result<Vec<Case>> {
    let mut plane = subject.plane(context, settings).await?;
    let mut cold = Case::new(format!("{count} streams: cold"));
    plane.cold(count, &mut cold).await?;
    plane.rest().await?;
    let mut cases = vec![cold];
    cases.extend(plane.both_changes(count).await?);
    let mut again = Case::new(format!("{count} streams: reconnect"));
    plane.come_back(&mut again).await?;
    cases.push(again);
    Ok(cases)
}

async fn changes_without_waiting(
    subject: Subject<'_>,
    context: &Context,
    settings: &PlaneSettings,
    count: usize,
) -> Result<Vec<Case>> {
    let mut plane = subject.plane(context, settings).await?;
    plane.cold(count, &mut Case::default()).await?;
    plane.rest().await?;
    plane.both_changes(count).await
}

impl Plane<'_> {
    async fn both_changes(&mut self, count: usize) -> Result<Vec<Case>> {
        let mut cases = Vec::new();
        for (change, name) in [(Change::Endpoint, "endpoint"), (Change::Route, "route")] {
            let mut case = Case::new(format!("{count} streams: {name}"));
            let rounds = (self.context.pick(7, 2), count);
            self.change(change, rounds, &mut case).await?;
            cases.push(case);
        }
        Ok(cases)
    }

    /// Every stream comes back with what it holds. The end is when the last response has come, or,
    /// where none comes, when the last stream has asked.
    async fn come_back(&mut self, case: &mut Case) -> Result<()> {
        self.fleet.reset();
        let meter = self.meter().await?;
        self.fleet.command_all(Command::Reconnect).await;
        let progress = &self.context.progress;
        let asked = self.fleet.wait("reconnect", progress, Goal::Reconnected).await?;
        let asked = asked.last().copied().unwrap_or(meter.start);
        let answered = self.rest().await?;
        let used = self.used(&meter).await?;
        let last = answered.map_or(asked, |answered| answered.max(asked));
        case.add(
            "last",
            Times::new(meter.start, &iter::once(last).collect::<Vec<_>>()).last,
            Unit::Milliseconds,
        );
        case.add_used(&used);
        let streams = as_float(self.fleet.len().max(1));
        case.add("CPU a stream", used.server_cpu * 1e3 / streams, Unit::CpuMilliseconds);
        let resources = from_count(self.fleet.sum(|seen| seen.resources));
        case.add("resources a stream", resources / streams, Unit::Count);
        let responses = from_count(self.fleet.sum(|seen| seen.responses.iter().sum()));
        case.add("responses a stream", responses / streams, Unit::Count);
        let bytes = from_count(self.fleet.sum(|seen| seen.bytes.iter().sum()));
        case.add("sent a stream", bytes / 1e3 / streams, Unit::Kilobytes);
        self.add_memory(case)
    }

    /// Waits until the server neither sends nor works; gives when the last response came.
    async fn rest(&self) -> Result<Option<Instant>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let before = self.server.cpu()?;
            let last = self.fleet.wait_quiet(REST).await?;
            if self.server.cpu()? - before <= RESTING_CPU {
                return Ok(last);
            }
            ensure!(Instant::now() < deadline, "the server does not come to rest");
            time::sleep(REST / 10).await;
        }
    }
}

/// Our figures with theirs of the same name.
fn beside(mut ours: Case, theirs: &Case) -> Case {
    for figure in &mut ours.figures {
        figure.istiod = theirs.get(&figure.name);
    }
    ours
}

/// What is left of istiod's times when it does not wait for further changes. Ours has nothing to
/// turn off.
fn add_waitless(case: &mut Case, hasty: &Case) {
    for name in ["half", "last"] {
        let (Some(own), Some(theirs)) = (case.get(name), hasty.get(name)) else { continue };
        case.add(&format!("{name}, istiod without its debounce"), own, Unit::Milliseconds);
        if let Some(figure) = case.figures.last_mut() {
            figure.istiod = Some(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(last: f64) -> Case {
        let mut case = Case::new("100 streams: route");
        case.add("last", last, Unit::Milliseconds);
        case
    }

    #[test]
    fn figures_of_one_name_stand_side_by_side() {
        let mut own = case(20.0);
        own.add("only ours", 1.0, Unit::Count);
        let mut both = beside(own, &case(500.0));
        add_waitless(&mut both, &case(400.0));
        let figures: Vec<_> =
            both.figures.iter().map(|it| (it.name.as_str(), it.value, it.istiod)).collect();
        assert_eq!(
            figures,
            [
                ("last", 20.0, Some(500.0)),
                ("only ours", 1.0, None),
                ("last, istiod without its debounce", 20.0, Some(400.0)),
            ]
        );
    }
}
