//! Forgetting: slowly, and never while those who would see a call are silent.

use model::{Hostname, WorkloadKey};

use super::{Book, NoteKind};
use crate::{
    Sensor,
    edge::{Edge, EdgeState, EdgeView},
};

/// Why an edge that is old enough is not forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Withheld {
    /// A sensor that knows the edge does not work.
    Silent(Sensor),
    /// No sensor works that would see calls of a host that a proxy has already.
    Unwatched,
    /// Such a sensor has not worked for as long as the minimum life yet.
    JustWatched,
    /// The workload has lost as many as it may in this window.
    WorkloadBudget,
    /// All workloads together have.
    TotalBudget,
}

impl Withheld {
    /// One word for each kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Silent(_) => "sensor-silent",
            Self::Unwatched => "unwatched",
            Self::JustWatched => "just-watched",
            Self::WorkloadBudget => "workload-budget",
            Self::TotalBudget => "total-budget",
        }
    }
}

/// What a look for aged edges did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Whose sets have shrunk, each once, in order.
    pub workloads: Vec<WorkloadKey>,
    /// How many edges are forgotten.
    pub removed: usize,
    /// How many were old enough and are kept, by reason.
    pub withheld: Vec<(Withheld, usize)>,
}

impl Book {
    /// Forgets what has aged, the longest unseen first, as far as the budgets go.
    pub fn pass(&mut self, now: u64) -> Pass {
        let mut due: Vec<(u64, WorkloadKey, Hostname)> = Vec::new();
        let mut withheld = std::collections::BTreeMap::<Withheld, usize>::new();
        for (workload, entry) in &self.workloads {
            for edge in &entry.edges {
                match self.state(edge, now) {
                    EdgeState::Due => {
                        due.push((edge.last_seen, workload.clone(), edge.host.clone()));
                    }
                    EdgeState::Kept(reason) => *withheld.entry(reason).or_default() += 1,
                    EdgeState::Pinned | EdgeState::Learned | EdgeState::Seeded => {}
                }
            }
        }
        due.sort_unstable();
        let settings = &self.settings;
        let (percent, length) = (settings.shrink_total, settings.shrink_window);
        let share = settings.shrink_workload;
        let mut pass = Pass::default();
        for (_, workload, host) in due {
            let Some(entry) = self.workloads.get_mut(&workload) else { continue };
            let reason = if self.window.allowance(percent, length, self.edges, now) == 0 {
                Withheld::TotalBudget
            } else if entry.window.allowance(share, length, entry.edges.len(), now) == 0 {
                Withheld::WorkloadBudget
            } else {
                self.window.remove();
                entry.window.remove();
                self.remove(&workload, &host, NoteKind::Aged, now);
                pass.removed += 1;
                pass.workloads.push(workload);
                continue;
            };
            *withheld.entry(reason).or_default() += 1;
        }
        pass.workloads.sort_unstable();
        pass.workloads.dedup();
        pass.withheld = withheld.into_iter().collect();
        if pass.removed > 0 {
            self.tidy();
        }
        self.drop_empty(now);
        pass
    }

    /// A workload without edges that nothing was heard of for a window is as good as unknown.
    fn drop_empty(&mut self, now: u64) {
        let length = self.settings.shrink_window.max(self.settings.minimum_life);
        let is_over =
            |it: &super::Workload| it.edges.is_empty() && now.saturating_sub(it.heard) >= length;
        let over = self.workloads.iter().filter(|(_, entry)| is_over(entry));
        let over: Vec<WorkloadKey> = over.map(|(workload, _)| workload.clone()).collect();
        for workload in over {
            self.workloads.remove(&workload);
            self.changed.insert(workload);
        }
    }

    /// What would become of an edge now.
    pub(super) fn state(&self, edge: &Edge, now: u64) -> EdgeState {
        if edge.is_pinned {
            return EdgeState::Pinned;
        }
        if now < edge.forget_at(&self.settings) {
            return if edge.is_seeded { EdgeState::Seeded } else { EdgeState::Learned };
        }
        match self.reason_to_keep(edge, now) {
            Some(reason) => EdgeState::Kept(reason),
            None => EdgeState::Due,
        }
    }

    fn reason_to_keep(&self, edge: &Edge, now: u64) -> Option<Withheld> {
        let watched = |sensor| self.clocks.watched(sensor, now, self.settings.silence);
        // One that has never seen all calls cannot have fallen silent.
        let has_worked = |sensor: &Sensor| self.clocks.has_worked(*sensor);
        let sensors = edge.sensors.iter().filter(|sensor| !sensor.is_told());
        let mut needed = sensors.filter(has_worked);
        if let Some(silent) = needed.find(|sensor| watched(*sensor).is_none()) {
            return Some(Withheld::Silent(silent));
        }
        // A proxy that has a host does not ask for it again: only who sees calls can miss one. The
        // consumers that a registry lists are as good.
        let is_witness = |sensor: &Sensor| {
            sensor.sees_use() || (*sensor == Sensor::Registry && edge.sensors.contains(*sensor))
        };
        let longest = Sensor::ALL.into_iter().filter(is_witness).filter_map(watched).max();
        match longest {
            None => Some(Withheld::Unwatched),
            Some(length) if length < self.settings.minimum_life => Some(Withheld::JustWatched),
            Some(_) => None,
        }
    }

    pub(super) fn view(&self, edge: &Edge, now: u64) -> EdgeView {
        let forget_at = (!edge.is_pinned).then(|| edge.forget_at(&self.settings));
        EdgeView {
            host: edge.host.clone(),
            sensors: edge.sensors,
            first_seen: edge.first_seen,
            last_seen: edge.last_seen,
            count: edge.count,
            state: self.state(edge, now),
            forget_at,
        }
    }
}
