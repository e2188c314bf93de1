//! How long requests wait for their routes.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::StreamMetrics;
use crate::state::StreamState;

/// The questions of one stream that have an answer which is not sent yet.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// When the questions came for which answers are sought now.
    asked: Option<Instant>,
    open: BTreeMap<Arc<str>, Instant>,
}

impl Waits {
    /// Questions have come.
    pub(super) fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// One of them has an answer. One that went before it was sent, and comes again, is waited for since the
    /// question came.
    pub(super) fn found(&mut self, question: &Arc<str>) {
        let Some(asked) = self.asked else { return };
        self.open.entry(question.clone()).or_insert(asked);
    }

    /// Virtual hosts were sent.
    pub(super) fn sent(&mut self, state: &StreamState, metrics: &StreamMetrics) {
        if self.open.is_empty() {
            return;
        }
        let answered = state.answered().filter_map(|question| self.open.remove(question));
        answered.for_each(|asked| metrics.waited(asked.elapsed()));
        // The others wait on, but for those whose routes have gone.
        let unanswered = state.unanswered();
        self.open.retain(|question, _| unanswered.contains(question));
    }
}
