//! What the book says to people.

use std::mem::size_of;

use model::{Hostname, Name, WorkloadKey};

use super::{Book, Note, Workload};
use crate::{
    EdgeView, Sensor,
    edge::{Edge, EdgeState},
};

/// A workload, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadView {
    /// Who it is.
    pub workload: WorkloadKey,
    /// The application that it is said to be of.
    pub application: Option<Name>,
    /// How many targets it has.
    pub targets: usize,
    /// Of these, the pinned ones.
    pub pinned: usize,
    /// Of these, those that only a sibling called.
    pub seeded: usize,
    /// When any of them was last seen, in seconds since 1970.
    pub last_seen: u64,
    /// How often something was not learned, since the process began.
    pub refused: u32,
    /// Whether nothing more is learned from what it does.
    pub is_full: bool,
}

/// Why a host is in a workload's set, or is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The edge; `None` when the host is not in the set.
    pub edge: Option<EdgeView>,
    /// What happened to it before, the latest last, as far as it is remembered.
    pub notes: Vec<Note>,
    /// Whether anything at all is known of the workload.
    pub is_known: bool,
}

/// Sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Workloads that are known.
    pub workloads: usize,
    /// Edges in all.
    pub edges: usize,
    /// Edges by sensor; an edge may have several.
    pub by_sensor: [usize; Sensor::ALL.len()],
    /// Edges that are pinned.
    pub pinned: usize,
    /// Edges that only a sibling called.
    pub seeded: usize,
    /// Edges by what will become of them.
    pub by_state: [usize; EdgeState::NAMES.len()],
    /// Decisions to switch fences off.
    pub fences_off: usize,
    /// Bytes on the heap, reckoned from capacities.
    pub bytes: usize,
    /// For how many seconds each sensor has worked without a gap; `None` when it is silent.
    pub watched: [Option<u64>; Sensor::ALL.len()],
    /// When each sensor last worked, in seconds since 1970; `None` when it never did.
    pub worked_at: [Option<u64>; Sensor::ALL.len()],
}

impl Stats {
    /// Whether a sensor does not work now; `None` when it never has, or there is nobody to fall
    /// silent.
    pub fn is_silent(&self, sensor: Sensor) -> Option<bool> {
        self.worked_at[sensor as usize].map(|_| self.watched[sensor as usize].is_none())
    }
}

/// What an allocation costs beside its content.
const ALLOCATION: usize = 16;

impl Book {
    /// Why the host is in the workload's set, or is not.
    pub fn explain(&self, workload: &WorkloadKey, host: &Hostname, now: u64) -> Explanation {
        let entry = self.workloads.get(workload);
        let mut edges = entry.into_iter().flat_map(|it| &it.edges);
        let edge = edges.find(|edge| edge.host == *host).map(|edge| self.view(edge, now));
        let notes = self.forgotten.iter().chain(&self.refused);
        let is_meant = |note: &&Note| note.workload == *workload && note.host == *host;
        let mut notes: Vec<Note> = notes.filter(is_meant).cloned().collect();
        notes.sort_by_key(|note| note.at);
        Explanation { edge, notes, is_known: entry.is_some() }
    }

    /// All workloads, those first where something needs a look.
    pub fn list(&self) -> Vec<WorkloadView> {
        let mut views: Vec<WorkloadView> =
            self.workloads.iter().map(|(key, entry)| self.summary(key, entry)).collect();
        views.sort_by_key(|view| (!view.is_full, view.refused == 0, view.workload.clone()));
        views
    }

    fn summary(&self, workload: &WorkloadKey, entry: &Workload) -> WorkloadView {
        let count = |is: fn(&Edge) -> bool| entry.edges.iter().filter(|edge| is(edge)).count();
        WorkloadView {
            workload: workload.clone(),
            application: entry.application.clone(),
            targets: entry.edges.len(),
            pinned: count(|edge| edge.is_pinned),
            seeded: count(|edge| edge.is_seeded),
            last_seen: entry.edges.iter().map(|edge| edge.last_seen).max().unwrap_or_default(),
            refused: entry.refused,
            is_full: entry.edges.len() >= self.settings.max_targets,
        }
    }

    /// Counts everything.
    pub fn stats(&self, now: u64) -> Stats {
        let mut stats = Stats {
            workloads: self.workloads.len(),
            edges: self.edges,
            bytes: self.bytes(),
            fences_off: self.switches.all().count(),
            ..Stats::default()
        };
        for edge in self.workloads.values().flat_map(|entry| &entry.edges) {
            for sensor in edge.sensors.iter() {
                stats.by_sensor[sensor as usize] += 1;
            }
            stats.pinned += usize::from(edge.is_pinned);
            stats.seeded += usize::from(edge.is_seeded);
            stats.by_state[self.state(edge, now).index()] += 1;
        }
        stats.watched =
            Sensor::ALL.map(|sensor| self.clocks.watched(sensor, now, self.settings.silence));
        stats.worked_at = Sensor::ALL.map(|sensor| self.clocks.worked_at(sensor));
        stats
    }

    /// Whether the next look would forget anything.
    pub fn has_due(&self, now: u64) -> bool {
        let mut edges = self.workloads.values().flat_map(|entry| &entry.edges);
        edges.any(|edge| self.state(edge, now) == EdgeState::Due)
    }

    fn bytes(&self) -> usize {
        let names = self.names.iter().map(|name| name.as_str().len() + 2 * ALLOCATION);
        let names = names.sum::<usize>() + self.names.capacity() * (size_of::<Hostname>() + 1);
        let workloads = self.workloads.iter().map(|(key, entry)| {
            let text = key.namespace.as_str().len() + key.name.as_str().len();
            let own = size_of::<(WorkloadKey, Workload)>() + text + 4 * ALLOCATION;
            own + entry.edges.capacity() * size_of::<Edge>() + ALLOCATION
        });
        names + workloads.sum::<usize>()
    }
}
