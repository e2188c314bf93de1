//! The fences of a namespace, found by the labels of a workload.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use model::{Labels, Name};

use super::FenceRecord;

type Pair = (Arc<str>, Arc<str>);

/// Fences by name. A selector is filed under the one of its pairs that fewest others have, so that a
/// workload looks at few fences.
#[derive(Clone, Debug, Default)]
pub(crate) struct FenceTable {
    records: BTreeMap<Name, Arc<FenceRecord>>,
    by_pair: BTreeMap<Pair, Vec<Name>>,
}

impl FenceTable {
    /// The same with some fences changed (`None`: gone). `None` when none is left.
    pub(crate) fn with(
        old: Option<&Self>,
        changed: impl IntoIterator<Item = (Name, Option<FenceRecord>)>,
    ) -> Option<Self> {
        let mut records = old.map(|it| it.records.clone()).unwrap_or_default();
        for (name, record) in changed {
            match record {
                Some(record) => records.insert(name, Arc::new(record)),
                None => records.remove(&name),
            };
        }
        if records.is_empty() {
            return None;
        }
        let mut counts: HashMap<&Pair, usize> = HashMap::new();
        let in_effect = || {
            let records = records.iter().filter(|(_, record)| record.enabled);
            records.filter_map(|(name, record)| Some((name, record.selector.as_ref()?)))
        };
        for pair in in_effect().flat_map(|(_, selector)| selector.pairs()) {
            *counts.entry(pair).or_default() += 1;
        }
        let mut by_pair: BTreeMap<Pair, Vec<Name>> = BTreeMap::new();
        for (name, selector) in in_effect() {
            if let Some(rarest) = selector.pairs().iter().min_by_key(|pair| counts[pair]) {
                by_pair.entry(rarest.clone()).or_default().push(name.clone());
            }
        }
        Some(Self { records, by_pair })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&FenceRecord> {
        self.records.get(name).map(|record| &**record)
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &FenceRecord> {
        self.records.values().map(|record| &**record)
    }

    /// Those in effect that select these labels, by name.
    pub(crate) fn around(&self, labels: &Labels) -> Vec<&FenceRecord> {
        let names = labels.pairs().iter().filter_map(|pair| self.by_pair.get(pair)).flatten();
        let records = names.filter_map(|name| self.records.get(name));
        let selects = |record: &&Arc<FenceRecord>| {
            record.selector.as_ref().is_some_and(|selector| selector.selects(labels))
        };
        let mut found: Vec<&FenceRecord> = records.filter(selects).map(|it| &**it).collect();
        found.sort_by(|a, b| a.key.name.cmp(&b.key.name));
        found
    }
}
