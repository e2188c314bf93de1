//! The clock and the randomness of an authority: the seam at which tests bring their own.
//!
//! - Not here: the randomness of keys, which is always the system's.

use std::{fmt, time::SystemTime};

use ring::rand::{SecureRandom, SystemRandom};

/// What an authority takes from outside besides its files.
pub trait Ambient: fmt::Debug + Send + Sync {
    /// The time.
    fn now(&self) -> SystemTime;
    /// Fresh random bytes, for serial numbers, names of files and jitter.
    fn random(&self) -> Result<[u8; 16], RandomnessError>;
}

/// The system gives no randomness: nothing can be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct RandomnessError;

/// The machine's own clock and randomness.
#[derive(Clone, Debug)]
pub struct SystemAmbient(SystemRandom);

impl Default for SystemAmbient {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl Ambient for SystemAmbient {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self) -> Result<[u8; 16], RandomnessError> {
        let mut bytes = [0; 16];
        self.0.fill(&mut bytes).map_err(|_| RandomnessError)?;
        Ok(bytes)
    }
}
