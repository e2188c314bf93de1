//! Remembers what inputs compiled to, across facets: equal inputs have one result.

use std::{
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use compile::{
    ClusterForm, Compiled, CompiledVirtualHost, RouteInput, VirtualHostInput,
    cluster::{ClusterInput, SpecialCluster},
    endpoint::EndpointInput,
    gateway::{GatewayHostInput, GatewayListenerInput, GatewayRouteInput},
    outbound::ListenerInput,
    secret::{CompiledSecret, SecretInput},
};
use model::{Diagnostic, Map, Shared};

use crate::whole::Wholes;

/// Below this size it is not worth the time to look for what is gone.
const MIN_SWEEP: usize = 256;

/// Results by input, as long as somebody holds them. Nobody waits while one is made: of two that make
/// the same at once, both are given what the first has made.
#[derive(Debug)]
pub(crate) struct Memo<I, O>(Mutex<Known<I, O>>);

#[derive(Debug)]
struct Known<I, O> {
    results: Map<I, Weak<O>>,
    /// Size at which the results that nobody holds any more are looked for.
    sweep_at: usize,
}

impl<I, O> Default for Memo<I, O> {
    fn default() -> Self {
        Self(Mutex::new(Known { results: Map::default(), sweep_at: MIN_SWEEP }))
    }
}

impl<I: Clone + Eq + Hash, O> Memo<I, O> {
    /// The result of `input`; `compile` is called if nobody holds one.
    pub(crate) fn get_or_compile(&self, input: &I, compile: impl FnOnce(&I) -> O) -> Arc<O> {
        let found = self.known().find(input);
        found.unwrap_or_else(|| {
            let made = compile(input);
            self.known().keep(input, made)
        })
    }

    /// The same, where there may be no result. That is not remembered.
    pub(crate) fn try_compile(
        &self,
        input: &I,
        compile: impl FnOnce(&I) -> Option<O>,
    ) -> Option<Arc<O>> {
        let found = self.known().find(input);
        found.or_else(|| {
            let made = compile(input)?;
            Some(self.known().keep(input, made))
        })
    }

    fn known(&self) -> MutexGuard<'_, Known<I, O>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Clone + Eq + Hash, O> Known<I, O> {
    fn find(&self, input: &I) -> Option<Arc<O>> {
        self.results.get(input).and_then(Weak::upgrade)
    }

    fn keep(&mut self, input: &I, made: O) -> Arc<O> {
        if let Some(first) = self.find(input) {
            return first;
        }
        let made = Arc::new(made);
        if self.results.len() >= self.sweep_at {
            self.results.retain(|_, result| result.strong_count() > 0);
            self.sweep_at = MIN_SWEEP.max(self.results.len() * 2);
        }
        self.results.insert(input.clone(), Arc::downgrade(&made));
        made
    }
}

/// One memory for each compile function.
#[derive(Debug, Default)]
pub(crate) struct Memos {
    pub clusters: Memo<(ClusterForm, ClusterInput), Compiled>,
    pub special: Memo<SpecialCluster, Compiled>,
    pub assignments: Memo<(ClusterForm, EndpointInput), Compiled>,
    pub listeners: Memo<ListenerInput, Compiled>,
    pub routes: Memo<RouteInput, Compiled>,
    pub hosts: Memo<Shared<VirtualHostInput>, CompiledVirtualHost>,
    pub gateway_listeners: Memo<GatewayListenerInput, Compiled>,
    pub gateway_routes: Memo<GatewayRouteInput, Compiled>,
    pub gateway_hosts: Memo<Shared<GatewayHostInput>, CompiledVirtualHost>,
    pub wholes: Arc<Wholes>,
    pub secrets: Memo<SecretInput, Result<CompiledSecret, Box<Diagnostic>>>,
}
