//! New versions of assignments, for a proxy that holds all of its views and nothing else.
//!
//! What such a proxy is sent follows from two views: the ones that it holds and the new ones. So it
//! is found once for all proxies that take the same step, and a stream looks at no name. Whatever
//! else there is to do about the type goes the long way, name by name.

use std::{collections::BTreeSet, sync::Arc};

use compile::Compiled;
use xds::Protocol;

use super::{
    Contents, Outgoing, Resources, StreamState,
    holdings::share,
    plan::version_text,
    types::{InFlight, TypeState},
    views::Views,
};
use crate::{ResourceKind, facet::Changed};

impl TypeState {
    /// These names may differ from now on.
    pub(super) fn on_news(&mut self, kind: ResourceKind, changed: &[Arc<Changed>]) {
        if self.held.is_due() {
            return;
        }
        let concern = |list: &&Arc<Changed>| list.iter().any(|(it, _)| *it == kind);
        self.news.extend(changed.iter().filter(concern).cloned());
        if !self.may_step(kind) {
            self.list_news(kind);
        }
    }

    /// Whether all that is to be done may be in `news`. Assignments alone are sent at once, whatever
    /// the proxy has of other types.
    fn may_step(&self, kind: ResourceKind) -> bool {
        let nothing_listed = self.dirty.is_empty()
            && self.force.is_empty()
            && self.rejected.is_empty()
            && self.held_back.is_empty()
            && self.kept.is_empty();
        kind == ResourceKind::Endpoint && self.requested && nothing_listed
    }

    /// Has the names looked at one by one.
    pub(super) fn list_news(&mut self, kind: ResourceKind) {
        for list in std::mem::take(&mut self.news) {
            for (_, name) in list.iter().filter(|(it, _)| *it == kind) {
                if self.wants(name) || self.held.contains(name) {
                    self.dirty.insert(name.clone());
                }
            }
        }
    }

    /// How many names are in `news`.
    pub(super) fn news_len(&self, kind: ResourceKind) -> usize {
        news(&self.news, kind).count()
    }
}

/// The names of a type, those of several lists several times.
fn news(lists: &[Arc<Changed>], kind: ResourceKind) -> impl Iterator<Item = &Arc<str>> {
    let names = lists.iter().flat_map(|list| list.iter());
    names.filter(move |(it, _)| *it == kind).map(|(_, name)| name)
}

impl StreamState {
    /// The step to the views as they are now, if there is no more to do than that.
    pub(super) fn next_step(&mut self, kind: ResourceKind) -> Option<Outgoing> {
        let state = self.of(kind);
        if state.news.is_empty() || state.in_flight.is_some() || !state.requested {
            return None;
        }
        let base = state.held.all_of(state.wildcard).filter(|_| state.may_step(kind));
        let found = base.map(|base| self.step_from(kind, base, &state.news));
        let state = &mut self.types[kind as usize];
        match found {
            Some(Step::To(sent)) => {
                state.news.clear();
                state.held.step(&self.views, Some(sent.clone()));
                let nonce = self.next_nonce;
                self.next_nonce += 1;
                let (names, settled, forced) = Default::default();
                state.in_flight =
                    Some(InFlight { nonce, names, settled, whole: true, forced, views: None });
                state.last_nonce = nonce;
                let version = match self.protocol {
                    Protocol::Delta => self.views.revision().to_string(),
                    Protocol::Sotw => version_text(state.held.sum()),
                };
                let resources = Resources(Contents::Whole(vec![sent]));
                Some(Outgoing { kind, nonce, version, resources, removed: Vec::new() })
            }
            Some(Step::Nothing) => {
                state.news.clear();
                state.held.step(&self.views, None);
                None
            }
            Some(Step::None) | None => {
                state.list_news(kind);
                None
            }
        }
    }

    fn step_from(&self, kind: ResourceKind, base: &Views, lists: &[Arc<Changed>]) -> Step {
        let tables = [base.tables(kind), self.views.tables(kind)];
        let whole = self.parcels.step(tables, || {
            let names: BTreeSet<&Arc<str>> = news(lists, kind).collect();
            differences(kind, base, &self.views, names)
        });
        match whole {
            None => Step::None,
            Some(whole) if whole.resources.is_empty() => Step::Nothing,
            Some(whole) => Step::To(whole),
        }
    }
}

/// How views follow from others.
enum Step {
    To(Arc<crate::whole::Whole>),
    /// They are the same.
    Nothing,
    /// Names come or go.
    None,
}

/// What `to` has in place of `from` under `names`, sorted. `None` if one of the names comes or
/// goes, if not every proxy that sees the views sees it, or if more differs than these names: what came
/// before the proxy asked for it is no news any more, and is not held either.
fn differences(
    kind: ResourceKind,
    from: &Views,
    to: &Views,
    names: BTreeSet<&Arc<str>>,
) -> Option<Vec<Arc<Compiled>>> {
    let mut differing = Vec::new();
    let mut sum = from.sum(kind);
    for name in names {
        match (from.get(kind, name), to.get(kind, name)) {
            (None, None) => {}
            (Some(old), Some(new)) if old.pod.is_none() && new.pod.is_none() => {
                if old.resource.version() != new.resource.version() {
                    sum = sum.wrapping_sub(share(old)).wrapping_add(share(new));
                    differing.push(new.clone());
                }
            }
            (Some(_), Some(_)) | (Some(_), None) | (None, Some(_)) => return None,
        }
    }
    (sum == to.sum(kind)).then_some(differing)
}
