//! Whose turn it is to be sent a first configuration.
//!
//! When a thousand proxies come at once and all are served a little in turn, all of them are done
//! last, and what is on its way to each is held at the same time. So a first sync waits until the
//! bytes of those before it have gone out: first come, first served. Proxies that have started
//! wait for nobody. Who has waited for a minute is told to come back, rather than left in silence.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use xds::{Code, Status};

/// Bytes of first configurations that may be on their way at a time, in KiB.
const ROOM: u32 = 32 << 10;
/// For how long a proxy that does not take its first configuration keeps others waiting.
const HOLD: Duration = Duration::from_secs(1);
/// For how long a first sync waits for its turn.
const PATIENCE: Duration = Duration::from_secs(60);
/// When who has waited in vain should try again.
const RETRY: Duration = Duration::from_secs(5);

/// The room that all first syncs share.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM as usize)))
    }
}

type Acquiring = dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send;

/// How far one stream is.
#[derive(Default)]
pub(super) enum Turn {
    /// It has not begun, or it is done.
    #[default]
    None,
    Waiting {
        until: Instant,
        acquiring: Pin<Box<Acquiring>>,
    },
    /// It is served; the permit goes back at the end.
    Served {
        until: Instant,
        _permit: OwnedSemaphorePermit,
    },
}

impl Turn {
    /// Asks for a turn for so many bytes, if none was asked for. Whether it is there.
    pub(super) fn take(&mut self, turns: &Turns, bytes: impl FnOnce() -> usize) -> bool {
        if matches!(self, Self::None) {
            let size = u32::try_from(bytes() >> 10).unwrap_or(ROOM).clamp(1, ROOM);
            let mut acquiring: Pin<Box<Acquiring>> =
                Box::pin(turns.0.clone().acquire_many_owned(size));
            // The first look is what gets a place in the queue; who waits looks again.
            let mut look = Context::from_waker(Waker::noop());
            *self = match acquiring.as_mut().poll(&mut look) {
                Poll::Ready(Ok(permit)) => Self::served(permit),
                // The semaphore is never closed.
                Poll::Ready(Err(_)) => Self::None,
                Poll::Pending => Self::Waiting { until: Instant::now() + PATIENCE, acquiring },
            };
        }
        matches!(self, Self::Served { .. })
    }

    fn served(permit: OwnedSemaphorePermit) -> Self {
        Self::Served { until: Instant::now() + HOLD, _permit: permit }
    }

    /// Ends when the turn comes, and when a turn has lasted too long; with the status of the stream
    /// when it has waited in vain. Cancelling loses nothing.
    pub(super) async fn changed(&mut self) -> Result<(), Status> {
        match self {
            Self::None => std::future::pending().await,
            Self::Waiting { until, acquiring } => match timeout_at(*until, acquiring).await {
                Ok(Ok(permit)) => *self = Self::served(permit),
                // The semaphore is never closed.
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => {
                    let (waited, retry) = (PATIENCE.as_secs(), RETRY.as_millis());
                    let why = format!(
                        "{waited} s were not enough for the first configurations of the proxies \
                         before this one; try again in {retry} ms"
                    );
                    return Err(Status::new(Code::ResourceExhausted, why).retry_after(RETRY));
                }
            },
            Self::Served { until, .. } => {
                tokio::time::sleep_until(*until).await;
                *self = Self::None;
            }
        }
        Ok(())
    }

    /// The first configuration has been taken.
    pub(super) fn end(&mut self) {
        if matches!(self, Self::Served { .. }) {
            *self = Self::None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const MOST: usize = (ROOM as usize) << 10;

    fn is_served(turn: &mut Turn, turns: &Turns, bytes: usize) -> bool {
        turn.take(turns, || bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn who_came_first_is_served_first() {
        let turns = Turns::default();
        let [mut first, mut second, mut third]: [Turn; 3] = Default::default();
        assert!(is_served(&mut first, &turns, MOST / 2 + 1));
        assert!(!is_served(&mut second, &turns, MOST));
        // It would fit, and it came later.
        assert!(!is_served(&mut third, &turns, 1));
        first.end();
        second.changed().await.unwrap();
        assert!(is_served(&mut second, &turns, 0));
        assert!(timeout(Duration::ZERO, third.changed()).await.is_err());
        second.end();
        third.changed().await.unwrap();
        assert!(is_served(&mut third, &turns, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_keeps_nobody_waiting_for_long() {
        let turns = Turns::default();
        let [mut slow, mut next]: [Turn; 2] = Default::default();
        // More than there is room for is served alone.
        assert!(is_served(&mut slow, &turns, 10 * MOST));
        assert!(!is_served(&mut next, &turns, 1));
        slow.changed().await.unwrap();
        next.changed().await.unwrap();
        assert!(is_served(&mut next, &turns, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_minute_is_told_to_come_back() {
        let (turns, begun) = (Turns::default(), Instant::now());
        let [mut served, mut waiting, mut next]: [Turn; 3] = Default::default();
        assert!(is_served(&mut served, &turns, MOST));
        assert!(!is_served(&mut waiting, &turns, MOST));
        assert!(!is_served(&mut next, &turns, 1));
        // Looking elsewhere meanwhile does not begin the minute anew.
        assert!(timeout(Duration::from_secs(59), waiting.changed()).await.is_err());
        assert!(!is_served(&mut waiting, &turns, MOST));
        let status = waiting.changed().await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), 60);
        assert_eq!((status.code, status.retry_after), (Code::ResourceExhausted, Some(RETRY)));
        // Its place in the queue goes with it.
        drop(waiting);
        served.end();
        next.changed().await.unwrap();
        assert!(is_served(&mut next, &turns, 0));
    }

    #[tokio::test]
    async fn who_leaves_gives_the_turn_back() {
        let turns = Turns::default();
        let [mut served, mut waiting, mut next]: [Turn; 3] = Default::default();
        assert!(is_served(&mut served, &turns, MOST));
        assert!(!is_served(&mut waiting, &turns, MOST));
        drop(waiting);
        drop(served);
        assert!(is_served(&mut next, &turns, MOST));
    }
}
