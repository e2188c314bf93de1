//! Remembers what inputs compiled to, across facets: equal inputs have one result.

use std::{
    hash::Hash,
    sync::{Arc, Weak},
};

use compile::{
    ClusterForm, Compiled, CompiledVirtualHost, RouteInput, VirtualHostInput,
    cluster::ClusterInput,
    endpoint::EndpointInput,
    gateway::{GatewayHostInput, GatewayListenerInput, GatewayRouteInput},
    outbound::ListenerInput,
    secret::{CompiledSecret, SecretInput},
};
use model::{Diagnostic, Map, Shared};

use crate::whole::Wholes;

/// Below this size it is not worth the time to look for what is gone.
const MIN_SWEEP: usize = 256;

/// Results by input, as long as somebody holds them.
#[derive(Debug)]
pub(crate) struct Memo<I, O> {
    known: Map<I, Weak<O>>,
    /// Size at which the results that nobody holds any more are looked for.
    sweep_at: usize,
}

impl<I, O> Default for Memo<I, O> {
    fn default() -> Self {
        Self { known: Map::default(), sweep_at: MIN_SWEEP }
    }
}

impl<I: Clone + Eq + Hash, O> Memo<I, O> {
    /// The result of `input`; `compile` is called if nobody holds one.
    pub(crate) fn get_or_compile(&mut self, input: &I, compile: impl FnOnce(&I) -> O) -> Arc<O> {
        self.find(input).unwrap_or_else(|| self.keep(input.clone(), compile(input)))
    }

    /// The same, where there may be no result. That is not remembered.
    pub(crate) fn try_compile(
        &mut self,
        input: &I,
        compile: impl FnOnce(&I) -> Option<O>,
    ) -> Option<Arc<O>> {
        self.find(input).or_else(|| Some(self.keep(input.clone(), compile(input)?)))
    }

    fn find(&self, input: &I) -> Option<Arc<O>> {
        self.known.get(input).and_then(Weak::upgrade)
    }

    fn keep(&mut self, input: I, made: O) -> Arc<O> {
        let made = Arc::new(made);
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, result| result.strong_count() > 0);
            self.sweep_at = MIN_SWEEP.max(self.known.len() * 2);
        }
        self.known.insert(input, Arc::downgrade(&made));
        made
    }
}

/// One memory for each compile function.
#[derive(Debug, Default)]
pub(crate) struct Memos {
    pub clusters: Memo<(ClusterForm, ClusterInput), Compiled>,
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
