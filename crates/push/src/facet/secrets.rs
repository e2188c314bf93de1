//! Kubernetes Secrets: one job for each name that was asked for.
//!
//! A Secret that can no longer be used leaves what it was before; one that is gone takes its
//! resource away, and an Envoy goes on with what it has.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use compile::secret::{CompiledSecret, compile_secret, select_secret};
use model::{Diagnostic, Namespace};

use super::{Job, Jobs, Made, Work};
use crate::{FacetView, ResourceKind};

#[derive(Clone, Debug)]
pub(super) struct Secrets {
    namespace: Namespace,
    /// What came of each name.
    outcomes: BTreeMap<Arc<str>, Arc<Result<CompiledSecret, Box<Diagnostic>>>>,
}

impl Secrets {
    pub(super) fn new(namespace: Namespace) -> Self {
        Self { namespace, outcomes: BTreeMap::new() }
    }

    /// What is wrong at this moment.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Diagnostic> {
        let now = SystemTime::now();
        self.outcomes.values().filter_map(move |outcome| match &**outcome {
            Ok(CompiledSecret { expiry: (end, finding), .. }) => (*end <= now).then_some(finding),
            Err(finding) => Some(finding),
        })
    }
}

impl Jobs for Secrets {
    fn run(&mut self, job: &Job, _view: &FacetView, work: &mut Work<'_>) -> Option<Made> {
        let Job::Secret(name) = job else { return None };
        let (outcome, made) = match select_secret(name, &self.namespace, work.reader) {
            Err(finding) => (Arc::new(Err(finding)), Some(Made::new())),
            Ok(input) => {
                let counters = work.counters;
                let outcome = work.memos.secrets.get_or_compile(&input, |input| {
                    counters.compiled.inc();
                    compile_secret(input)
                });
                let compiled = outcome.as_ref().as_ref().ok().map(|it| it.compiled.clone());
                (outcome, compiled.map(|it| vec![(ResourceKind::Secret, it)]))
            }
        };
        if let Err(finding) = &*outcome {
            tracing::warn!(secret = %name, %finding, "Secret is not served");
        }
        self.outcomes.insert(name.clone(), outcome);
        made
    }
}
