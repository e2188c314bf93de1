//! How costs grow with the mesh and with the streams: the exponent of cost against size.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    Context,
    change::Change,
    plane::{Plane, PlaneSettings},
};
use crate::{
    report::{Case, Unit},
    statistics::{as_float, exponent},
};

/// Costs by name, each with the sizes at which it was measured.
type Points = BTreeMap<&'static str, Vec<(f64, f64)>>;

pub(super) async fn run_services(context: &Context) -> Result<Vec<Case>> {
    let mut points = Points::new();
    let mut cases = Vec::new();
    let count = context.streams(100, 5);
    for services in context.pick(vec![500, 1_000, 2_000, 4_000], vec![20, 40]) {
        let settings = PlaneSettings::delta(services, context.pick(10, 2));
        let mut case = Case::new(format!("{services} services"));
        let mut plane = Plane::start(context, &settings).await?;
        case.add("start", plane.server.started.elapsed().as_secs_f64(), Unit::Seconds);
        measure(&mut plane, count, &mut case).await?;
        for (name, figure) in [
            ("start", "start"),
            ("idle memory", "idle"),
            ("cold CPU a stream", "CPU a stream"),
            ("endpoint CPU", "endpoint CPU"),
            ("endpoint last", "endpoint last"),
            ("route CPU", "route CPU"),
        ] {
            let point = (as_float(services), case.get(figure).unwrap_or_default());
            points.entry(name).or_default().push(point);
        }
        cases.push(case);
    }
    cases.push(exponents(&points));
    Ok(cases)
}

pub(super) async fn run_streams(context: &Context) -> Result<Vec<Case>> {
    let mut points = Points::new();
    let mut cases = Vec::new();
    let settings = PlaneSettings::delta(context.pick(200, 20), context.pick(10, 2));
    for count in context.pick(vec![250, 500, 1_000, 2_000, 4_000], vec![5, 10]) {
        let count = context.streams(count, count);
        let mut case = Case::new(format!("{count} streams"));
        let mut plane = Plane::start(context, &settings).await?;
        measure(&mut plane, count, &mut case).await?;
        let mut reconnect = Case::default();
        plane.reconnect(&mut reconnect).await?;
        let cpu = reconnect.get("server CPU").unwrap_or_default();
        case.add("reconnect CPU", cpu, Unit::CpuSeconds);
        for (name, figure) in [
            ("cold CPU", "server CPU"),
            ("memory over idle", "memory over idle"),
            ("endpoint CPU", "endpoint CPU"),
            ("endpoint last", "endpoint last"),
            ("route CPU", "route CPU"),
            ("reconnect CPU", "reconnect CPU"),
        ] {
            let point = (as_float(count), case.get(figure).unwrap_or_default());
            points.entry(name).or_default().push(point);
        }
        cases.push(case);
    }
    cases.push(exponents(&points));
    Ok(cases)
}

/// A cold sync, and both changes often enough for clocks that tick a hundred times a second.
async fn measure(plane: &mut Plane<'_>, count: usize, case: &mut Case) -> Result<()> {
    plane.cold(count, case).await?;
    let rounds = plane.context.pick(10, 2);
    for (change, cpu, last) in [
        (Change::Endpoint, "endpoint CPU", "endpoint last"),
        (Change::Route, "route CPU", "route last"),
    ] {
        let mut own = Case::default();
        plane.change(change, (rounds, count), &mut own).await?;
        case.add(cpu, own.get("server CPU").unwrap_or_default() * 1e3, Unit::CpuMilliseconds);
        case.add(last, own.get("last").unwrap_or_default(), Unit::Milliseconds);
    }
    Ok(())
}

fn exponents(points: &Points) -> Case {
    let mut case = Case::new("exponents of cost against size");
    for (name, points) in points {
        if let Some(value) = exponent(points) {
            case.add(name, value, Unit::Exponent);
        }
    }
    case
}
