//! What many streams are sent alike, made ready once for all of them.
//!
//! - The key is what is sent: the resources themselves, or the tables between which a proxy steps.
//!   What is remembered keeps these alive, so that an address in a key means one thing.
//! - The shelf is emptied with each round: what the last one led to stays until then, for those that
//!   come late. Before the first, each stream makes its responses alone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use compile::Compiled;

use crate::{Count, Table, whole::Whole};

/// Responses of more bytes are not copied together: what they consist of is shared already.
const MAX_JOINED: usize = 1 << 20;

/// The shelf. One for all streams.
#[derive(Debug, Default)]
pub(crate) struct Parcels {
    made: Mutex<Option<Made>>,
    /// How often something was made.
    pub(crate) count: Count,
}

#[derive(Debug, Default)]
struct Made {
    steps: HashMap<[Addresses; 2], Step>,
    joined: HashMap<Addresses, Arc<Whole>>,
}

type Addresses = Vec<usize>;

/// From some tables to others.
#[derive(Debug)]
struct Step {
    /// `None` where it takes more than new versions of the same names.
    whole: Option<Arc<Whole>>,
    /// These are what the key consists of.
    _tables: [Vec<Arc<Table>>; 2],
}

impl Parcels {
    /// From now on things are remembered, but nothing of before.
    pub(crate) fn open(&self) {
        *self.lock() = Some(Made::default());
    }

    /// What a proxy that holds all of the first tables is sent to hold all of the second ones.
    pub(crate) fn step(
        &self,
        tables: [Vec<Arc<Table>>; 2],
        make: impl FnOnce() -> Option<Vec<Arc<Compiled>>>,
    ) -> Option<Arc<Whole>> {
        let mut made = self.lock();
        let Some(known) = &mut *made else {
            drop(made);
            return make().map(|resources| self.wrap(resources));
        };
        let key = [addresses(&tables[0]), addresses(&tables[1])];
        if let Some(step) = known.steps.get(&key) {
            return step.whole.clone();
        }
        let whole = make().map(|resources| self.joined(known, resources));
        known.steps.insert(key, Step { whole: whole.clone(), _tables: tables });
        whole
    }

    /// These resources as one, if that is worth it.
    pub(crate) fn join(&self, resources: &[Arc<Compiled>]) -> Option<Arc<Whole>> {
        let mut made = self.lock();
        let known = made.as_mut()?;
        let bytes: usize = resources.iter().map(|it| it.resource.body().len()).sum();
        (bytes > 0 && bytes <= MAX_JOINED).then(|| self.joined(known, resources.to_vec()))
    }

    fn joined(&self, known: &mut Made, resources: Vec<Arc<Compiled>>) -> Arc<Whole> {
        let key = addresses(&resources);
        known.joined.entry(key).or_insert_with(|| self.wrap(resources)).clone()
    }

    fn wrap(&self, resources: Vec<Arc<Compiled>>) -> Arc<Whole> {
        self.count.inc();
        Arc::new(Whole::for_few(resources))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn addresses<T>(of: &[Arc<T>]) -> Addresses {
    of.iter().map(|one| Arc::as_ptr(one).addr()).collect()
}
