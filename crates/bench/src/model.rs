//! What a mesh would cost that does not fit on this machine: measured costs of single operations,
//! times how often they happen.
//!
//! Every assumption is printed with the result. Nothing is measured here.

mod costs;

use std::{fmt::Write, path::PathBuf};

use anyhow::Result;
use serde::Serialize;

use self::costs::Costs;
use crate::{
    markdown,
    report::{Case, Report, Unit},
};

/// What a mesh would cost, calculated from measured costs.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Model {
    #[arg(long, default_value_t = 5_000)]
    services: u32,
    /// Pods, each with a sidecar, spread evenly over the services.
    #[arg(long, default_value_t = 100_000)]
    pods: u32,
    /// Replicas of the control plane.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    replicas: u32,
    /// Endpoints that change a second, in the whole mesh.
    #[arg(long, default_value_t = 100)]
    churn: u32,
    /// Namespaces with proxies: those of one namespace are one class.
    #[arg(long, default_value_t = 100)]
    namespaces: u32,
    /// Services that a proxy sees; all, unless `Sidecar` objects say otherwise.
    #[arg(long)]
    visible: Option<u32>,
    /// Cores of each replica.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    cores: u32,
    /// Take the costs from a run saved with `--save`, as far as it has them; may be given several
    /// times.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    from: Vec<PathBuf>,
}

/// What is printed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Estimate {
    mesh: Model,
    costs: Costs,
    assumptions: Vec<String>,
    cases: Vec<Case>,
}

/// What a network is taken to carry, in MB a second: 10 Gbit/s.
const NETWORK: f64 = 1_250.0;

impl Model {
    /// Calculates with the committed costs, or with those of saved runs.
    pub(crate) fn run(&self) -> Result<Estimate> {
        let mut costs = Costs::committed()?;
        for path in &self.from {
            costs.update(&Report::load(path)?);
            costs.measured = format!("{} (the rest: {})", path.display(), costs.measured);
        }
        Ok(self.estimate(costs))
    }

    fn estimate(&self, costs: Costs) -> Estimate {
        let sizes = Sizes::of(self, &costs);
        let cases = vec![
            sizes.memory(&costs),
            sizes.cold_start(&costs),
            sizes.storm(&costs),
            sizes.churn(&costs),
            sizes.route(&costs),
        ];
        Estimate { mesh: self.clone(), assumptions: assumptions(self, &costs), costs, cases }
    }
}

/// The mesh as one replica sees it.
struct Sizes {
    services: f64,
    visible: f64,
    /// Of each service.
    endpoints: f64,
    /// Of each replica.
    streams: f64,
    /// Streams that come to each of the others when one replica dies.
    refugees: f64,
    classes: f64,
    cores: f64,
    churn: f64,
    /// Of one stream.
    configuration_mb: f64,
}

impl Sizes {
    fn of(model: &Model, costs: &Costs) -> Self {
        let Model { services, pods, replicas, churn, namespaces, visible, cores, .. } = *model;
        let visible = f64::from(visible.unwrap_or(services).min(services));
        let endpoints = f64::from(pods) / f64::from(services.max(1));
        let streams = (f64::from(pods) / f64::from(replicas)).ceil();
        let survivors = f64::from(replicas.saturating_sub(1).max(1));
        Self {
            services: f64::from(services),
            visible,
            endpoints,
            streams,
            refugees: (streams / survivors).ceil(),
            classes: f64::from(namespaces).min(streams),
            cores: f64::from(cores),
            churn: f64::from(churn),
            configuration_mb: costs.configuration_mb(visible, endpoints),
        }
    }

    fn memory(&self, costs: &Costs) -> Case {
        let mut case = Case::new("memory of a replica");
        let mesh = costs.idle_mb(self.services, self.endpoints);
        let classes = self.classes * self.configuration_mb * costs.class_mb_per_mb;
        let streams = self.streams * costs.stream_kb / 1e3;
        case.add("the mesh", mesh, Unit::Megabytes);
        case.add("classes", classes, Unit::Megabytes);
        case.add("streams", streams, Unit::Megabytes);
        case.add("all", mesh + classes + streams, Unit::Megabytes);
        case
    }

    fn cold_start(&self, costs: &Costs) -> Case {
        let mut case = Case::new("cold start of a replica, all its proxies come at once");
        let start = costs.start_s(self.services, self.endpoints);
        let compile = self.compile_s(costs);
        let syncs = self.streams * costs.cold_ms(self.configuration_mb) / 1e3;
        case.add("until the first proxy is served", start, Unit::Seconds);
        case.add("compiling the other classes, one thread", compile, Unit::CpuSeconds);
        case.add("first syncs", syncs, Unit::CpuSeconds);
        self.add_sent(self.streams * self.configuration_mb, &mut case);
        let work = ((compile + syncs) / self.cores).max(compile);
        case.add("until the last proxy is in sync", start + work, Unit::Seconds);
        case
    }

    /// The first class is part of the start.
    fn compile_s(&self, costs: &Costs) -> f64 {
        (self.classes - 1.0).max(0.0) * self.configuration_mb * costs.class_cpu_ms_per_mb / 1e3
    }

    fn storm(&self, costs: &Costs) -> Case {
        let mut case = Case::new("one replica dies, its proxies go to the others");
        case.add("proxies for each of the others", self.refugees, Unit::Count);
        let cpu = self.refugees * costs.reconnect_ms(self.visible) / 1e3;
        case.add("CPU, nothing has changed", cpu, Unit::CpuSeconds);
        case.add("until all are compared, nothing has changed", cpu / self.cores, Unit::Seconds);
        let cpu = self.refugees * costs.cold_ms(self.configuration_mb) / 1e3;
        case.add("CPU, all must be sent", cpu, Unit::CpuSeconds);
        case.add("until all are in sync, all must be sent", cpu / self.cores, Unit::Seconds);
        self.add_sent(self.refugees * self.configuration_mb, &mut case);
        case
    }

    fn churn(&self, costs: &Costs) -> Case {
        let mut case = Case::new(format!("{} endpoints change a second", self.churn));
        // A proxy that does not see the service is not told.
        let seen = self.visible / self.services.max(1.0);
        let resources = self.churn * self.streams * seen;
        let alone = resources * costs.endpoint_ms / 1e3;
        let merged = resources * costs.churn_resource_us / 1e6;
        case.add("assignments a second", resources, Unit::Count);
        case.add("cores, each change by itself", alone, Unit::Count);
        case.add("cores, changes merged", merged, Unit::Count);
        let each = self.streams * seen * costs.churn_resource_us / 1e6;
        if each > 0.0 {
            case.add("changes a second that fill the cores", self.cores / each, Unit::Count);
        }
        let last = self.streams * seen * costs.endpoint_ms / self.cores;
        case.add("one change to the last proxy", last, Unit::Milliseconds);
        case
    }

    fn route(&self, costs: &Costs) -> Case {
        let mut case = Case::new("one VirtualService changes that everybody sees");
        let route = costs.route_mb(self.visible);
        case.add("route configuration", route, Unit::Megabytes);
        let cpu = self.streams * costs.route_ms(route) / 1e3;
        case.add("CPU", cpu, Unit::CpuSeconds);
        case.add("to the last proxy", cpu / self.cores, Unit::Seconds);
        self.add_sent(self.streams * route, &mut case);
        let cpu = self.streams * costs.route_ms(costs.route_mb(1.0)) / 1e3;
        case.add("CPU if virtual hosts were sent on demand", cpu, Unit::CpuSeconds);
        case
    }

    fn add_sent(&self, megabytes: f64, case: &mut Case) {
        case.add("sent", megabytes / 1e3, Unit::Gigabytes);
        case.add("of which on a line of 10 Gbit/s", megabytes / NETWORK, Unit::Seconds);
    }
}

fn assumptions(model: &Model, costs: &Costs) -> Vec<String> {
    let Model { services, pods, replicas, namespaces, cores, .. } = model;
    let visible = model.visible.unwrap_or(*services);
    [
        format!("Costs are those of {}.", costs.measured),
        "They hold for cores like these; server and load shared two, so that a server alone is \
         rather faster."
            .to_owned(),
        "Costs between and beyond measured sizes lie on straight lines (see the growth rows); the \
         largest measured mesh has 2,000 services with 50 endpoints, the largest number of streams is \
         10,000 a process."
            .to_owned(),
        format!(
            "Every pod has a sidecar and belongs to one service: {} endpoints a service. Streams \
             are spread evenly over {replicas} replicas.",
            pods / services.max(&1)
        ),
        format!(
            "Proxies of a namespace are one class ({namespaces}); each sees {visible} services, all of \
             them on one HTTP port, so that one route configuration holds all their hosts."
        ),
        "Each tenth service has a TCP port, a VirtualService and two subsets; no policies, no \
         telemetry, plain text: a TLS handshake costs about 1 ms of CPU more a connection."
            .to_owned(),
        format!("Work on streams uses all {cores} cores; compiling is one thread."),
        "The sources tell every replica at the same time; reading a registry is not counted, reading \
         files is."
            .to_owned(),
        "Replicas compile equal bytes, so that a proxy that changes over is sent nothing if nothing \
         has changed."
            .to_owned(),
        "Proxies acknowledge at once; what a slow one keeps in flight (64 kB) is not counted."
            .to_owned(),
    ]
    .into()
}

impl Estimate {
    pub(crate) fn render_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    pub(crate) fn render_markdown(&self) -> String {
        let Model { services, pods, replicas, churn, .. } = &self.mesh;
        let mut text = format!(
            "Calculated, not measured: {services} services, {pods} pods, {replicas} replicas, {churn} \
             changes a second.\n\n| | | figure |\n|---|---|---|\n"
        );
        for case in &self.cases {
            markdown::render_plain(case, &mut text);
        }
        text.push_str("\nAssumed:\n\n");
        for assumption in &self.assumptions {
            // A `String` takes everything.
            let _ = writeln!(text, "- {assumption}");
        }
        text
    }
}

#[cfg(test)]
mod tests;
