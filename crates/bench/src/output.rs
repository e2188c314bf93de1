//! Figures as a table and as JSON.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;
use xds::Protocol;

use crate::scenario::Plan;

/// What was measured on what.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Setup {
    services: usize,
    endpoints_per_service: usize,
    workloads: usize,
    rounds: usize,
    cores: usize,
    /// True if the figures mean nothing.
    quick: bool,
}

impl Setup {
    pub(crate) fn new(plan: &Plan, quick: bool) -> Self {
        Self {
            services: plan.mesh.services,
            endpoints_per_service: plan.mesh.endpoints,
            workloads: plan.mesh.workloads,
            rounds: plan.rounds,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            quick,
        }
    }
}

/// What happens in a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scenario {
    Cold,
    Endpoint,
    Route,
    Reconnect,
    Memory,
}

impl Scenario {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Cold => "cold sync",
            Self::Endpoint => "one endpoint changes",
            Self::Route => "one route changes",
            Self::Reconnect => "all reconnect",
            Self::Memory => "memory",
        }
    }
}

/// One line. Of repeated changes: the median of times, the mean of the rest.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figure {
    pub(crate) scenario: Scenario,
    pub(crate) streams: usize,
    pub(crate) protocol: String,
    /// Until half of the streams had it.
    pub(crate) median_ms: f64,
    /// Until the last stream had it.
    pub(crate) last_ms: f64,
    pub(crate) server_cpu_s: f64,
    pub(crate) client_cpu_s: f64,
    /// To all streams together.
    pub(crate) sent_bytes: u64,
    pub(crate) resources: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<Memory>,
}

/// Resident memory of the server.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    /// Without streams.
    pub(crate) idle_kb: u64,
    /// With one stream of each workload.
    pub(crate) one_each_kb: u64,
    /// With all streams.
    pub(crate) all_kb: u64,
    /// What each stream adds to the first one of its workload.
    pub(crate) per_stream_kb: u64,
}

impl Figure {
    pub(crate) fn empty(scenario: Scenario, streams: usize, protocol: Protocol) -> Self {
        Self {
            scenario,
            streams,
            protocol: protocol_name(protocol).to_owned(),
            median_ms: 0.0,
            last_ms: 0.0,
            server_cpu_s: 0.0,
            client_cpu_s: 0.0,
            sent_bytes: 0,
            resources: 0,
            memory: None,
        }
    }
}

/// `delta` or `sotw`.
pub(crate) fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Delta => "delta",
        Protocol::Sotw => "sotw",
    }
}

pub(crate) fn render_json(setup: &Setup, figures: &[Figure]) -> Result<String> {
    let all = serde_json::json!({ "setup": setup, "figures": figures });
    Ok(serde_json::to_string_pretty(&all)?)
}

pub(crate) fn render_table(setup: &Setup, figures: &[Figure]) -> String {
    let Setup { services, endpoints_per_service, workloads, rounds, cores, quick } = setup;
    let mut text = format!(
        "{services} services × {endpoints_per_service} endpoints; the streams are replicas of {workloads} \
         workloads, each in a namespace of its own;\nchanges are files written, {rounds} times each; \
         server and client share {cores} cores over loopback\n"
    );
    if *quick {
        text.push_str("a quick run: these figures show that the bench works, and nothing else\n");
    }
    // A `String` takes everything.
    let _ = writeln!(
        text,
        "\n{:>7}  {:<5}  {:<20}  {:>9}  {:>9}  {:>10}  {:>10}  {:>12}  {:>9}",
        "streams",
        "",
        "",
        "half by",
        "all by",
        "server CPU",
        "client CPU",
        "bytes sent",
        "resources"
    );
    for figure in figures.iter().filter(|figure| figure.memory.is_none()) {
        let _ = writeln!(
            text,
            "{:>7}  {:<5}  {:<20}  {:>6.1} ms  {:>6.1} ms  {:>8.3} s  {:>8.3} s  {:>12}  {:>9}",
            figure.streams,
            figure.protocol,
            figure.scenario.title(),
            figure.median_ms,
            figure.last_ms,
            figure.server_cpu_s,
            figure.client_cpu_s,
            figure.sent_bytes,
            figure.resources,
        );
    }
    let _ = writeln!(
        text,
        "\n{:>7}  {:<5}  {:<20}  {:>12}  {:>16}  {:>16}  {:>14}",
        "streams",
        "",
        "memory of the server",
        "no streams",
        "one per workload",
        "all streams held",
        "per stream"
    );
    for figure in figures {
        let Some(memory) = figure.memory else { continue };
        let _ = writeln!(
            text,
            "{:>7}  {:<5}  {:<20}  {:>9} kB  {:>13} kB  {:>13} kB  {:>11} kB",
            figure.streams,
            figure.protocol,
            "",
            memory.idle_kb,
            memory.one_each_kb,
            memory.all_kb,
            memory.per_stream_kb,
        );
    }
    text
}
