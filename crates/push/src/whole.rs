//! All resources of one type of a facet, made ready once for all streams that are sent all of them.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use compile::Compiled;
use xds::Protocol;

use crate::state::share;

/// Chunks of at least this many bytes are shared, not copied.
const SHARED_LEN: usize = 4 << 10;
/// Longest copy of joined chunks.
const JOINED_LEN: usize = 64 << 10;

/// The resources of one type, sorted by name.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) resources: Vec<Arc<Compiled>>,
    /// Of the shares of all of them.
    pub(crate) sum: u64,
    /// Of their encoded messages.
    pub(crate) bytes: usize,
    /// The pods that some of them stand for, sorted.
    pods: Vec<IpAddr>,
    delta: OnceLock<Arc<[Bytes]>>,
    sotw: OnceLock<Arc<[Bytes]>>,
}

impl Whole {
    pub(crate) fn new(resources: Vec<Arc<Compiled>>) -> Self {
        let sum = resources.iter().fold(0, |sum: u64, it| sum.wrapping_add(share(it)));
        let mut pods: Vec<IpAddr> = resources.iter().filter_map(|it| it.pod).collect();
        pods.sort_unstable();
        let bytes = resources.iter().map(|it| it.resource.body().len()).sum();
        Self { resources, sum, bytes, pods, delta: OnceLock::new(), sotw: OnceLock::new() }
    }

    /// Whether a proxy with these addresses is sent all of them: a pod is not sent the listener
    /// that stands for it.
    pub(crate) fn is_for(&self, own: &[IpAddr]) -> bool {
        own.iter().all(|address| self.pods.binary_search(address).is_err())
    }

    /// The bytes of all of them in a response. Small ones are copied together on the first call,
    /// so that no stream has to.
    pub(crate) fn chunks(&self, protocol: Protocol) -> &Arc<[Bytes]> {
        let (made, of): (_, fn(&Compiled) -> &envoy::Rope) = match protocol {
            Protocol::Delta => (&self.delta, |it| it.resource.delta_chunks()),
            Protocol::Sotw => (&self.sotw, |it| it.resource.sotw_chunks()),
        };
        made.get_or_init(|| join(self.resources.iter().flat_map(|it| of(it).chunks())).into())
    }
}

/// The same bytes in fewer pieces.
fn join<'c>(chunks: impl Iterator<Item = &'c Bytes>) -> Vec<Bytes> {
    let mut joined = Vec::new();
    let (mut run, mut run_len) = (Vec::new(), 0);
    for chunk in chunks {
        let is_long = chunk.len() >= SHARED_LEN;
        if is_long || run_len + chunk.len() > JOINED_LEN {
            joined.extend(concat(&mut run));
            run_len = 0;
        }
        if is_long {
            joined.push(chunk.clone());
        } else {
            run_len += chunk.len();
            run.push(&chunk[..]);
        }
    }
    joined.extend(concat(&mut run));
    joined
}

fn concat(run: &mut Vec<&[u8]>) -> Option<Bytes> {
    let run = std::mem::take(run);
    (!run.is_empty()).then(|| run.concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_changes_no_byte_and_copies_nothing_long() {
        let sizes = [10, 20, SHARED_LEN, 30, JOINED_LEN * 2, 1, SHARED_LEN - 1, JOINED_LEN - 1, 5];
        let chunks: Vec<Bytes> = sizes
            .iter()
            .zip(1u8..)
            .map(|(size, number)| Bytes::from(vec![number; *size]))
            .collect();
        let joined = join(chunks.iter());
        assert_eq!(joined.concat(), chunks.concat());
        let shared = |chunk: &Bytes| joined.iter().any(|it| it.as_ptr() == chunk.as_ptr());
        for chunk in chunks.iter().filter(|it| it.len() >= SHARED_LEN) {
            assert!(shared(chunk), "{} bytes were copied", chunk.len());
        }
        assert!(joined.len() < chunks.len());
    }

    #[test]
    fn nothing_is_no_chunk() {
        assert!(join([].iter()).is_empty());
        assert!(Whole::new(Vec::new()).chunks(Protocol::Delta).is_empty());
    }
}
