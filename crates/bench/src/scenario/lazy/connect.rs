//! What streams of fenced workloads cost the control plane, beside those that are sent everything.

use anyhow::{Context as _, Result};

use super::{super::plane::PlaneSettings, CALLED, Context};
use crate::{
    report::{Case, Unit},
    scenario::plane::Plane,
};

pub(in crate::scenario) async fn run(context: &Context) -> Result<Vec<Case>> {
    let count = context.streams(1_000, 10);
    let everything = PlaneSettings::delta(context.pick(2_000, 40), context.pick(50, 2));
    let fenced = PlaneSettings { fenced: Some(CALLED), ..everything.clone() };
    let mut cases = Vec::new();
    for (name, settings) in [("everything", everything), ("fenced", fenced)] {
        let mut case = Case::new(format!("{count} streams, {name}"));
        Plane::start(context, &settings).await?.cold(count, &mut case).await?;
        cases.push(case);
    }
    let mut ratios = Case::new("fenced against everything");
    for (name, figure) in [("CPU", "server CPU"), ("sent", "sent a stream"), ("last", "last")] {
        let [everything, fenced] = [&cases[0], &cases[1]].map(|case| case.get(figure));
        let (everything, fenced) = everything.zip(fenced).context("a figure is missing")?;
        // A tiny mesh takes less than a tick of the clock.
        ratios.add(name, if everything > 0.0 { fenced / everything } else { 1.0 }, Unit::Times);
    }
    cases.push(ratios);
    Ok(cases)
}
