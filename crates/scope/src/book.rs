//! All edges, by workload: what observations and people do to them.
//!
//! - Pure: time is an argument, in seconds since 1970.
//! - An observation changes at most one workload's set; one that repeats another only touches what
//!   is known of the edge, and is no change for the mesh.
//! - Names are held once, and edges lie side by side: a hundred thousand take a few megabytes.

mod aging;
mod explain;
mod notes;
mod seed;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use model::{FenceSwitch, FenceTarget, Hostname, Name, Shared, WorkloadKey};
use snapshot::Learned;

use self::notes::keep;
pub use self::{
    aging::{Pass, Withheld},
    explain::{Explanation, Stats, WorkloadView},
    notes::{Note, NoteKind},
    write::Record,
};
use crate::{
    EdgeView, Sensor,
    edge::Edge,
    sensor::SensorClocks,
    settings::{Bucket, ScopeSettings, Window},
    switches::{FenceOff, Switches},
};

/// The longest name that is learned: that of DNS.
const LONGEST_NAME: usize = 253;

/// Who calls whom.
#[derive(Clone, Debug)]
pub struct Book {
    settings: ScopeSettings,
    workloads: BTreeMap<WorkloadKey, Workload>,
    /// Every host once.
    names: HashSet<Hostname>,
    /// How many there are in all.
    edges: usize,
    clocks: SensorClocks,
    window: Window,
    forgotten: VecDeque<Note>,
    refused: VecDeque<Note>,
    switches: Switches,
    /// Workloads with something new to write down, and those with edges that were seen again.
    changed: BTreeSet<WorkloadKey>,
    touched: BTreeSet<WorkloadKey>,
}

#[derive(Clone, Debug)]
struct Workload {
    application: Option<Name>,
    /// By host.
    edges: Vec<Edge>,
    /// Something was forgotten of it: what is gone on purpose is not taken over from siblings.
    has_forgotten: bool,
    bucket: Bucket,
    window: Window,
    /// How often something was not learned.
    refused: u32,
    /// When it was last heard of, or lost an edge.
    heard: u64,
}

/// What an observation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The workload's set has grown.
    Added,
    /// It was known.
    Seen,
    /// It was not learned.
    Refused(Refusal),
}

/// Why something is not learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The workload has as many targets as it may have.
    TooManyTargets,
    /// The workload has had too many new ones in a short time.
    TooFast,
    /// There are too many edges in all.
    Full,
    /// No host can be called that.
    NoName,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TooManyTargets, Self::TooFast, Self::Full, Self::NoName];

    /// `too-many-targets`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooManyTargets => "too-many-targets",
            Self::TooFast => "too-fast",
            Self::Full => "full",
            Self::NoName => "no-name",
        }
    }
}

impl Book {
    /// An empty book.
    pub fn new(settings: ScopeSettings) -> Self {
        Self {
            settings,
            workloads: BTreeMap::new(),
            names: HashSet::new(),
            edges: 0,
            clocks: SensorClocks::default(),
            window: Window::default(),
            forgotten: VecDeque::new(),
            refused: VecDeque::new(),
            switches: Switches::default(),
            changed: BTreeSet::new(),
            touched: BTreeSet::new(),
        }
    }

    /// A sensor saw `workload` call `host`, `count` times.
    pub fn observe(
        &mut self,
        workload: &WorkloadKey,
        host: &Hostname,
        sensor: Sensor,
        count: u32,
        now: u64,
    ) -> Observed {
        self.work(sensor, now);
        self.glimpse(workload, host, sensor, count, now)
    }

    /// The same of a sensor that sees some calls alone: that it sees no others says nothing of them.
    pub fn glimpse(
        &mut self,
        workload: &WorkloadKey,
        host: &Hostname,
        sensor: Sensor,
        count: u32,
        now: u64,
    ) -> Observed {
        let half_life = self.settings.half_life;
        if let Some(edge) = self.find(workload, host) {
            let marks = match edge.see(sensor, count, now, half_life) {
                true => &mut self.changed,
                false => &mut self.touched,
            };
            if !marks.contains(workload) {
                marks.insert(workload.clone());
            }
            return Observed::Seen;
        }
        if let Err(refusal) = self.admit(workload, host, sensor, now) {
            self.refuse(workload, host, refusal, now);
            return Observed::Refused(refusal);
        }
        let mut edge = Edge::new(host.clone(), now);
        edge.see(sensor, count, now, half_life);
        self.insert(workload, edge, now);
        Observed::Added
    }

    /// A sensor works, also if it sees nothing: only who looks can say that nobody calls.
    pub fn work(&mut self, sensor: Sensor, now: u64) {
        self.clocks.work(sensor, now, self.settings.silence);
    }

    /// Keeps an edge until it is unpinned; it need not have been seen. Whether the set has changed.
    pub fn pin(&mut self, workload: &WorkloadKey, host: &Hostname, now: u64) -> bool {
        if let Some(edge) = self.find(workload, host) {
            edge.is_pinned = true;
            self.changed.insert(workload.clone());
            return false;
        }
        if is_nonsense(workload, host) {
            return false;
        }
        let edge = Edge { is_pinned: true, ..Edge::new(host.clone(), now) };
        self.insert(workload, edge, now);
        true
    }

    /// Lets an edge age again, beginning now. Whether it was pinned.
    pub fn unpin(&mut self, workload: &WorkloadKey, host: &Hostname, now: u64) -> bool {
        let Some(edge) = self.find(workload, host).filter(|edge| edge.is_pinned) else {
            return false;
        };
        edge.is_pinned = false;
        edge.last_seen = edge.last_seen.max(now);
        self.changed.insert(workload.clone());
        true
    }

    /// Forgets an edge, or all of a workload, but what is pinned. How many are gone.
    pub fn reset(&mut self, workload: &WorkloadKey, host: Option<&Hostname>, now: u64) -> usize {
        let known = self.workloads.get(workload).into_iter().flat_map(|it| &it.edges);
        let is_meant = |edge: &&Edge| !edge.is_pinned && host.is_none_or(|it| *it == edge.host);
        let hosts: Vec<Hostname> = known.filter(is_meant).map(|edge| edge.host.clone()).collect();
        for host in &hosts {
            self.remove(workload, host, NoteKind::Reset, now);
        }
        self.tidy();
        hosts.len()
    }

    /// Switches the fences of some workloads off, until after a second if that is said.
    pub fn switch_off(&mut self, target: FenceTarget, until: Option<u64>, now: u64) {
        self.switches.switch_off(target, until, now);
    }

    /// Every proxy knows that the fences are off. Whether they are.
    pub fn confirm_off(&mut self, target: &FenceTarget, now: u64) -> bool {
        self.switches.confirm(target, now)
    }

    /// Lets fences count again. Whether they were switched off by this very decision.
    pub fn switch_back(&mut self, target: &FenceTarget) -> bool {
        self.switches.switch_back(target)
    }

    /// Lets fences count again where the time is over; the decisions that have ended.
    pub fn end_switches(&mut self, now: u64) -> Vec<FenceTarget> {
        self.switches.end(now)
    }

    /// The decisions in force, by target.
    pub fn fences_off(&self) -> Vec<(FenceTarget, FenceOff)> {
        self.switches.all().map(|(target, off)| (target.clone(), *off)).collect()
    }

    /// Takes the decisions that the mesh is to be told.
    pub fn take_switched(&mut self) -> Vec<(FenceTarget, FenceSwitch)> {
        self.switches.take_switched()
    }

    /// The hosts of a workload; `None` when there are none.
    pub fn hosts(&self, workload: &WorkloadKey) -> Option<Learned> {
        let edges = &self.workloads.get(workload).filter(|it| !it.edges.is_empty())?.edges;
        let hosts: BTreeSet<Hostname> = edges.iter().map(|edge| edge.host.clone()).collect();
        Some(Shared::new(hosts))
    }

    /// The edges of a workload, by host.
    pub fn edges(&self, workload: &WorkloadKey, now: u64) -> Vec<EdgeView> {
        let edges = self.workloads.get(workload).into_iter().flat_map(|it| &it.edges);
        edges.map(|edge| self.view(edge, now)).collect()
    }

    /// All that are known, in order.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadKey> {
        self.workloads.keys()
    }

    fn find(&mut self, workload: &WorkloadKey, host: &Hostname) -> Option<&mut Edge> {
        let edges = &mut self.workloads.get_mut(workload)?.edges;
        let place = edges.binary_search_by(|edge| edge.host.cmp(host)).ok()?;
        Some(&mut edges[place])
    }

    /// Whether a new edge may be learned.
    fn admit(
        &mut self,
        workload: &WorkloadKey,
        host: &Hostname,
        sensor: Sensor,
        now: u64,
    ) -> Result<(), Refusal> {
        if is_nonsense(workload, host) {
            return Err(Refusal::NoName);
        }
        if self.edges >= self.settings.max_edges {
            return Err(Refusal::Full);
        }
        // What somebody wrote down is no scanner's doing.
        if sensor.is_told() || sensor == Sensor::Registry {
            return Ok(());
        }
        let entry = self.workload(workload, now);
        if entry.edges.len() >= self.settings.max_targets {
            return Err(Refusal::TooManyTargets);
        }
        let settings = &self.settings;
        let bucket = &mut self.workloads.get_mut(workload).expect("it was just made").bucket;
        bucket.take(settings, now).then_some(()).ok_or(Refusal::TooFast)
    }

    fn workload(&mut self, workload: &WorkloadKey, now: u64) -> &mut Workload {
        if !self.workloads.contains_key(workload) {
            let new = Workload {
                application: None,
                edges: Vec::new(),
                has_forgotten: false,
                bucket: Bucket::full(&self.settings, now),
                window: Window::default(),
                refused: 0,
                heard: now,
            };
            self.workloads.insert(workload.clone(), new);
        }
        self.workloads.get_mut(workload).expect("it is there or was just made")
    }

    /// Puts an edge in its place, which is empty.
    fn insert(&mut self, workload: &WorkloadKey, mut edge: Edge, now: u64) {
        edge.host = match self.names.get(&edge.host) {
            Some(name) => name.clone(),
            None => {
                self.names.insert(edge.host.clone());
                edge.host
            }
        };
        self.changed.insert(workload.clone());
        let edges = &mut self.workload(workload, now).edges;
        let place = edges.partition_point(|other| other.host < edge.host);
        if edges.len() == edges.capacity() {
            // Doubling would leave a third of the memory empty.
            edges.reserve_exact((edges.len() / 4).max(4));
        }
        edges.insert(place, edge);
        self.edges += 1;
    }

    fn remove(&mut self, workload: &WorkloadKey, host: &Hostname, kind: NoteKind, now: u64) {
        let Some(entry) = self.workloads.get_mut(workload) else { return };
        let place = entry.edges.binary_search_by(|edge| edge.host.cmp(host));
        let Ok(place) = place else { return };
        entry.edges.remove(place);
        entry.has_forgotten = true;
        entry.heard = entry.heard.max(now);
        self.edges -= 1;
        self.changed.insert(workload.clone());
        let note = Note { at: now, workload: workload.clone(), host: host.clone(), kind };
        keep(&mut self.forgotten, note);
    }

    fn refuse(&mut self, workload: &WorkloadKey, host: &Hostname, refusal: Refusal, now: u64) {
        if let Some(entry) = self.workloads.get_mut(workload) {
            entry.refused = entry.refused.saturating_add(1);
        }
        if refusal != Refusal::NoName {
            let kind = NoteKind::Refused(refusal);
            let note = Note { at: now, workload: workload.clone(), host: host.clone(), kind };
            keep(&mut self.refused, note);
        }
    }

    /// Gives back the memory of what is no longer there.
    fn tidy(&mut self) {
        for entry in self.workloads.values_mut() {
            if entry.edges.capacity() > 2 * entry.edges.len() + 8 {
                entry.edges.shrink_to_fit();
            }
        }
        let edges = self.workloads.values().flat_map(|entry| &entry.edges);
        self.names = edges.map(|edge| edge.host.clone()).collect();
    }
}

impl Workload {
    /// Whether nothing was ever known of it. Such a one is not written down.
    fn is_blank(&self) -> bool {
        self.edges.is_empty() && !self.has_forgotten
    }
}

fn is_nonsense(workload: &WorkloadKey, host: &Hostname) -> bool {
    let names = [workload.namespace.as_str(), workload.name.as_str(), host.as_str()];
    host.as_str().is_empty() || names.iter().any(|name| name.len() > LONGEST_NAME)
}

#[cfg(test)]
mod tests;
