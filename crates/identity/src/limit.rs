//! How many certificates are signed in a second: a bucket of tokens.

use std::{
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

/// How fast may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningLimits {
    /// Certificates per second, for all callers together.
    pub per_second: u32,
    /// How many at once after a time of rest: all proxies of a mesh may come back together.
    pub burst: u32,
}

impl Default for SigningLimits {
    fn default() -> Self {
        Self { per_second: 500, burst: 5000 }
    }
}

/// The bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    limits: SigningLimits,
    /// Tokens that were left, and when. Nothing before the first request: it is full.
    level: Mutex<Option<(f64, SystemTime)>>,
}

impl Bucket {
    pub(crate) fn new(limits: SigningLimits) -> Self {
        Self { limits, level: Mutex::default() }
    }

    /// Whether there is a token, which is taken. A clock that is set back gives none.
    pub(crate) fn take(&self, now: SystemTime) -> bool {
        let SigningLimits { per_second, burst } = self.limits;
        let full = f64::from(burst);
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = level.map_or(full, |(left, since)| {
            let rest = now.duration_since(since).unwrap_or_default();
            (left + rest.as_secs_f64() * f64::from(per_second)).min(full)
        });
        let has_one = tokens >= 1.0;
        *level = Some((if has_one { tokens - 1.0 } else { tokens }, now));
        has_one
    }
}
