//! Where the engine leaves a stream's newest views; unread letters merge.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Ticket;
use crate::{FacetView, facet::Changed};

/// More unread changes than this are not listed: the stream compares everything instead.
const MAX_CHANGES: usize = 64;

/// What a stream is told.
#[derive(Debug)]
pub(crate) struct Letter {
    pub views: Vec<Arc<FacetView>>,
    /// What may differ from the letter before; `None` is "anything".
    pub changed: Option<Vec<Arc<Changed>>>,
    /// The snapshots that it was written for, oldest first, none left out but the newest of many.
    pub revisions: Vec<u64>,
    /// The stream's parts in the rounds that it was written in, at most one for each lane.
    pub tickets: Vec<Ticket>,
    /// Questions that were answered, each with the resource that does.
    pub found: Vec<(Arc<str>, Arc<str>)>,
}

/// One stream's mailbox: at most one letter lies in it.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    letter: Mutex<Option<Letter>>,
    arrived: Notify,
}

impl Mailbox {
    pub(crate) fn put(&self, letter: Letter) {
        let mut slot = self.letter.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(match slot.take() {
            None => letter,
            Some(old) => Letter {
                views: letter.views,
                changed: merge(old.changed, letter.changed),
                revisions: join(old.revisions, letter.revisions),
                tickets: replace(old.tickets, letter.tickets),
                found: [old.found, letter.found].concat(),
            },
        });
        drop(slot);
        self.arrived.notify_one();
    }

    /// The letter that lies there, if there is one.
    pub(crate) fn try_take(&self) -> Option<Letter> {
        self.letter.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The letter that lies there, or the next one.
    pub(crate) async fn take(&self) -> Letter {
        loop {
            if let Some(letter) = self.try_take() {
                return letter;
            }
            self.arrived.notified().await;
        }
    }
}

fn merge(
    old: Option<Vec<Arc<Changed>>>,
    new: Option<Vec<Arc<Changed>>>,
) -> Option<Vec<Arc<Changed>>> {
    let (mut old, new) = (old?, new?);
    old.extend(new);
    (old.len() <= MAX_CHANGES).then_some(old)
}

/// The part in the round before of a lane is done with that in this one, and not waited for.
fn replace(mut old: Vec<Ticket>, new: Vec<Ticket>) -> Vec<Ticket> {
    old.retain(|ticket| new.iter().all(|it| it.lane != ticket.lane));
    old.extend(new);
    old
}

fn join(mut old: Vec<u64>, new: Vec<u64>) -> Vec<u64> {
    old.extend(new);
    old.truncate(MAX_CHANGES);
    old
}
