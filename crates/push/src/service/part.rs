//! A stream's parts in the rounds under way.

use crate::{
    ResourceKind,
    engine::{Lane, Ticket},
    state::StreamState,
};

/// The parts, by lane. A stream has done its part when its proxy has acknowledged what it was sent.
#[derive(Debug, Default)]
pub(super) struct Parts([Part; Lane::COUNT]);

#[derive(Debug, Default)]
enum Part {
    #[default]
    None,
    Open {
        _ticket: Ticket,
    },
    /// The next round began before this one was done: the stream is not waited for again before it
    /// has caught up.
    Late,
}

impl Parts {
    /// The stream was told of something, in these rounds.
    pub(super) fn take(&mut self, tickets: Vec<Ticket>) {
        for ticket in tickets {
            let part = &mut self.0[ticket.lane as usize];
            *part = match part {
                Part::None => Part::Open { _ticket: ticket },
                Part::Open { .. } | Part::Late => Part::Late,
            };
        }
    }

    /// To be called when nothing more can be sent. `has_room` says that it is not the connection
    /// that prevents it.
    pub(super) fn look(&mut self, state: &StreamState, has_room: bool) {
        // A first sync takes as long as it takes.
        let is_starting = state.is_starting();
        for (lane, part) in [Lane::Assignments, Lane::Structure].into_iter().zip(&mut self.0) {
            let mut kinds = match lane {
                Lane::Assignments => &[ResourceKind::Endpoint][..],
                Lane::Structure => &ResourceKind::ALL,
            }
            .iter();
            if is_starting || has_room && !kinds.any(|kind| state.is_in_flight(*kind)) {
                *part = Part::None;
            }
        }
    }
}
