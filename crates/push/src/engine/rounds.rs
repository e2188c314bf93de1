//! When streams are told of what has changed: in rounds, and not before the round before is over.
//!
//! - A plane with nothing to do tells at once. While a round is under way changes gather, those of
//!   one stream in one list, and the next round takes all of them: how often a stream is woken
//!   follows from the time that a round takes, and from nothing else. Streams that are told together
//!   hold the same afterwards, so that what they are sent next is the same again.
//! - A stream has done its part when its proxy has acknowledged what it was sent.
//! - A round ends when all have done their part, or after three times the time that half of them
//!   took: the slow ones delay nobody, and who was late is not waited for again before it has caught
//!   up (`service::part`). As long as half of them are out, each is allowed some time: few of them do
//!   not keep a machine busy for long, so that it is they who are slow.
//! - There are two lanes. Assignments are told whatever is under way in the other one. All else is
//!   not even compiled as long as its own lane is taken (`engine::due`).
//! - So a change waits for one round at most, whatever else changes and however often: objects have
//!   no queue of their own, in which one could be before another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::Thread,
    time::{Duration, Instant},
};

/// How long a round may take in any case.
const SHORTEST: Duration = Duration::from_millis(10);
/// How much longer for each stream, although not half of them have done their part.
const EACH: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(5);
/// How many times the time of half of the streams the others are given.
const PATIENCE: u32 = 3;

/// Rounds of one lane do not wait for those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// New versions of assignments, and nothing else.
    Assignments,
    /// Whatever else there is.
    Structure,
}

impl Lane {
    pub(crate) const COUNT: usize = 2;
}

/// The rounds under way.
#[derive(Debug)]
pub(super) struct Rounds {
    lanes: [Option<Round>; Lane::COUNT],
    /// The engine's, which waits for tickets.
    pub(super) thread: Thread,
}

#[derive(Debug)]
struct Round {
    begun: Instant,
    parts: Arc<Parts>,
    /// When half of the streams had done their part.
    half: Option<Duration>,
}

/// How many streams were told, and how many of them have not done their part.
#[derive(Debug)]
struct Parts {
    told: usize,
    open: AtomicUsize,
    thread: Thread,
}

/// One stream's part in a round. It is done when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) lane: Lane,
    parts: Arc<Parts>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let open = self.parts.open.fetch_sub(1, Ordering::AcqRel) - 1;
        // These are what the engine waits for.
        if open == 0 || open == self.parts.told / 2 {
            self.parts.thread.unpark();
        }
    }
}

impl Rounds {
    pub(super) fn new(thread: Thread) -> Self {
        Self { lanes: Default::default(), thread }
    }

    /// Begins a round for so many streams, with a ticket for each. One that is under way in the lane
    /// is waited for no more.
    pub(super) fn begin(
        &mut self,
        lane: Lane,
        now: Instant,
        told: usize,
    ) -> impl Iterator<Item = Ticket> + use<> {
        let (open, thread) = (AtomicUsize::new(told), self.thread.clone());
        let parts = Arc::new(Parts { told, open, thread });
        let round = Round { begun: now, parts: parts.clone(), half: None };
        self.lanes[lane as usize] = Some(round);
        (0..told).map(move |_| Ticket { lane, parts: parts.clone() })
    }

    /// When the round under way in a lane is to be looked at again; `None` when there is none.
    pub(super) fn until(&mut self, lane: Lane, now: Instant) -> Option<Instant> {
        let round = self.lanes[lane as usize].as_mut()?;
        let until = round.until(now);
        if until.is_none() {
            self.lanes[lane as usize] = None;
        }
        until
    }
}

impl Round {
    fn until(&mut self, now: Instant) -> Option<Instant> {
        let taken = now.saturating_duration_since(self.begun);
        let (told, open) = (self.parts.told, self.parts.open.load(Ordering::Acquire));
        if open <= told / 2 {
            self.half.get_or_insert(taken);
        }
        let limit = match self.half {
            Some(half) => (PATIENCE * half).max(SHORTEST),
            None => {
                let each = u32::try_from(told).map_or(LONGEST, |told| EACH.saturating_mul(told));
                (SHORTEST + each).min(LONGEST)
            }
        };
        (open > 0 && taken < limit).then(|| self.begun + limit)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    struct Rig {
        rounds: Rounds,
        begun: Instant,
    }

    impl Rig {
        fn new() -> Self {
            Self { rounds: Rounds::new(thread::current()), begun: Instant::now() }
        }

        fn begin(&mut self, told: usize) -> Vec<Ticket> {
            self.rounds.begin(Lane::Assignments, self.begun, told).collect()
        }

        /// Until when a round lasts, after so many milliseconds of it.
        fn until(&mut self, after: u32) -> Option<u128> {
            let until = self.rounds.until(Lane::Assignments, self.begun + after * MILLISECOND)?;
            Some((until - self.begun).as_millis())
        }
    }

    #[test]
    fn a_round_is_over_when_all_have_done_their_part() {
        let mut rig = Rig::new();
        assert_eq!(rig.until(0), None);
        let tickets = rig.begin(3);
        assert_eq!(rig.until(0), Some(25));
        drop(tickets);
        assert_eq!(rig.until(1), None);
    }

    #[test]
    fn a_lane_does_not_wait_for_the_other() {
        let mut rig = Rig::new();
        let _tickets = rig.begin(3);
        assert_eq!(rig.rounds.until(Lane::Structure, rig.begun), None);
    }

    #[test]
    fn the_slow_half_is_given_three_times_what_the_other_took() {
        let mut rig = Rig::new();
        let mut tickets = rig.begin(4);
        tickets.truncate(2);
        assert_eq!(rig.until(5), Some(15));
        assert_eq!(rig.until(15), None);
        // Late parts are nobody's business.
        let _next = rig.begin(1);
        drop(tickets);
        assert!(rig.until(0).is_some());
    }

    #[test]
    fn while_most_are_out_each_is_allowed_some_time() {
        let mut rig = Rig::new();
        let limits = [1, 10, 100, 10_000].map(|told| {
            let _tickets = rig.begin(told);
            let until = rig.until(0).expect("a round");
            assert_eq!(rig.until(until.try_into().unwrap()), None);
            until
        });
        assert_eq!(limits, [15, 60, 510, 5_000]);
    }
}
