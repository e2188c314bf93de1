//! Which keys the RequestAuthentications ask for, and by which object.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::{Object, Spec};
use model::{Kind, ObjectKey};
use snapshot::{Change, KeySource};

/// How long a fetch may take where no rule says.
const DEFAULT_LIMIT: Duration = Duration::from_secs(5);

/// The sources by the objects that name them.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    objects: BTreeMap<ObjectKey, BTreeMap<KeySource, Duration>>,
}

/// One source: how long its fetch may take, and who asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) limit: Duration,
    pub(crate) objects: BTreeSet<ObjectKey>,
}

impl Wanted {
    /// Takes note of a change. Says whether other keys are wanted now.
    pub(crate) fn note(&mut self, change: &Change) -> bool {
        match change {
            Change::Put(object) => self.put(object),
            Change::Delete(key) => self.objects.remove(key).is_some(),
            Change::KeySet(..)
            | Change::Learned(..)
            | Change::FenceSwitched(..)
            | Change::Time(_) => false,
        }
    }

    fn put(&mut self, object: &Object) -> bool {
        let Spec::RequestAuthentication(policy) = &object.spec else { return false };
        debug_assert_eq!(object.key.kind, Kind::RequestAuthentication);
        let limit = |limit: Option<api::Duration>| limit.map_or(DEFAULT_LIMIT, |it| it.to_std());
        let sources: BTreeMap<KeySource, Duration> = policy
            .jwt_rules
            .iter()
            .filter_map(|rule| Some((KeySource::of(rule)?, limit(rule.timeout))))
            .collect();
        match sources.is_empty() {
            true => self.objects.remove(&object.key).is_some(),
            false => {
                let before = self.objects.insert(object.key.clone(), sources.clone());
                before != Some(sources)
            }
        }
    }

    /// Every source that is wanted now. The most patient rule decides how long it may take.
    pub(crate) fn sources(&self) -> BTreeMap<KeySource, Want> {
        let mut out: BTreeMap<KeySource, Want> = BTreeMap::new();
        for (object, sources) in &self.objects {
            for (source, limit) in sources {
                let new = || Want { limit: *limit, objects: BTreeSet::new() };
                let want = out.entry(source.clone()).or_insert_with(new);
                want.limit = want.limit.max(*limit);
                want.objects.insert(object.clone());
            }
        }
        out
    }
}
