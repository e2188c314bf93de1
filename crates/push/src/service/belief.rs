//! Whether what a stream has proven is still believed.
//!
//! - A root that is trusted no more, or a token's key that has gone, ends the streams that it
//!   proved; they may come back with another proof. Others notice nothing.
//! - Not all at once: each stream has a moment of its own, by its number. Even the first is late
//!   enough for the secrets that came with the same change.
//! - Not here: the end of a proof by time (`service`).

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{self, Instant},
};
use xds::{Code, PeerInfo, Status};

use crate::{Authenticator, caller::Proof};

#[cfg(test)]
mod tests;

/// When the first of the streams ends, and over which time the others do.
const FIRST: Duration = Duration::from_secs(2);
const SPREAD: Duration = Duration::from_secs(10);
const STEPS: u32 = 64;

/// Before it is known what is believed.
pub(super) struct Belief<P = Proof> {
    authenticator: Arc<dyn Authenticator>,
    changed: watch::Receiver<u64>,
    stream: u64,
    proof: P,
    doubted: bool,
    /// When the stream ends, and why.
    lost: Option<(Instant, String)>,
}

impl Belief<()> {
    pub(super) fn new(authenticator: Arc<dyn Authenticator>, stream: u64) -> Self {
        let changed = authenticator.changed();
        Self { authenticator, changed, stream, proof: (), doubted: false, lost: None }
    }

    pub(super) fn in_proof(self, proof: Proof) -> Belief {
        let Self { authenticator, changed, stream, proof: (), doubted, lost } = self;
        Belief { authenticator, changed, stream, proof, doubted, lost }
    }
}

impl Belief {
    /// Ends when the proof is believed no more and the stream's moment has come. Cancelling the
    /// wait loses nothing.
    pub(super) async fn lost(&mut self, peer: &PeerInfo) -> Status {
        loop {
            if let Some((at, why)) = &self.lost {
                time::sleep_until(*at).await;
                let message = format!(
                    "what proved the identity of the stream is believed no more ({why}): come \
                     back with a new certificate or token"
                );
                return Status::new(Code::Unauthenticated, message);
            }
            if !self.doubted && self.changed.changed().await.is_err() {
                // Nobody is left who could change it.
                return std::future::pending().await;
            }
            self.doubted = true;
            let found = self.authenticator.authenticate(peer).await;
            self.doubted = false;
            let why = match found {
                Ok(Some(Proof { identity, .. })) if identity == self.proof.identity => continue,
                Ok(Some(Proof { identity, .. })) => format!("it now proves `{identity}`"),
                Ok(None) => "nothing proves it".to_owned(),
                Err(why) => why,
            };
            self.lost = Some((Instant::now() + moment(self.stream), why));
        }
    }
}

/// Which share of the time is a stream's.
fn moment(stream: u64) -> Duration {
    let step = u32::try_from(stream % u64::from(STEPS)).unwrap_or_default();
    FIRST + SPREAD * step / STEPS
}
