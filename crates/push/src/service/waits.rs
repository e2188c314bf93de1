//! How long requests wait for their routes.

use std::{sync::Arc, time::Instant};

use super::StreamMetrics;
use crate::state::StreamState;

/// The questions of one stream that are answered and whose answers are not sent yet.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// When the questions came for which answers are sought now.
    asked: Option<Instant>,
    open: Vec<(Arc<str>, Instant)>,
}

impl Waits {
    /// Questions have come.
    pub(super) fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// One of them has an answer.
    pub(super) fn found(&mut self, question: &Arc<str>) {
        self.open.extend(self.asked.map(|asked| (question.clone(), asked)));
    }

    /// Virtual hosts were sent.
    pub(super) fn sent(&mut self, state: &StreamState, metrics: &StreamMetrics) {
        self.open.retain(|(question, asked)| {
            let is_open = state.is_unanswered(question);
            if !is_open {
                metrics.waited(asked.elapsed());
            }
            is_open
        });
    }
}
