//! What single operations cost: measured points, and the lines through them.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    report::{Case, Report},
    rows::RowId,
};

/// Measured costs. The committed ones are `costs.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Costs {
    /// When and where.
    pub(crate) measured: String,
    /// First syncs, per stream.
    cold: Vec<ColdCost>,
    /// Memory of a plane that nobody has asked yet.
    idle: Vec<IdleCost>,
    /// From the start of the process until one stream has everything.
    start: Vec<StartCost>,
    /// Memory of a stream that is in sync.
    pub(crate) stream_kb: f64,
    /// What a class of proxies costs before its first stream can be answered, per MB of its
    /// configuration: CPU of the engine's thread, and memory.
    pub(crate) class_cpu_ms_per_mb: f64,
    pub(crate) class_mb_per_mb: f64,
    /// One changed assignment to one stream, by itself.
    pub(crate) endpoint_ms: f64,
    route: RouteCost,
    reconnect: ReconnectCost,
    /// One changed assignment to one stream among many changes.
    pub(crate) churn_resource_us: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ColdCost {
    services: u32,
    /// Of each service.
    endpoints: u32,
    sent_kb: f64,
    cpu_ms: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdleCost {
    services: u32,
    endpoints: u32,
    mb: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartCost {
    services: u32,
    endpoints: u32,
    seconds: f64,
}

/// One route configuration to one stream.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RouteCost {
    sent_kb: f64,
    services: u32,
    cpu_ms: f64,
}

/// A stream that comes back and is sent nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReconnectCost {
    services: u32,
    cpu_ms: f64,
}

/// `value = fixed + slope * x`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    fixed: f64,
    slope: f64,
}

impl Line {
    /// The line with the least relative errors. Costs are not negative: neither is what they
    /// consist of.
    fn fit(points: &[(f64, f64)]) -> Self {
        let (mut n, mut x, mut xx, mut y, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (at, value) in points {
            let weight = 1.0 / value.powi(2).max(f64::MIN_POSITIVE);
            n += weight;
            x += weight * at;
            xx += weight * at * at;
            y += weight * value;
            xy += weight * at * value;
        }
        let spread = n * xx - x * x;
        if points.len() < 2 || spread <= 1e-9 * n * xx {
            return Self { fixed: 0.0, slope: if xx > 0.0 { xy / xx } else { 0.0 } };
        }
        let slope = (n * xy - x * y) / spread;
        let fixed = (y - slope * x) / n;
        match (fixed < 0.0, slope < 0.0) {
            (_, true) => Self { fixed: y / n, slope: 0.0 },
            (true, false) => Self { fixed: 0.0, slope: xy / xx },
            (false, false) => Self { fixed, slope },
        }
    }

    fn at(self, x: f64) -> f64 {
        self.fixed + self.slope * x
    }
}

impl Costs {
    /// Those that are committed.
    pub(crate) fn committed() -> Result<Self> {
        serde_json::from_str(include_str!("costs.json"))
            .context("costs.json is not as it should be")
    }

    /// What a stream is sent in the beginning, in MB: so much for a service and so much for each
    /// of its endpoints.
    pub(crate) fn configuration_mb(&self, services: f64, endpoints: f64) -> f64 {
        let each = self
            .cold
            .iter()
            .map(|it| (f64::from(it.endpoints), it.sent_kb / f64::from(it.services.max(1))));
        let of_a_service = Line::fit(&each.collect::<Vec<_>>());
        services * of_a_service.at(endpoints) / 1e3
    }

    /// CPU of a first sync in ms, when the class is compiled.
    pub(crate) fn cold_ms(&self, configuration_mb: f64) -> f64 {
        self.cold_line().at(configuration_mb)
    }

    fn cold_line(&self) -> Line {
        let points = self.cold.iter().map(|it| (it.sent_kb / 1e3, it.cpu_ms));
        Line::fit(&points.collect::<Vec<_>>())
    }

    /// Memory of the mesh itself.
    pub(crate) fn idle_mb(&self, services: f64, endpoints: f64) -> f64 {
        let points = self.idle.iter().map(|it| (load(it.services, it.endpoints), it.mb));
        Line::fit(&points.collect::<Vec<_>>()).at(services * (SERVICE + endpoints))
    }

    /// Reading and indexing everything, in seconds.
    pub(crate) fn start_s(&self, services: f64, endpoints: f64) -> f64 {
        let points = self.start.iter().map(|it| (load(it.services, it.endpoints), it.seconds));
        Line::fit(&points.collect::<Vec<_>>()).at(services * (SERVICE + endpoints))
    }

    /// Length of the route configuration of a port that all services have, in MB.
    pub(crate) fn route_mb(&self, services: f64) -> f64 {
        self.route.sent_kb / 1e3 / f64::from(self.route.services.max(1)) * services
    }

    /// CPU of a changed route configuration for one stream, in ms. What does not depend on its
    /// length is what an assignment costs too.
    pub(crate) fn route_ms(&self, route_mb: f64) -> f64 {
        let rest = (self.route.cpu_ms - self.endpoint_ms).max(0.0);
        self.endpoint_ms + rest / (self.route.sent_kb / 1e3) * route_mb
    }

    /// CPU of a stream that comes back to a plane with the same state, in ms: a connection, and a
    /// comparison of each name.
    pub(crate) fn reconnect_ms(&self, services: f64) -> f64 {
        let connection = self.cold_line().fixed.min(self.reconnect.cpu_ms);
        let each = (self.reconnect.cpu_ms - connection) / f64::from(self.reconnect.services.max(1));
        connection + each * services
    }

    /// Takes what a saved run has measured, and leaves the rest.
    pub(crate) fn update(&mut self, report: &Report) {
        let find = |row: RowId, case: &str| -> Option<&Case> {
            let row = report.rows.iter().find(|it| it.name == row.name())?;
            row.cases.iter().find(|it| it.name.contains(case) && !it.name.contains("replay"))
        };
        for (row, case, services, endpoints) in [
            (RowId::Cold, "streams", 200, 10),
            (RowId::Memory, "streams", 1_000, 10),
            (RowId::ColdLarge, "1000 streams", 2_000, 50),
        ] {
            let Some(case) = find(row, case) else { continue };
            if let (Some(sent_kb), Some(cpu_ms)) =
                (case.get("sent a stream"), case.get("CPU a stream"))
            {
                self.cold.retain(|it| (it.services, it.endpoints) != (services, endpoints));
                self.cold.push(ColdCost { services, endpoints, sent_kb, cpu_ms });
            }
            if let Some(mb) = case.get("idle") {
                self.idle.retain(|it| (it.services, it.endpoints) != (services, endpoints));
                self.idle.push(IdleCost { services, endpoints, mb });
            }
        }
        if let Some(seconds) = find(RowId::Start, "").and_then(|it| it.get("first stream complete"))
        {
            self.start = vec![StartCost { services: 2_000, endpoints: 50, seconds }];
        }
        let per_stream =
            |row: RowId, case: &str, figure: &str| -> Option<f64> { find(row, case)?.get(figure) };
        let set = |value: Option<f64>, cost: &mut f64| *cost = value.unwrap_or(*cost);
        set(per_stream(RowId::Memory, "", "memory a stream"), &mut self.stream_kb);
        // Both rows have 1,000 streams: seconds for all are milliseconds for one.
        set(per_stream(RowId::Endpoint, "200 services", "server CPU"), &mut self.endpoint_ms);
        set(per_stream(RowId::Route, "", "server CPU"), &mut self.route.cpu_ms);
        let sent = per_stream(RowId::Route, "", "sent").map(|sent| sent / 1e3);
        set(sent, &mut self.route.sent_kb);
        set(per_stream(RowId::Reconnect, "", "CPU a stream"), &mut self.reconnect.cpu_ms);
        let classes = |figure: &str| per_stream(RowId::GrowthClasses, "a class more", figure);
        set(classes("CPU for each MB"), &mut self.class_cpu_ms_per_mb);
        set(classes("memory for each MB"), &mut self.class_mb_per_mb);
        let churn = find(RowId::Churn, "").and_then(|case| {
            Some(case.get("server CPU a second")? / case.get("resources a second")? * 1e6)
        });
        set(churn, &mut self.churn_resource_us);
    }
}

/// What a service costs beside its endpoints, in endpoints.
const SERVICE: f64 = 5.0;

fn load(services: u32, endpoints: u32) -> f64 {
    f64::from(services) * (SERVICE + f64::from(endpoints))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_again() {
        let line = Line::fit(&[(1.0, 12.0), (2.0, 14.0), (10.0, 30.0)]);
        assert!((line.fixed - 10.0).abs() < 1e-6 && (line.slope - 2.0).abs() < 1e-6, "{line:?}");
    }

    #[test]
    fn nothing_costs_less_than_nothing() {
        assert_eq!(Line::fit(&[(1.0, 1.0), (2.0, 3.0)]).fixed, 0.0);
        assert_eq!(Line::fit(&[(1.0, 3.0), (2.0, 1.0)]).slope, 0.0);
        assert_eq!(Line::fit(&[(4.0, 2.0)]).at(8.0), 4.0, "one point: proportional");
        assert_eq!(Line::fit(&[]).at(8.0), 0.0);
    }

    #[test]
    fn the_lines_meet_what_was_measured() {
        let costs = Costs::committed().unwrap();
        let near = |value: f64, measured: f64| (value / measured - 1.0).abs() < 0.35;
        for it in &costs.cold {
            let sent = costs.configuration_mb(f64::from(it.services), f64::from(it.endpoints));
            assert!(near(sent * 1e3, it.sent_kb), "{it:?}: {sent} MB");
            let cpu = costs.cold_ms(it.sent_kb / 1e3);
            assert!(near(cpu, it.cpu_ms), "{it:?}: {cpu} ms");
        }
        for it in &costs.idle {
            let mb = costs.idle_mb(f64::from(it.services), f64::from(it.endpoints));
            assert!(near(mb, it.mb), "{it:?}: {mb} MB");
        }
        assert!(near(costs.route_ms(costs.route_mb(200.0)), costs.route.cpu_ms));
        assert!(near(costs.reconnect_ms(200.0), costs.reconnect.cpu_ms));
    }
}
