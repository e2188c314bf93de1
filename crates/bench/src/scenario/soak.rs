//! Everything at once for a long time: does memory stay flat, and does everybody end up right?

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time;

use super::{
    Context,
    plane::{Plane, PlaneSettings},
};
use crate::{
    client::{Command, Lags},
    report::{Case, Unit},
    statistics::{as_float, from_count, median, milliseconds},
};

/// An endpoint changes so often, and a route each tenth time.
const PERIOD: Duration = Duration::from_millis(50);
/// Of all streams one in so many reconnects or stops reading at a time.
const SHARE: usize = 20;
/// What happens in turn, each after this time; in a quick run after less.
const STEP: [Duration; 2] = [Duration::from_secs(5), Duration::from_millis(300)];
const SAMPLES: u32 = 120;
/// Memory that may be added between the second and the last quarter, in MB.
const SLACK: f64 = 4.0;

/// Churn, reconnects, slow readers and broken files for so long.
pub(crate) async fn soak(context: &Context, duration: Duration) -> Result<Case> {
    let mut settings = PlaneSettings::delta(context.pick(200, 20), context.pick(10, 2));
    let changes = u32::try_from(duration.as_millis() / PERIOD.as_millis())? + 1;
    let services = u32::try_from(settings.mesh.services)?;
    let lags = Arc::new(Lags::new(services, changes));
    settings.lags = Some(Arc::clone(&lags));
    let count = context.streams(500, 20);
    let mut plane = Plane::start(context, &settings).await?;
    plane.cold(count, &mut Case::default()).await?;
    let [step_full, step_quick] = STEP;
    let step_time = context.pick(step_full, step_quick);
    let start = Instant::now();
    let mut samples: Vec<f64> = Vec::new();
    let (mut written, mut step) = (0, 0);
    let mut ticks = time::interval(PERIOD);
    while start.elapsed() < duration {
        ticks.tick().await;
        written += 1;
        let put = plane.files.stage_change(((written - 1) % services) as usize, written)?;
        lags.write(written);
        put()?;
        if written % 10 == 0 {
            plane.files.stage_route(written)?()?;
        }
        if start.elapsed() >= step_time * (step + 1) {
            plane.disturb(step).await?;
            step += 1;
        }
        let due = duration / SAMPLES * u32::try_from(samples.len() + 1)?;
        if start.elapsed() >= due {
            samples.push(from_count(plane.server.resident()?.now) / 1e3);
            if samples.len().is_multiple_of(10) {
                let left = duration.saturating_sub(start.elapsed()).as_secs();
                let memory = samples.last().copied().unwrap_or_default();
                context.progress.say(format_args!("{memory:.0} MB, {left} s remain"));
            }
        }
    }
    plane.fleet.command_all(Command::Thaw).await;
    let behind = plane.streams_behind().await?;
    let mut case = Case::new(format!("{count} streams, {} s", duration.as_secs()));
    let quarter = samples.len() / 4;
    let of = |from: usize, to: usize| median(samples[from * quarter..to * quarter].to_vec());
    let (early, late) = (of(1, 2), of(3, 4));
    case.add("memory, second quarter", early, Unit::Megabytes);
    case.add("memory, last quarter", late, Unit::Megabytes);
    let most = samples.iter().copied().fold(0.0, f64::max);
    case.add("memory, most", most, Unit::Megabytes);
    case.add("memory more", late - early, Unit::Megabytes);
    let (_, [half, p99, last]) = lags.permilles([500, 990, 1_000]);
    for (name, lag) in [("lag p50", half), ("lag p99", p99), ("lag, most", last)] {
        case.add(name, milliseconds(lag), Unit::Milliseconds);
    }
    case.add("streams behind", as_float(behind), Unit::Count);
    case.add("changes", f64::from(written), Unit::Count);
    if let Some(figure) = case.figures.iter_mut().find(|figure| figure.name == "memory more") {
        figure.limit = Some(SLACK.max(early * 0.05));
    }
    if let Some(figure) = case.figures.iter_mut().find(|figure| figure.name == "streams behind") {
        figure.limit = Some(0.0);
    }
    Ok(case)
}

impl Plane<'_> {
    /// In turn: a broken file, streams that stop reading, that file mended, streams that come
    /// back, and the slow ones read again.
    async fn disturb(&self, step: u32) -> Result<()> {
        let all = self.fleet.len();
        let share = (all / SHARE).max(1);
        let of_step = |offset: u32| {
            let first = (step / 5 + offset) as usize * share;
            (first..first + share).map(move |index| index % all)
        };
        match step % 5 {
            0 => self.files.stage_broken(step)?()?,
            1 => {
                for index in of_step(0) {
                    self.fleet.command(index, Command::Freeze).await;
                }
            }
            2 => self.files.remove_broken(step - 2),
            3 => {
                for index in of_step(1) {
                    self.fleet.command(index, Command::Reconnect).await;
                }
            }
            _ => {
                for index in of_step(0) {
                    self.fleet.command(index, Command::Thaw).await;
                }
            }
        }
        Ok(())
    }
}
