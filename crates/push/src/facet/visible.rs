//! What classes may see of whom fences make something smaller: selected once for all of them.

use std::sync::Arc;

use compile::{Scope, ScopeKey, Visible, VisibleChange};

use super::{Job, Jobs, Made, Work};
use crate::FacetView;

/// All that may be seen, and what has changed of it with its last version.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(super) visible: Arc<Visible>,
    pub(super) change: Arc<VisibleChange>,
}

impl Sight {
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.visible, &other.visible)
    }
}

/// It has no resources: fenced facets follow it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    key: ScopeKey,
    pub(super) sight: Option<Sight>,
}

impl Seen {
    pub(super) fn new(key: ScopeKey) -> Self {
        Self { key, sight: None }
    }
}

impl Jobs for Seen {
    fn run(&mut self, job: &Job, _view: &FacetView, work: &mut Work<'_>) -> Option<Made> {
        let Job::Scope = job else { return None };
        let scope = Scope::of(&self.key, work.reader);
        let old = self.sight.as_ref().map(|sight| &sight.visible);
        let namespace = &self.key.namespace;
        if old.is_some_and(|old| old.is_of(&scope, namespace, work.reader)) {
            return None;
        }
        let visible = Visible::new(scope, namespace, work.reader);
        let change = old.map(|old| visible.since(old)).unwrap_or_default();
        self.sight = Some(Sight { visible: Arc::new(visible), change: Arc::new(change) });
        None
    }
}
