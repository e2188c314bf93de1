//! How fast is learned and forgotten, and how much at most.

/// Times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct ScopeSettings {
    /// In this time without a call the score of an edge halves.
    pub half_life: u64,
    /// No edge is forgotten sooner than this after it was last seen, nor before those who would
    /// have seen it have watched for so long without a gap.
    pub minimum_life: u64,
    /// A sensor that has not worked for longer than this is silent.
    pub silence: u64,
    /// Percent of a workload's edges that may be forgotten in a window; always at least one edge.
    pub shrink_workload: u8,
    /// Percent of all edges that may be forgotten in a window; always at least one edge.
    pub shrink_total: u8,
    /// The length of a window.
    pub shrink_window: u64,
    /// Targets of a workload beyond which nothing more is learned from what it does.
    pub max_targets: usize,
    /// Edges in all beyond which nothing more is learned.
    pub max_edges: usize,
    /// New targets that a workload may have at once.
    pub learn_burst: u32,
    /// New targets in a minute, beyond that.
    pub learn_per_minute: u32,
    /// Time between two looks for what has aged.
    pub pass: u64,
    /// Observations that may wait; those beyond are dropped and counted.
    pub queue: usize,
}

impl Default for ScopeSettings {
    fn default() -> Self {
        Self {
            half_life: 7 * 86_400,
            minimum_life: 86_400,
            silence: 600,
            shrink_workload: 20,
            shrink_total: 5,
            shrink_window: 3_600,
            max_targets: 500,
            max_edges: 1_000_000,
            learn_burst: 500,
            learn_per_minute: 60,
            pass: 300,
            queue: 8_192,
        }
    }
}

/// Tokens for new edges of one workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    left: f32,
    at: u64,
}

impl Bucket {
    pub(crate) fn full(settings: &ScopeSettings, now: u64) -> Self {
        Self { left: settings.learn_burst as f32, at: now }
    }

    /// Whether there is a token, which is taken. A clock that is set back gives none.
    pub(crate) fn take(&mut self, settings: &ScopeSettings, now: u64) -> bool {
        let rest = now.saturating_sub(self.at) as f32 * settings.learn_per_minute as f32 / 60.0;
        self.left = (self.left + rest).min(settings.learn_burst as f32);
        self.at = self.at.max(now);
        let has_one = self.left >= 1.0;
        if has_one {
            self.left -= 1.0;
        }
        has_one
    }
}

/// What was forgotten since a window began. Kept beside the edges, or each restart would begin a
/// window of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) began: u64,
    pub(crate) base: u32,
    pub(crate) removed: u32,
}

impl Window {
    /// How many of `size` edges may go at `now`; `percent` of those at the beginning of the window,
    /// and never fewer than one in it: a workload with three edges must be able to forget.
    pub(crate) fn allowance(&mut self, percent: u8, length: u64, size: usize, now: u64) -> u32 {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        if self.base == 0 || now.saturating_sub(self.began) >= length {
            *self = Self { began: now, base: size, removed: 0 };
        }
        // A clock that was set back must not hold the window open.
        self.began = self.began.min(now);
        // Edges that were reset meanwhile do not count as if they were still there.
        self.base = self.base.min(size.saturating_add(self.removed));
        let share = u64::from(self.base) * u64::from(percent.min(100)) / 100;
        (share.max(1) as u32).saturating_sub(self.removed)
    }

    pub(crate) fn remove(&mut self) {
        self.removed += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_with_time_and_no_further_than_full() {
        let settings =
            ScopeSettings { learn_burst: 2, learn_per_minute: 60, ..ScopeSettings::default() };
        let mut bucket = Bucket::full(&settings, 100);
        let mut take = |now| bucket.take(&settings, now);
        assert_eq!([take(100), take(100), take(100)], [true, true, false]);
        assert_eq!([take(101), take(101)], [true, false]);
        assert!(!take(50));
        assert_eq!([take(1_000), take(1_000), take(1_000)], [true, true, false]);
    }

    #[test]
    fn a_window_allows_its_share_once() {
        let mut window = Window::default();
        assert_eq!(window.allowance(20, 60, 10, 0), 2);
        window.remove();
        assert_eq!(window.allowance(20, 60, 9, 30), 1);
        window.remove();
        assert_eq!(window.allowance(20, 60, 8, 59), 0);
        assert_eq!(window.allowance(20, 60, 8, 60), 1);
        // At least one.
        assert_eq!(Window::default().allowance(20, 60, 3, 0), 1);
        // Ten of them were reset.
        let mut window = Window::default();
        assert_eq!(window.allowance(20, 60, 20, 0), 4);
        assert_eq!(window.allowance(20, 60, 10, 0), 2);
        // The clock of the process before was an hour ahead.
        let mut window = Window { began: 3_700, base: 10, removed: 2 };
        assert_eq!(window.allowance(20, 60, 8, 100), 0);
        assert_eq!(window.allowance(20, 60, 8, 160), 1);
    }
}
