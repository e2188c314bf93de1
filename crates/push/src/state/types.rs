//! One type's subscription, holdings and open response.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::Compiled;

/// What the proxy holds under one name.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// What was acknowledged, with what it refers to.
    pub acknowledged: Option<Arc<Compiled>>,
    /// Version of what was acknowledged; set without a resource when a reconnecting proxy names a
    /// version that is no longer current.
    pub version: Option<u64>,
    /// Sent and not yet answered; `Some(None)` is a removal.
    pub sent: Option<Option<Arc<Compiled>>>,
}

impl Held {
    /// Whether the proxy holds something that nothing is known of.
    pub(super) fn is_unknown(&self) -> bool {
        self.acknowledged.is_none() && self.version.is_some()
    }

    /// Everything that the proxy may be using under this name.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Arc<Compiled>> {
        self.acknowledged.iter().chain(self.sent.iter().flatten())
    }
}

/// A version that the proxy refused.
#[derive(Clone, Debug)]
pub struct Rejection {
    pub version: u64,
    /// Envoy's words.
    pub message: String,
}

/// A response that is not answered yet.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub nonce: u64,
    pub names: Vec<Arc<str>>,
}

/// One type of one stream.
#[derive(Debug, Default)]
pub struct TypeState {
    /// The proxy has asked for the type at all.
    pub(super) requested: bool,
    pub(super) wildcard: bool,
    pub(super) names: BTreeSet<Arc<str>>,
    pub(super) held: BTreeMap<Arc<str>, Held>,
    /// Names to look at again.
    pub(super) dirty: BTreeSet<Arc<str>>,
    /// Names to send even if the proxy holds them already.
    pub(super) force: BTreeSet<Arc<str>>,
    pub(super) in_flight: Option<InFlight>,
    pub(super) rejected: BTreeMap<Arc<str>, Rejection>,
    /// Something was answered: only the very first answer may be empty.
    pub(super) answered: bool,
    pub(super) last_nonce: u64,
}

impl TypeState {
    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// The proxy holds exactly this version, and nothing else is on its way.
    pub(super) fn settled(&self, name: &str, version: u64) -> bool {
        self.held.get(name).is_some_and(|it| it.sent.is_none() && it.version == Some(version))
    }

    /// The open response was accepted for these names.
    pub(super) fn acknowledge(&mut self, names: impl IntoIterator<Item = Arc<str>>) {
        for name in names {
            self.rejected.remove(&name);
            let Some(held) = self.held.get_mut(&name) else { continue };
            match held.sent.take() {
                Some(Some(resource)) => {
                    held.version = Some(resource.resource.version());
                    held.acknowledged = Some(resource);
                }
                Some(None) => {
                    self.held.remove(&name);
                }
                None => {}
            }
        }
    }

    /// The open response was refused for these names: the proxy goes on with what it had.
    pub(super) fn reject(&mut self, names: impl IntoIterator<Item = Arc<str>>, message: &str) {
        for name in names {
            let Some(held) = self.held.get_mut(&name) else { continue };
            if let Some(Some(resource)) = held.sent.take() {
                let version = resource.resource.version();
                let rejection = Rejection { version, message: message.to_owned() };
                self.rejected.insert(name.clone(), rejection);
            }
            if held.version.is_none() {
                self.held.remove(&name);
            }
        }
    }
}
