//! For how long clusters that were sent are waited for, when their proxy does not acknowledge them.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::state::StreamState;

/// A request waits for 5 seconds, for what was sent between one and two of these before.
const LONGEST: Duration = Duration::from_millis(1500);

/// Which responses are waited for, and until when.
#[derive(Debug, Default)]
pub(super) struct Patience(Option<(u64, Instant)>);

impl Patience {
    /// To be called when something was sent or answered.
    pub(super) fn look(&mut self, state: &StreamState) {
        match (state.awaited_response(), &self.0) {
            (None, _) => self.0 = None,
            (Some(newest), None) => self.0 = Some((newest, Instant::now() + LONGEST)),
            (Some(_), Some(_)) => {}
        }
    }

    /// Ends when responses up to this one were waited for long enough.
    pub(super) async fn over(&self) -> u64 {
        match self.0 {
            Some((nonce, until)) => {
                sleep_until(until).await;
                nonce
            }
            None => std::future::pending().await,
        }
    }
}
