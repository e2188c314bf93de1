//! Which streams are let in, and which connections are asked to go elsewhere.
//!
//! - A stream that is refused is told so at once, and when to come again: by `grpc-message` for
//!   people, by `grpc-retry-pushback-ms` for gRPC. Envoy has a back-off of its own.
//! - A connection that shall go is sent GOAWAY before its streams end, since a client opens its next
//!   stream on a connection that it still trusts: at the same replica again.
//! - Not here: when memory is short, and how streams should lie on replicas ([`Control`]'s users).

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time,
};

use super::Settings;
use crate::{Code, Status, metrics::Refusal};

/// When one comes again who was refused for a lack of room. It is a guess: streams end when they end.
const NO_ROOM_RETRY: Duration = Duration::from_secs(5);
/// By how much connections differ from the age that they are given, as a share of it.
const AGE_JITTER: f64 = 0.1;

/// Steers a running server from outside. Clones steer the same one.
#[derive(Clone, Debug)]
pub struct Control(Arc<Steering>);

#[derive(Debug)]
struct Steering {
    closed: AtomicBool,
    hand_over: watch::Sender<HandOver>,
}

/// A request to connections to go elsewhere.
#[derive(Clone, Copy, Debug, Default)]
struct HandOver {
    /// Tells one request from the next.
    number: u64,
    /// Of all connections, from 0 to 1.
    share: f64,
    over: Duration,
}

impl Default for Control {
    fn default() -> Self {
        let (hand_over, _) = watch::channel(HandOver::default());
        Self(Arc::new(Steering { closed: AtomicBool::new(false), hand_over }))
    }
}

impl Control {
    /// Refuses further streams, or lets them in again. Those that are open go on.
    pub fn close(&self, closed: bool) {
        self.0.closed.store(closed, Ordering::Relaxed);
    }

    /// Whether further streams are refused.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Relaxed)
    }

    /// Asks a share of the open connections (0 to 1) to go elsewhere, one after the other over
    /// some time. Which ones, a hash decides: a second request means others. A request that comes
    /// while another is under way adds to it.
    pub fn hand_over(&self, share: f64, over: Duration) {
        self.0.hand_over.send_modify(|last| {
            *last = HandOver { number: last.number + 1, share, over };
        });
    }

    /// When and why a connection has to go. Never ends for one that may stay.
    pub(super) async fn departure(&self, connection: u64, age: Option<Duration>) -> Departure {
        let mut requests = self.0.hand_over.subscribe();
        let old = async {
            match age {
                Some(age) => time::sleep(jittered(age, connection)).await,
                None => std::future::pending().await,
            }
        };
        let asked = async {
            while requests.changed().await.is_ok() {
                let HandOver { number, share, over } = *requests.borrow_and_update();
                let (is_meant, when) =
                    (fraction((connection, number)), fraction((number, connection)));
                if is_meant < share {
                    return time::sleep(over.mul_f64(when)).await;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            () = old => Departure::Age,
            () = asked => Departure::HandOver,
        }
    }
}

/// Why a connection has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    Age,
    HandOver,
}

impl Departure {
    /// How its streams end.
    pub(super) fn status(self) -> Status {
        Status::new(
            Code::Unavailable,
            match self {
                Self::Age => "the connection has reached its greatest age: connect again",
                Self::HandOver => "this replica hands streams over to others: connect again",
            },
        )
    }
}

/// Who may open a stream.
pub(crate) struct Admission {
    slots: Arc<Semaphore>,
    most: usize,
    rate: Option<DefaultDirectRateLimiter>,
    control: Control,
}

impl Admission {
    pub(super) fn new(settings: &Settings, control: Control) -> Self {
        let most = settings.max_streams.min(Semaphore::MAX_PERMITS);
        let quota = settings.max_streams_per_second.map(Quota::per_second);
        let rate = quota.map(RateLimiter::direct);
        Self { slots: Arc::new(Semaphore::new(most)), most, rate, control }
    }

    /// A place for one stream, for as long as it is kept.
    pub(super) fn admit(&self) -> Result<OwnedSemaphorePermit, (Refusal, Status)> {
        if self.control.is_closed() {
            let why = "memory of the control plane is short".to_owned();
            return Err(refused(Refusal::Memory, why, NO_ROOM_RETRY));
        }
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            let why = format!("all {} streams are in use", self.most);
            return Err(refused(Refusal::Streams, why, NO_ROOM_RETRY));
        };
        // Last, so that who is refused for another reason takes no part of the rate.
        if let Some(rate) = &self.rate
            && let Err(later) = rate.check()
        {
            let why = "too many streams begin at once".to_owned();
            let wait = later.wait_time_from(DefaultClock::default().now());
            return Err(refused(Refusal::Rate, why, wait));
        }
        Ok(slot)
    }
}

fn refused(refusal: Refusal, why: String, retry: Duration) -> (Refusal, Status) {
    let message = format!("{why}; try again in {} ms", retry.as_millis());
    (refusal, Status::new(Code::ResourceExhausted, message).retry_after(retry))
}

fn jittered(age: Duration, connection: u64) -> Duration {
    age.mul_f64(1.0 - AGE_JITTER + 2.0 * AGE_JITTER * fraction(connection))
}

/// A number from 0 to 1 that is the same for the same value, and looks like chance otherwise.
fn fraction(value: impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    // 53 bits are what fits into the mantissa.
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test]
    async fn who_is_refused_is_told_why_and_when_to_come_again() {
        let control = Control::default();
        let settings = Settings {
            max_streams: 2,
            max_streams_per_second: NonZeroU32::new(2),
            ..Settings::default()
        };
        let admission = Admission::new(&settings, control.clone());
        control.close(true);
        let (refusal, status) = admission.admit().unwrap_err();
        assert_eq!((refusal, status.code), (Refusal::Memory, Code::ResourceExhausted));
        control.close(false);
        let first = admission.admit().unwrap();
        let _second = admission.admit().unwrap();
        let (refusal, status) = admission.admit().unwrap_err();
        assert_eq!(refusal, Refusal::Streams);
        assert_eq!(status.message, "all 2 streams are in use; try again in 5000 ms");
        drop(first);
        let (refusal, status) = admission.admit().unwrap_err();
        assert_eq!(refusal, Refusal::Rate);
        let retry = status.retry_after.unwrap();
        assert!(retry > Duration::ZERO && retry <= Duration::from_millis(500), "{retry:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_of_connections_goes_over_the_time_that_was_given() {
        let control = Control::default();
        let begin = Instant::now();
        let leaving: Vec<_> = (0..1_000)
            .map(|id| {
                let control = control.clone();
                tokio::spawn(async move {
                    let left = timeout(Duration::from_secs(60), control.departure(id, None)).await;
                    left.ok().map(|why| (why, begin.elapsed()))
                })
            })
            .collect();
        while control.0.hand_over.receiver_count() < leaving.len() {
            tokio::task::yield_now().await;
        }
        control.hand_over(0.3, Duration::from_secs(10));
        let mut times = Vec::new();
        for task in leaving {
            if let Some((why, after)) = task.await.unwrap() {
                assert_eq!(why, Departure::HandOver);
                times.push(after.as_secs());
            }
        }
        assert!((250..350).contains(&times.len()), "{}", times.len());
        for second in 0..10 {
            assert!(times.contains(&second), "nobody left in second {second}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_of_one_age_do_not_end_at_once() {
        let control = Control::default();
        let begin = Instant::now();
        let mut ends = Vec::new();
        for id in 0..100 {
            let end = jittered(Duration::from_secs(100), id);
            assert!((90..=110).contains(&end.as_secs()), "{end:?}");
            ends.push(end.as_secs());
        }
        ends.sort_unstable();
        ends.dedup();
        assert!(ends.len() > 10, "{ends:?}");
        assert_eq!(control.departure(7, Some(Duration::from_secs(100))).await, Departure::Age);
        assert_eq!(begin.elapsed().as_secs(), jittered(Duration::from_secs(100), 7).as_secs());
    }
}
