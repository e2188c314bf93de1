//! A clock that is set, and randomness that counts.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use identity::{Ambient, Authority, AuthoritySettings, RandomnessError};
use tempfile::TempDir;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug)]
pub(crate) struct FakeAmbient {
    now: Mutex<SystemTime>,
    next: AtomicU64,
}

impl FakeAmbient {
    pub(crate) fn new() -> Arc<Self> {
        // A whole second: certificates have no parts of one.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Arc::new(Self { now: Mutex::new(now), next: AtomicU64::new(1) })
    }

    pub(crate) fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }
}

impl Ambient for FakeAmbient {
    fn now(&self) -> SystemTime {
        *self.now.lock().unwrap()
    }

    fn random(&self) -> Result<[u8; 16], RandomnessError> {
        // Spread over all bytes, and different each time.
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let spread = next.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&spread.to_be_bytes());
        bytes[8..].copy_from_slice(&next.to_be_bytes());
        Ok(bytes)
    }
}

/// An authority in a directory of its own.
pub(crate) struct Fixture {
    pub(crate) ambient: Arc<FakeAmbient>,
    pub(crate) folder: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { ambient: FakeAmbient::new(), folder: TempDir::new().unwrap() }
    }

    pub(crate) fn settings(&self) -> AuthoritySettings {
        AuthoritySettings::new(self.folder.path().join("state"), "cluster.local", "one")
    }

    pub(crate) fn open(&self) -> Authority {
        self.open_with(self.settings())
    }

    pub(crate) fn open_with(&self, settings: AuthoritySettings) -> Authority {
        Authority::open_with(settings, self.ambient.clone()).unwrap()
    }
}
