//! Which secrets one stream has asked for, and which of them it may have.
//!
//! - Its own identity's: what it has proven, over a connection that nobody can read.
//! - Kubernetes': the same, and only those of its namespace that its own configuration names.
//! - A name that it may not have is answered as one that does not exist.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use compile::secret::is_kubernetes;
use envoy::type_url;
use xds::{Request, client::references};

use crate::{
    EngineHandle, FacetView, ResourceKind,
    caller::Caller,
    engine::StreamId,
    facet::SecretNames,
    own::{Lease, OwnSecrets, OwnView, is_own},
};

/// The part of Secrets' names that every resource holds that names one.
const MARK: &[u8] = b"kubernetes";

static NOTHING: LazyLock<Arc<FacetView>> = LazyLock::new(Arc::default);

pub(super) struct StreamSecrets {
    stream: StreamId,
    caller: Caller,
    own: Option<OwnSecrets>,
    /// The lease keeps what is seen alive.
    leased: Option<(Arc<Lease>, OwnView)>,
    asked: BTreeSet<Arc<str>>,
    granted: SecretNames,
}

/// What a request changes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// The first request for the stream's own secrets.
    pub(super) own: bool,
    pub(super) kubernetes: bool,
}

impl StreamSecrets {
    pub(super) fn new(stream: StreamId, caller: Caller, own: Option<OwnSecrets>) -> Self {
        let (leased, asked, granted) = (None, BTreeSet::new(), SecretNames::default());
        Self { stream, caller, own, leased, asked, granted }
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Notes what a request asks for.
    pub(super) fn on_request(&mut self, request: &Request) -> Asked {
        let nothing = Asked::default();
        if self.caller.holder().is_none() {
            return nothing;
        }
        let (come, gone) = match request {
            Request::Delta(it) if it.type_url == type_url::SECRET => {
                (&it.resource_names_subscribe, it.resource_names_unsubscribe.clone())
            }
            Request::Sotw(it) if it.type_url == type_url::SECRET => {
                let left = self
                    .asked
                    .iter()
                    .filter(|name| !it.resource_names.iter().any(|it| **it == ***name));
                (&it.resource_names, left.map(ToString::to_string).collect())
            }
            Request::Delta(_) | Request::Sotw(_) => return nothing,
        };
        let before = self.asked.clone();
        for name in &gone {
            self.asked.remove(name.as_str());
        }
        let kubernetes = come.iter().filter(|name| is_kubernetes(name));
        self.asked.extend(kubernetes.map(|name| Arc::from(name.as_str())));
        Asked {
            own: self.leased.is_none() && come.iter().any(|name| is_own(name)),
            kubernetes: self.asked != before,
        }
    }

    /// Gets the secrets of the identity, which are made if no other stream has them.
    pub(super) async fn lease(&mut self) {
        if let (Some(own), Some(identity)) = (&self.own, self.caller.holder()) {
            self.leased = Some(own.lease(identity).await);
        }
    }

    /// Ends when the secrets of the identity are others.
    pub(super) async fn renewed(&mut self) {
        if let Some((_, view)) = &mut self.leased
            && view.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// What the stream sees beside the engine's views.
    pub(super) fn view(&mut self) -> Arc<FacetView> {
        match &mut self.leased {
            Some((_, view)) => view.borrow_and_update().clone(),
            None => NOTHING.clone(),
        }
    }

    /// Whether something was asked for that was not granted.
    pub(super) fn is_denied(&self) -> bool {
        self.asked.len() > self.granted.len()
    }

    /// Grants what was asked for and is named by the stream's configuration. Whether that differs.
    pub(super) async fn grant(&mut self, views: &[Arc<FacetView>], engine: &EngineHandle) -> bool {
        let named = if self.asked.is_empty() { BTreeSet::new() } else { named(views) };
        let granted = self.asked.iter().filter(|name| named.contains(&***name)).cloned();
        let granted: BTreeSet<Arc<str>> = granted.collect();
        if granted == *self.granted {
            return false;
        }
        self.granted = granted.into();
        engine.secrets(self.stream, self.granted.clone()).await;
        true
    }
}

/// The Secrets that listeners and clusters name.
fn named(views: &[Arc<FacetView>]) -> BTreeSet<String> {
    let kinds = [ResourceKind::Listener, ResourceKind::Cluster];
    let resources = kinds.into_iter().flat_map(|kind| {
        let tables = views.iter().map(move |view| view.table(kind));
        tables.flat_map(|table| table.values()).map(move |it| (kind, it))
    });
    // Few resources name one, and decoding is dear.
    let naming = resources.filter_map(|(kind, compiled)| {
        let body = compiled.resource.decode_bytes();
        let has_mark = body.windows(MARK.len()).any(|part| part == MARK);
        has_mark.then(|| (kind, compiled.resource.to_any()))
    });
    let found = naming.flat_map(|(kind, resource)| references(kind.type_url(), &resource));
    let secrets = found.filter(|(url, _)| *url == type_url::SECRET).map(|(_, name)| name);
    secrets.filter(|name| is_kubernetes(name)).collect()
}
