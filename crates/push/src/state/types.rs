//! One type's subscription, holdings and open response.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::Compiled;

use super::{
    aside::Aside,
    holdings::{Holdings, share_of},
    views::Views,
};
use crate::{ResourceKind, facet::Changed};

/// What the proxy holds under one name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// What was acknowledged, with what it refers to.
    pub acknowledged: Option<Arc<Compiled>>,
    /// Version of what was acknowledged; set without a resource when a reconnecting proxy names a
    /// version that is no longer current.
    pub version: Option<u64>,
    /// Sent and not yet answered; `Some(None)` is a removal.
    pub sent: Option<Option<Arc<Compiled>>>,
}

impl Held {
    /// Something acknowledged.
    pub(super) fn settled(resource: Arc<Compiled>) -> Self {
        let version = Some(resource.resource.version());
        Self { acknowledged: Some(resource), version, sent: None }
    }

    /// Something that a proxy came back with, of which no more is known than its version.
    pub(super) fn known(version: u64) -> Self {
        Self { version: Some(version), ..Self::default() }
    }

    /// Something on its way to a proxy that held nothing under this name.
    pub(super) fn sent(resource: Arc<Compiled>) -> Self {
        Self { sent: Some(Some(resource)), ..Self::default() }
    }

    /// Whether the proxy holds something that nothing is known of.
    pub(super) fn is_unknown(&self) -> bool {
        self.acknowledged.is_none() && self.version.is_some()
    }

    /// Everything that the proxy may be using under this name.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Arc<Compiled>> {
        self.acknowledged.iter().chain(self.sent.iter().flatten())
    }

    /// What it adds to the version of all of its type, once the proxy has taken what was sent.
    pub(super) fn share(&self, name: &str) -> u64 {
        let version = match &self.sent {
            Some(sent) => sent.as_ref().map(|resource| resource.resource.version()),
            None => self.version,
        };
        version.map_or(0, |version| share_of(name, version))
    }

    /// Whether the proxy uses it and goes on doing so.
    pub(super) fn is_live(&self) -> bool {
        self.version.is_some() && !matches!(self.sent, Some(None))
    }
}

/// A version that the proxy refused.
#[derive(Clone, Debug)]
pub(crate) struct Rejection {
    /// `None` for a removal.
    pub version: Option<u64>,
    /// Envoy's words.
    pub message: String,
    /// The response, when all of it was refused: nobody knows for which of its resources.
    pub(super) response: Option<u64>,
    /// It was sent for a reason, whatever the proxy had.
    forced: bool,
}

/// A response that is not answered yet.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub nonce: u64,
    pub names: Vec<Arc<str>>,
    /// What else was in it, or `None` for a removal, of which something else is known or sent since.
    pub settled: Vec<(Arc<str>, Option<Arc<Compiled>>)>,
    /// It is all that was asked for, and `names` does not list it.
    pub whole: bool,
    /// Those that were sent for a reason, whatever the proxy had.
    pub forced: BTreeSet<Arc<str>>,
    /// With it the proxy holds all of these and nothing else, if that is known.
    pub views: Option<Views>,
}

/// One type of one stream.
#[derive(Debug)]
pub(crate) struct TypeState {
    /// The proxy has asked for the type at all.
    pub(super) requested: bool,
    pub(super) wildcard: bool,
    pub(super) held: Holdings,
    /// Lists of names to look at, as the engine gave them: as long as the proxy holds all of its
    /// views, they are not copied into `dirty`.
    pub(super) news: Vec<Arc<Changed>>,
    /// Names to look at again.
    pub(super) dirty: BTreeSet<Arc<str>>,
    /// Names to send even if the proxy holds them already.
    pub(super) force: BTreeSet<Arc<str>>,
    /// Names to send before the proxy asks for them.
    pub(super) ahead: BTreeSet<Arc<str>>,
    /// Before the first request: whatever it names is to be sent.
    pub(super) force_all: bool,
    pub(super) in_flight: Option<InFlight>,
    /// Clusters: responses before that one which are not waited for. No name is in two.
    pub(super) aside: Vec<Aside>,
    pub(super) rejected: BTreeMap<Arc<str>, Rejection>,
    /// Resources that are held back, wholly or in part, with the clusters that do not exist.
    pub(super) held_back: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// What nothing defines any more and something still names; of assignments, with the version
    /// of the whole service's that their endpoints were compared with.
    pub(super) kept: BTreeMap<Arc<str>, u64>,
    /// SotW: the proxy came back with something that nothing is known of.
    pub(super) resumed: bool,
    /// Something was answered: only the very first answer may be empty.
    pub(super) answered: bool,
    pub(super) last_nonce: u64,
    /// SotW: hash of the list of names that was said last.
    pub(super) names_said: Option<u64>,
}

impl TypeState {
    pub(super) fn new(kind: ResourceKind) -> Self {
        Self {
            requested: false,
            wildcard: false,
            held: Holdings::new(kind),
            news: Vec::new(),
            dirty: BTreeSet::new(),
            force: BTreeSet::new(),
            ahead: BTreeSet::new(),
            force_all: false,
            in_flight: None,
            aside: Vec::new(),
            rejected: BTreeMap::new(),
            held_back: BTreeMap::new(),
            kept: BTreeMap::new(),
            resumed: false,
            answered: false,
            last_nonce: 0,
            names_said: None,
        }
    }

    /// The first request has come.
    pub(super) fn end_force_all(&mut self) {
        if std::mem::take(&mut self.force_all) {
            self.force.extend(self.held.all_named());
        }
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.held.is_named(name) || self.ahead.contains(name)
    }

    /// The proxy holds exactly this version, and nothing else is on its way.
    pub(super) fn settled(&self, name: &str, version: u64) -> bool {
        self.held.get(name).is_some_and(|it| it.sent.is_none() && it.version == Some(version))
    }

    /// The open response was accepted for these names.
    pub(super) fn acknowledge(&mut self, names: impl IntoIterator<Item = Arc<str>>) {
        for name in names {
            self.rejected.remove(&name);
            match self.held.get(&name).and_then(|held| held.sent) {
                Some(Some(resource)) => self.held.set(&name, Held::settled(resource)),
                Some(None) => self.held.remove(&name),
                None => {}
            }
        }
    }

    /// The open response was refused for these names: the proxy goes on with what it had.
    /// `response` is set when all of it was refused.
    pub(super) fn reject(&mut self, open: InFlight, message: &str, response: Option<u64>) {
        let InFlight { names, forced, .. } = open;
        // The bad one may be what the proxy no longer asks for: the others are tried without it.
        let again = response.is_some() && !names.iter().all(|name| self.held.contains(name));
        let response = self.join_refusals(&names, response);
        for name in names {
            let Some(mut held) = self.held.get(&name) else { continue };
            if let Some(sent) = held.sent.take() {
                let version = sent.map(|resource| resource.resource.version());
                let (message, forced) = (message.to_owned(), forced.contains(&name));
                let rejection = Rejection { version, message, response, forced };
                self.rejected.insert(name.clone(), rejection);
            }
            if held.version.is_none() && self.resumed {
                // SotW: it may have an older one, of which nothing is known.
                held.version = Some(0);
            }
            match held.version {
                Some(_) => self.held.set(&name, held),
                None => self.held.remove(&name),
            }
        }
        if again {
            self.lift(|rejection| rejection.response == response);
        }
    }

    /// What was refused together with one of these names before counts as refused together with
    /// all of them. Says by which response.
    fn join_refusals(&mut self, names: &[Arc<str>], response: Option<u64>) -> Option<u64> {
        let old = names.iter().filter_map(|name| self.rejected.get(name)?.response);
        let old: BTreeSet<u64> = old.collect();
        let joined = response.or(old.first().copied());
        for rejection in self.rejected.values_mut() {
            if rejection.response.is_some_and(|it| old.contains(&it)) {
                rejection.response = joined;
            }
        }
        joined
    }

    /// Takes back refusals: what was refused is to be sent again.
    pub(super) fn lift(&mut self, which: impl Fn(&Rejection) -> bool) {
        let lifted = self.rejected.extract_if(.., |_, rejection| which(rejection));
        let lifted: Vec<(Arc<str>, Rejection)> = lifted.collect();
        for (name, rejection) in lifted {
            if rejection.forced {
                self.force.insert(name.clone());
            }
            self.dirty.insert(name);
        }
    }

    /// Whether the proxy has refused this version, or with `None` the removal.
    pub(super) fn has_refused(&self, name: &str, version: Option<u64>) -> bool {
        self.rejected.get(name).is_some_and(|it| it.version == version)
    }

    /// Once the proxy has everything, what it holds is what `views` say: it need not be listed.
    /// `sent` are those of the response that it has just taken: what is in `news` came later.
    pub(super) fn compact(&mut self, views: &Views, sent: Option<&Views>) {
        let quiet = self.dirty.is_empty()
            && self.force.is_empty()
            && self.in_flight.is_none()
            && self.aside.is_empty()
            && self.rejected.is_empty()
            && self.held_back.is_empty();
        if !quiet || sent.is_some_and(|sent| self.held.rebase(sent, self.wildcard)) {
            return;
        }
        if self.news.is_empty() && !self.held.rebase(views, self.wildcard) {
            self.held.compact(views, self.wildcard);
        }
    }
}
