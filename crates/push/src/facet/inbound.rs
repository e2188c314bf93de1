//! Towards the proxy's own application: one job, which never runs again, since its input is the
//! facet's key.

use std::sync::Arc;

use compile::inbound::{InboundInput, compile_inbound_clusters, compile_inbound_listeners};
use model::{Diagnostic, Shared};

use super::{Job, Jobs, Made, Work};
use crate::{FacetView, ResourceKind};

#[derive(Clone, Debug)]
pub(super) struct Inbound {
    input: Shared<InboundInput>,
}

impl Inbound {
    pub(super) fn new(input: Shared<InboundInput>) -> Self {
        Self { input }
    }

    pub(super) fn findings(&self) -> &[Diagnostic] {
        &self.input.findings
    }
}

impl Jobs for Inbound {
    fn run(&mut self, _job: &Job, _view: &FacetView, work: &mut Work<'_>) -> Option<Made> {
        let listeners = compile_inbound_listeners(&self.input).into_iter();
        let clusters = compile_inbound_clusters(&self.input).into_iter();
        let listeners = listeners.map(|it| (ResourceKind::Listener, it));
        let clusters = clusters.map(|it| (ResourceKind::Cluster, it));
        let made: Made = listeners.chain(clusters).map(|(kind, it)| (kind, Arc::new(it))).collect();
        made.iter().for_each(|_| work.counters.compiled.inc());
        Some(made)
    }
}
