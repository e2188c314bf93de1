//! How long numbered changes take to every stream, when there are too many to wait for each.
//!
//! Change `n` (from 1) is of service `(n - 1) % services`. A change that a stream never sees,
//! because a newer one of the same service took its place, has arrived when that one does: so the
//! time of the *oldest* change that a response brings counts.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Buckets of the histogram: a quarter of a millisecond each, up to 20 seconds.
const BUCKET: Duration = Duration::from_micros(250);
const BUCKETS: usize = 80_000;

#[derive(Debug)]
pub(crate) struct Lags {
    base: Instant,
    services: u32,
    /// When each change was written, in nanoseconds since `base`.
    written: Box<[AtomicU64]>,
    histogram: Box<[AtomicU32]>,
}

impl Lags {
    /// For so many changes at most.
    pub(crate) fn new(services: u32, changes: u32) -> Self {
        Self {
            base: Instant::now(),
            services,
            written: (0..=changes).map(|_| AtomicU64::new(0)).collect(),
            histogram: (0..BUCKETS).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The change is about to be written.
    pub(crate) fn write(&self, change: u32) {
        if let Some(written) = self.written.get(change as usize) {
            written.store(self.now(), Ordering::Release);
        }
    }

    /// A stream has the change, and had `before` of the same service.
    pub(crate) fn arrived(&self, change: u32, before: Option<u32>) {
        let written = self.written.get(self.oldest(change, before) as usize);
        let written = written.map_or(0, |written| written.load(Ordering::Acquire));
        if written > 0 {
            let lag = Duration::from_nanos(self.now().saturating_sub(written));
            let bucket = usize::try_from(lag.as_nanos() / BUCKET.as_nanos()).unwrap_or(BUCKETS);
            self.histogram[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The first change of the service that the stream did not have.
    fn oldest(&self, change: u32, before: Option<u32>) -> u32 {
        match before {
            Some(before) => before + self.services,
            None => (change - 1) % self.services + 1,
        }
    }

    /// How many were counted, and the lags that so many thousandths of them do not exceed.
    pub(crate) fn permilles<const N: usize>(&self, permilles: [u64; N]) -> (u64, [Duration; N]) {
        let counts: Vec<u64> =
            self.histogram.iter().map(|count| count.load(Ordering::Relaxed).into()).collect();
        let all: u64 = counts.iter().sum();
        let at = permilles.map(|permille| {
            let wanted = (all * permille).div_ceil(1_000).max(1);
            let mut sum = 0;
            let bucket = counts.iter().position(|count| {
                sum += count;
                sum >= wanted
            });
            BUCKET * u32::try_from(bucket.map_or(0, |bucket| bucket + 1)).unwrap_or(u32::MAX)
        });
        (all, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_change_counts() {
        let lags = Lags::new(10, 100);
        assert_eq!(lags.oldest(7, None), 7);
        assert_eq!(lags.oldest(37, None), 7, "three of the same service at once");
        assert_eq!(lags.oldest(37, Some(27)), 37);
        assert_eq!(lags.oldest(37, Some(7)), 17);
    }

    #[test]
    fn permilles_are_upper_ends_of_buckets() {
        let lags = Lags::new(10, 100);
        lags.histogram[3].store(98, Ordering::Relaxed);
        lags.histogram[7].store(1, Ordering::Relaxed);
        lags.histogram[40].store(1, Ordering::Relaxed);
        let (count, [half, most, all]) = lags.permilles([500, 990, 1_000]);
        let quarters = |count: u32| BUCKET * count;
        assert_eq!((count, half, most, all), (100, quarters(4), quarters(8), quarters(41)));
    }

    #[test]
    fn nothing_is_no_time() {
        assert_eq!(Lags::new(10, 100).permilles([990]), (0, [Duration::ZERO]));
    }
}
