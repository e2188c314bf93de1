//! One dependency of one workload.

use model::Hostname;

use crate::{Sensor, Sensors, Withheld, settings::ScopeSettings};

/// A score under this is forgotten: one call, after one half-life.
const FORGOTTEN: f32 = 0.5;
/// The score that most calls together are worth: so an edge in constant use is forgotten five
/// half-lives after its last call, and not after thirty.
const BEST: f32 = 16.0;

/// What is known of a dependency. Small, as there are many.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    pub(crate) host: Hostname,
    pub(crate) first_seen: u64,
    pub(crate) last_seen: u64,
    pub(crate) count: u64,
    /// Calls, those of a half-life ago counting half, as of `last_seen`.
    pub(crate) score: f32,
    pub(crate) sensors: Sensors,
    pub(crate) is_pinned: bool,
    /// Not seen: taken over from a sibling.
    pub(crate) is_seeded: bool,
}

/// A dependency, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeView {
    /// The target.
    pub host: Hostname,
    /// By what it is known.
    pub sensors: Sensors,
    /// Seconds since 1970.
    pub first_seen: u64,
    /// Seconds since 1970.
    pub last_seen: u64,
    /// Calls and questions, as far as they were counted.
    pub count: u64,
    /// What will become of it.
    pub state: EdgeState,
    /// When it may be forgotten, if it is not seen before; none for what is pinned.
    pub forget_at: Option<u64>,
}

/// What will become of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdgeState {
    /// It stays until somebody unpins it.
    Pinned,
    /// It was seen not long ago.
    Learned,
    /// A sibling called it, and this workload has not yet.
    Seeded,
    /// It is old enough to be forgotten, and is kept for a reason.
    Kept(Withheld),
    /// The next look forgets it.
    Due,
}

impl EdgeState {
    /// A word for each.
    pub const NAMES: [&'static str; 5] = ["pinned", "learned", "seeded", "kept", "due"];

    /// One word.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// Its place in [`Self::NAMES`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Pinned => 0,
            Self::Learned => 1,
            Self::Seeded => 2,
            Self::Kept(_) => 3,
            Self::Due => 4,
        }
    }
}

impl Edge {
    pub(crate) fn new(host: Hostname, now: u64) -> Self {
        Self {
            host,
            first_seen: now,
            last_seen: now,
            count: 0,
            score: 0.0,
            sensors: Sensors::default(),
            is_pinned: false,
            is_seeded: false,
        }
    }

    /// It was seen `count` times at `now`. In whatever order observations come, the result is the
    /// same. Whether it is news, beside that it was seen again.
    pub(crate) fn see(&mut self, sensor: Sensor, count: u32, now: u64, half_life: u64) -> bool {
        let later = self.last_seen.max(now);
        self.score = decay(self.score, later - self.last_seen, half_life)
            + decay(count as f32, later - now, half_life);
        self.last_seen = later;
        self.first_seen = self.first_seen.min(now);
        self.count = self.count.saturating_add(count.into());
        let is_news = !self.sensors.contains(sensor) || self.is_seeded;
        self.sensors.insert(sensor);
        self.is_seeded = false;
        is_news
    }

    /// When it is old enough to be forgotten.
    pub(crate) fn forget_at(&self, settings: &ScopeSettings) -> u64 {
        // Not seen even once is as good as once.
        let halvings = (self.score.clamp(1.0, BEST) / FORGOTTEN).log2();
        let life = (halvings * settings.half_life as f32) as u64;
        self.last_seen.saturating_add(life.max(settings.minimum_life))
    }
}

fn decay(score: f32, age: u64, half_life: u64) -> f32 {
    score * (-(age as f32) / half_life.max(1) as f32).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn seen(times: &[(u64, u32)]) -> Edge {
        let mut edge = Edge::new("a".into(), times[0].0);
        for (now, count) in times {
            edge.see(Sensor::Request, *count, *now, 7 * DAY);
        }
        edge
    }

    #[test]
    fn what_is_called_more_is_kept_longer_within_bounds() {
        let settings = ScopeSettings::default();
        let life = |times: &[(u64, u32)]| {
            let edge = seen(times);
            (edge.forget_at(&settings) - edge.last_seen) / DAY
        };
        assert_eq!(life(&[(DAY, 1)]), 7);
        assert_eq!(life(&[(DAY, 2)]), 14);
        assert_eq!(life(&[(DAY, 1), (8 * DAY, 1)]), 11);
        assert_eq!(life(&[(DAY, 1_000_000)]), 35);
        let quick = ScopeSettings { half_life: 60, ..settings };
        assert_eq!(seen(&[(0, 1)]).forget_at(&quick), DAY);
    }

    #[test]
    fn the_order_of_observations_does_not_matter() {
        let (one, other) = (
            seen(&[(DAY, 3), (5 * DAY, 1), (9 * DAY, 2)]),
            seen(&[(9 * DAY, 2), (DAY, 3), (5 * DAY, 1)]),
        );
        assert!((one.score - other.score).abs() < 1e-4, "{one:?} {other:?}");
        assert_eq!(Edge { score: 0.0, ..one }, Edge { score: 0.0, ..other });
    }
}
