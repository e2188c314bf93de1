//! What must be written down, and what was.

use std::collections::BTreeSet;

use model::{FenceTarget, Name, WorkloadKey};

use super::Book;
use crate::{FenceOff, edge::Edge, sensor::SensorClocks, settings::Window};

/// All that is known of a workload, as it is written down: one record for each, as names and the
/// pages of a file are larger than edges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub(crate) application: Option<Name>,
    /// By host.
    pub(crate) edges: Vec<Edge>,
}

impl Book {
    /// Takes what must be written down: workloads with something new, then up to `touched` of those
    /// whose edges were only seen again. `None`: nothing is known of the workload. What is taken
    /// counts as written.
    pub fn take_changes(&mut self, touched: usize) -> Vec<(WorkloadKey, Option<Record>)> {
        let mut taken = std::mem::take(&mut self.changed);
        self.touched.retain(|workload| !taken.contains(workload));
        let again: BTreeSet<WorkloadKey> = self.touched.iter().take(touched).cloned().collect();
        self.touched.retain(|workload| !again.contains(workload));
        taken.extend(again);
        let record = |workload: WorkloadKey| {
            let entry = self.workloads.get(&workload).filter(|entry| !entry.is_blank());
            let record = entry.map(|entry| Record {
                application: entry.application.clone(),
                edges: entry.edges.clone(),
            });
            (workload, record)
        };
        taken.into_iter().map(record).collect()
    }

    /// Whether edges were seen again that are not written down yet.
    pub fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Takes in what was written down, at the start.
    pub fn restore(&mut self, workload: WorkloadKey, record: Record, now: u64) {
        let entry = self.workload(&workload, now);
        entry.application = record.application;
        entry.has_forgotten = record.edges.is_empty();
        for edge in record.edges {
            if self.find(&workload, &edge.host).is_none() {
                self.insert(&workload, edge, now);
            }
        }
        self.changed.remove(&workload);
    }

    /// What the last window has taken of a workload, or of all; `None` where it has taken nothing.
    pub(crate) fn window(&self, workload: Option<&WorkloadKey>) -> Option<Window> {
        let window = match workload {
            Some(workload) => self.workloads.get(workload)?.window,
            None => self.window,
        };
        Some(window).filter(|window| window.removed > 0)
    }

    /// Takes in a window that was written down, behind the workloads.
    pub(crate) fn restore_window(&mut self, workload: Option<&WorkloadKey>, window: Window) {
        match workload {
            Some(workload) => {
                if let Some(entry) = self.workloads.get_mut(workload) {
                    entry.window = window;
                }
            }
            None => self.window = window,
        }
    }

    /// Takes the decisions about fences that must be written down (`None`: it is gone).
    pub fn take_switch_changes(&mut self) -> Vec<(FenceTarget, Option<FenceOff>)> {
        self.switches.take_changes()
    }

    /// Takes in a decision that was written down, at the start.
    pub fn restore_switch(&mut self, target: FenceTarget, off: FenceOff) {
        self.switches.restore(target, off);
    }

    pub(crate) fn clocks(&self) -> SensorClocks {
        self.clocks
    }

    pub(crate) fn set_clocks(&mut self, clocks: SensorClocks) {
        self.clocks = clocks;
    }
}
