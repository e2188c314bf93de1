//! Who else used the machine while something was measured.

use std::time::Instant;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::proc::{self, MachineTimes};

/// CPUs' worth of others' work above which times mean little.
const MOST_OTHERS: f64 = 0.1;
/// CPUs' worth of time that the host took.
const MOST_STOLEN: f64 = 0.05;

/// What disturbed a row. CPUs are counted: 0.5 is one CPU half of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Disturbance {
    /// The load average at the start.
    pub(crate) load: f64,
    /// Busy with other processes than server and bench.
    pub(crate) others: f64,
    /// Taken by the host.
    pub(crate) stolen: f64,
}

impl Disturbance {
    pub(crate) fn is_much(&self) -> bool {
        self.others > MOST_OTHERS || self.stolen > MOST_STOLEN
    }
}

/// Watches the machine while a row runs.
#[derive(Debug)]
pub(crate) struct Watch {
    start: Instant,
    load: f64,
    machine: MachineTimes,
    own: f64,
}

impl Watch {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self {
            start: Instant::now(),
            load: proc::load()?,
            machine: proc::machine()?,
            own: proc::cpu_with_children("self")?,
        })
    }

    /// To be called when the servers of the row have ended: then their time counts as ours.
    pub(crate) fn stop(self) -> Result<Disturbance> {
        let Self { start, load, machine, own } = self;
        let now = proc::machine()?;
        let used = proc::cpu_with_children("self")? - own;
        let elapsed = start.elapsed().as_secs_f64();
        Ok(disturbance(load, elapsed, now.busy - machine.busy - used, now.stolen - machine.stolen))
    }
}

fn disturbance(load: f64, elapsed: f64, others: f64, stolen: f64) -> Disturbance {
    let cpus = |seconds: f64| (seconds.max(0.0) / elapsed.max(0.01) * 100.0).round() / 100.0;
    Disturbance { load, others: cpus(others), stolen: cpus(stolen) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disturbances_are_counted_in_cpus() {
        let quiet = disturbance(0.5, 10.0, 0.5, 0.1);
        assert_eq!(quiet, Disturbance { load: 0.5, others: 0.05, stolen: 0.01 });
        assert!(!quiet.is_much());
        assert!(disturbance(0.5, 10.0, 12.0, 0.0).is_much());
        assert!(disturbance(0.5, 10.0, 0.0, 1.0).is_much());
        assert_eq!(disturbance(0.5, 10.0, -0.01, 0.0).others, 0.0, "clocks tick apart");
    }
}
