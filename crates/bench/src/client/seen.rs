//! What has become of a stream, and of all of them together.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use super::kind::{Kind, PerKind};

/// What streams are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The first response, ever.
    Connected,
    /// Everything that was asked for, ever.
    Synced,
    /// The first response of a type since the last reset.
    First(Kind),
    /// All requests of a commanded reconnect were written since the last reset.
    Reconnected,
}

impl Goal {
    const COUNT: usize = 8;

    fn index(self) -> usize {
        match self {
            Self::Connected => 0,
            Self::Synced => 1,
            Self::Reconnected => 2,
            Self::First(kind) => 3 + kind as usize,
        }
    }

    fn survives_reset(index: usize) -> bool {
        index < 2
    }
}

/// How many streams have reached what. Read often while the bench waits, so that it need not look
/// at each stream.
#[derive(Debug)]
pub(crate) struct Tally {
    base: Instant,
    reached: [AtomicUsize; Goal::COUNT],
    /// Streams that were given up.
    ended: AtomicUsize,
    /// When the last response came, in nanoseconds since `base`; 0 before.
    last: AtomicU64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            base: Instant::now(),
            reached: Default::default(),
            ended: AtomicUsize::new(0),
            last: AtomicU64::new(0),
        }
    }

    pub(crate) fn reached(&self, goal: Goal) -> usize {
        self.reached[goal.index()].load(Ordering::Acquire)
    }

    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn last_response(&self) -> Option<Instant> {
        match self.last.load(Ordering::Acquire) {
            0 => None,
            nanoseconds => Some(self.base + Duration::from_nanos(nanoseconds)),
        }
    }

    pub(crate) fn reset(&self) {
        for (index, reached) in self.reached.iter().enumerate() {
            if !Goal::survives_reset(index) {
                reached.store(0, Ordering::Release);
            }
        }
    }
}

/// What a stream has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    reached: [Option<Instant>; Goal::COUNT],
    /// Since the last reset.
    pub(crate) responses: PerKind<u64>,
    pub(crate) resources: u64,
    pub(crate) bytes: PerKind<u64>,
    /// Of the last reconnect since the last reset.
    pub(crate) requests: u64,
    /// Connections that failed, ever.
    pub(crate) failures: u64,
    pub(crate) timeouts: u64,
    /// What the last failed connection said.
    pub(crate) error: Option<String>,
    /// Whether the stream was given up.
    pub(crate) is_over: bool,
    /// What the stream holds of endpoints: equal for equal contents.
    pub(crate) fingerprint: u64,
}

impl Seen {
    pub(crate) fn when(&self, goal: Goal) -> Option<Instant> {
        self.reached[goal.index()]
    }

    pub(super) fn reach(&mut self, goal: Goal, tally: &Tally) {
        self.reach_at(goal, Instant::now(), tally);
    }

    fn reach_at(&mut self, goal: Goal, now: Instant, tally: &Tally) {
        let reached = &mut self.reached[goal.index()];
        if reached.is_none() {
            *reached = Some(now);
            tally.reached[goal.index()].fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn add_resources(&mut self, count: u64) {
        self.resources += count;
    }

    pub(super) fn add_response(
        &mut self,
        kind: Option<Kind>,
        len: usize,
        now: Instant,
        tally: &Tally,
    ) {
        if let Some(kind) = kind {
            self.responses[kind as usize] += 1;
            self.bytes[kind as usize] += len as u64;
            self.reach_at(Goal::First(kind), now, tally);
        }
        self.reach_at(Goal::Connected, now, tally);
        let since = now.saturating_duration_since(tally.base).as_nanos();
        tally.last.fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Ordering::AcqRel);
    }

    pub(super) fn reconnected(&mut self, requests: u64, tally: &Tally) {
        self.requests = requests;
        self.reach(Goal::Reconnected, tally);
    }

    pub(super) fn failed(&mut self, text: String, is_timeout: bool, is_over: bool, tally: &Tally) {
        self.failures += 1;
        self.timeouts += u64::from(is_timeout);
        self.error = Some(text);
        if is_over {
            self.is_over = true;
            tally.ended.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn reset(&mut self) {
        for (index, reached) in self.reached.iter_mut().enumerate() {
            if !Goal::survives_reset(index) {
                *reached = None;
            }
        }
        (self.responses, self.resources, self.bytes, self.requests) = Default::default();
    }
}
