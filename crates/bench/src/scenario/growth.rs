//! How costs grow with the mesh, with the streams and with their classes: the exponent of cost
//! against size.
//!
//! 0 is a cost that does not depend on the size, 1 is one that is proportional to it. A large fixed
//! cost hides what grows beside it: therefore the last doubling stands beside the whole.

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
#[derive(Debug, Default)]
struct Points(BTreeMap<&'static str, Vec<(f64, f64)>>);

impl Points {
    /// Takes figures of a case under the names of their costs.
    fn add(&mut self, size: usize, case: &Case, costs: &[(&'static str, &str)]) {
        for (name, figure) in costs {
            if let Some(cost) = case.get(figure) {
                self.0.entry(name).or_default().push((as_float(size), cost));
            }
        }
    }

    fn exponents(&self) -> [Case; 2] {
        let mut whole = Case::new("exponents of cost against size");
        let mut end = Case::new("of the last doubling");
        for (name, points) in &self.0 {
            let last = &points[points.len().saturating_sub(2)..];
            for (case, points) in [(&mut whole, &points[..]), (&mut end, last)] {
                if let Some(value) = exponent(points) {
                    case.add(name, value, Unit::Exponent);
                }
            }
        }
        [whole, end]
    }
}

pub(super) async fn run_services(context: &Context) -> Result<Vec<Case>> {
    let mut points = Points::default();
    let mut cases = Vec::new();
    let count = context.streams(100, 5);
    for services in context.pick(vec![500, 1_000, 2_000, 4_000], vec![20, 40]) {
        let settings = PlaneSettings::delta(services, context.pick(10, 2));
        let mut case = Case::new(format!("{services} services"));
        let mut plane = Plane::start(context, &settings).await?;
        case.add("start", plane.server.started.elapsed().as_secs_f64(), Unit::Seconds);
        measure(&mut plane, count, &mut case).await?;
        let costs = [
            ("start", "start"),
            ("idle memory", "idle"),
            ("cold CPU a stream", "CPU a stream"),
            ("endpoint CPU", "endpoint CPU"),
            ("endpoint last", "endpoint last"),
            ("route CPU", "route CPU"),
            ("reconnect CPU", "reconnect CPU"),
        ];
        points.add(services, &case, &costs);
        cases.push(case);
    }
    cases.extend(points.exponents());
    Ok(cases)
}

pub(super) async fn run_streams(context: &Context) -> Result<Vec<Case>> {
    let mut points = Points::default();
    let mut cases = Vec::new();
    let settings = PlaneSettings::delta(context.pick(200, 20), context.pick(10, 2));
    for count in context.pick(vec![250, 500, 1_000, 2_000, 4_000], vec![5, 10]) {
        let count = context.streams(count, count);
        let mut case = Case::new(format!("{count} streams"));
        let mut plane = Plane::start(context, &settings).await?;
        measure(&mut plane, count, &mut case).await?;
        let costs = [
            ("cold CPU", "server CPU"),
            ("memory over idle", "memory over idle"),
            ("endpoint CPU", "endpoint CPU"),
            ("endpoint last", "endpoint last"),
            ("route CPU", "route CPU"),
            ("reconnect CPU", "reconnect CPU"),
        ];
        points.add(count, &case, &costs);
        cases.push(case);
    }
    cases.extend(points.exponents());
    Ok(cases)
}

/// Proxies of a namespace are one class. The number of streams stays, so that what differs is what
/// a class costs.
pub(super) async fn run_classes(context: &Context) -> Result<Vec<Case>> {
    let mut points = Points::default();
    let mut cases: Vec<Case> = Vec::new();
    let mut settings = PlaneSettings::delta(context.pick(1_000, 20), context.pick(10, 2));
    let sizes = context.pick(vec![20, 40, 80, 160], vec![2, 4]);
    let count = sizes.last().copied().unwrap_or_default();
    for workloads in &sizes {
        settings.mesh.workloads = *workloads;
        let mut case = Case::new(format!("{workloads} classes"));
        let mut plane = Plane::start(context, &settings).await?;
        measure(&mut plane, count, &mut case).await?;
        let costs = [
            ("cold CPU", "server CPU"),
            ("memory over idle", "memory over idle"),
            ("endpoint CPU", "endpoint CPU"),
            ("route CPU", "route CPU"),
        ];
        points.add(*workloads, &case, &costs);
        cases.push(case);
    }
    let each = a_class(&sizes, &cases);
    cases.extend(points.exponents());
    cases.push(each);
    Ok(cases)
}

/// What further classes add, for each MB of their configuration.
fn a_class(sizes: &[usize], cases: &[Case]) -> Case {
    let mut case = Case::new("a class more");
    let (Some(least), Some(most), Some((first, last))) =
        (cases.first(), cases.last(), sizes.first().zip(sizes.last()))
    else {
        return case;
    };
    let more = as_float(last - first) * most.get("sent a stream").unwrap_or_default() / 1e3;
    if more > 0.0 {
        for (name, figure, factor, unit) in [
            ("CPU for each MB", "server CPU", 1e3, Unit::CpuMilliseconds),
            ("memory for each MB", "memory over idle", 1.0, Unit::Megabytes),
        ] {
            let of = |case: &Case| case.get(figure).unwrap_or_default();
            case.add(name, (of(most) - of(least)).max(0.0) * factor / more, unit);
        }
    }
    case
}

/// A cold sync, both changes often enough for clocks that tick a hundred times a second, and a
/// reconnect.
async fn measure(plane: &mut Plane<'_>, count: usize, case: &mut Case) -> Result<()> {
    plane.cold(count, case).await?;
    // With few streams a change is less than a tick.
    let rounds = plane.context.pick(if count < 1_000 { 20 } else { 8 }, 2);
    for (change, cpu, last) in [
        (Change::Endpoint, "endpoint CPU", "endpoint last"),
        (Change::Route, "route CPU", "route last"),
    ] {
        let mut own = Case::default();
        plane.change(change, (rounds, count), &mut own).await?;
        case.add(cpu, own.get("server CPU").unwrap_or_default() * 1e3, Unit::CpuMilliseconds);
        case.add(last, own.get("last").unwrap_or_default(), Unit::Milliseconds);
    }
    let mut reconnect = Case::default();
    plane.reconnect(&mut reconnect).await?;
    let cpu = reconnect.get("server CPU").unwrap_or_default();
    case.add("reconnect CPU", cpu * 1e3, Unit::CpuMilliseconds);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(cpu: f64, memory: f64) -> Case {
        let mut case = Case::new("");
        case.add("server CPU", cpu, Unit::CpuSeconds);
        case.add("memory over idle", memory, Unit::Megabytes);
        case.add("sent a stream", 2_000.0, Unit::Kilobytes);
        case
    }

    #[test]
    fn a_large_fixed_cost_shows_in_the_last_doubling() {
        let mut points = Points::default();
        for size in [500, 1_000, 2_000, 4_000] {
            // Quadratic behind a fixed cost.
            let cost = 8.0 + (as_float(size) / 1_000.0).powi(2);
            points.add(
                size,
                &case(cost, 1.0),
                &[("cold", "server CPU"), ("idle", "memory over idle")],
            );
        }
        let [whole, end] = points.exponents();
        let rounded = |case: &Case, name| (case.get(name).unwrap() * 10.0).round() / 10.0;
        assert_eq!([rounded(&whole, "cold"), rounded(&end, "cold")], [0.5, 1.0]);
        assert_eq!([rounded(&whole, "idle"), rounded(&end, "idle")], [0.0, 0.0]);
    }

    #[test]
    fn a_class_costs_what_further_ones_add() {
        let each = a_class(&[20, 120], &[case(1.0, 50.0), case(2.0, 350.0)]);
        // 100 classes of 2 MB.
        assert_eq!(each.get("CPU for each MB"), Some(5.0));
        assert_eq!(each.get("memory for each MB"), Some(1.5));
        assert!(a_class(&[], &[]).figures.is_empty());
    }
}
