//! All resources of one type of a facet, made ready once for all streams that are sent all of them.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use compile::Compiled;
use xds::Protocol;

use crate::{
    ResourceKind, Table,
    memo::Memo,
    state::{share, share_of},
};

/// The resources of one type, sorted by name.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) resources: Vec<Arc<Compiled>>,
    /// Of the shares of all of them.
    pub(crate) sum: u64,
    /// Stands for their names, as [`sum_of_names`] says it.
    pub(crate) names: u64,
    /// Of their encoded messages.
    pub(crate) bytes: usize,
    /// The pods that some of them stand for, sorted.
    pods: Vec<IpAddr>,
    delta: OnceLock<Arc<[Bytes]>>,
    sotw: OnceLock<Arc<[Bytes]>>,
    /// Nobody has been sent it yet, and it may be that one stream alone is.
    is_new: AtomicBool,
}

impl Whole {
    pub(crate) fn new(resources: Vec<Arc<Compiled>>) -> Self {
        let sum = resources.iter().fold(0, |sum: u64, it| sum.wrapping_add(share(it)));
        let names = sum_of_names(resources.iter().map(|it| &**it.resource.name()));
        let mut pods: Vec<IpAddr> = resources.iter().filter_map(|it| it.pod).collect();
        pods.sort_unstable();
        let bytes = resources.iter().map(|it| it.resource.body().len()).sum();
        let (delta, sotw, is_new) = Default::default();
        Self { resources, sum, names, bytes, pods, delta, sotw, is_new }
    }

    /// The same for what may be sent once: the first stream shares the bytes of each resource, and
    /// they are copied together for the second.
    pub(crate) fn for_few(resources: Vec<Arc<Compiled>>) -> Self {
        Self { is_new: AtomicBool::new(true), ..Self::new(resources) }
    }

    /// Whether a proxy with these addresses is sent all of them: a pod is not sent the listener
    /// that stands for it.
    pub(crate) fn is_for(&self, own: &[IpAddr]) -> bool {
        own.iter().all(|address| self.pods.binary_search(address).is_err())
    }

    /// The bytes of all of them in a response. Small ones are copied together once, so that no stream
    /// has to.
    pub(crate) fn chunks(&self, protocol: Protocol) -> Vec<Bytes> {
        let (made, of): (_, fn(&Compiled) -> &envoy::Rope) = match protocol {
            Protocol::Delta => (&self.delta, |it| it.resource.delta_chunks()),
            Protocol::Sotw => (&self.sotw, |it| it.resource.sotw_chunks()),
        };
        let chunks = || self.resources.iter().flat_map(|it| of(it).chunks()).cloned().collect();
        match self.is_new.swap(false, Ordering::Relaxed) {
            true => chunks(),
            false => made.get_or_init(|| xds::join_small(chunks()).into()).to_vec(),
        }
    }
}

/// The wholes of all facets, as long as somebody holds them: classes that are sent the same share the
/// bytes that were joined for it.
#[derive(Debug, Default)]
pub(crate) struct Wholes(Mutex<Memo<(ResourceKind, usize, u64), Whole>>);

impl Wholes {
    /// All resources of a table; `sum` is of their shares, and so stands for what they are.
    pub(crate) fn of(&self, kind: ResourceKind, sum: u64, table: &Table) -> Arc<Whole> {
        // Two must not be made of the same: the bytes of each are joined.
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let make = |_: &_| Whole::new(table.values().cloned().collect());
        known.get_or_compile(&(kind, table.size(), sum), make)
    }
}

/// Stands for names in any order: the same ones, each as often, have the same sum.
pub(crate) fn sum_of_names<'n>(names: impl Iterator<Item = &'n str>) -> u64 {
    names.fold(0, |sum: u64, name| sum.wrapping_add(share_of(name, 0)))
}

/// Stands for all resources of several.
pub(crate) fn sum(wholes: &[Arc<Whole>]) -> u64 {
    wholes.iter().fold(0, |sum, whole| sum.wrapping_add(whole.sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_any_order_and_as_often() {
        let sum = |names: &[&str]| sum_of_names(names.iter().copied());
        assert_eq!(sum(&["a", "b"]), sum(&["b", "a"]));
        for others in [&["a", "a"][..], &["b", "b"], &["ab", ""], &["a"], &["a", "b", "b"]] {
            assert_ne!(sum(&["a", "b"]), sum(others), "{others:?}");
        }
    }

    #[test]
    fn nothing_is_no_chunk() {
        assert!(Whole::new(Vec::new()).chunks(Protocol::Delta).is_empty());
    }
}
