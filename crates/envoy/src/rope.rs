//! Bytes in a few shared pieces, so that a header can go before a body without copying it.

use std::sync::Arc;

use bytes::Bytes;

/// A short list of shared byte strings that count as one. A clone shares everything.
///
/// Invariant: `len` is the sum of the lengths of the chunks, none of which is empty.
#[derive(Clone, Debug, Default)]
pub struct Rope {
    chunks: Arc<[Bytes]>,
    len: usize,
}

impl Rope {
    /// The pieces, in order. None is empty.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Length of all pieces together, in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is not a single byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A new rope of `header` and then the chunks of `self`, which are shared.
    pub fn with_header(&self, header: Bytes) -> Self {
        std::iter::once(header).chain(self.chunks.iter().cloned()).collect()
    }

    /// All bytes in one piece; copies only when there are several.
    pub fn to_bytes(&self) -> Bytes {
        match &self.chunks[..] {
            [] => Bytes::new(),
            [only] => only.clone(),
            several => several.concat().into(),
        }
    }
}

impl FromIterator<Bytes> for Rope {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        let chunks: Arc<[Bytes]> = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        let len = chunks.iter().map(Bytes::len).sum();
        Self { chunks, len }
    }
}

impl From<Bytes> for Rope {
    fn from(bytes: Bytes) -> Self {
        std::iter::once(bytes).collect()
    }
}

impl From<Vec<u8>> for Rope {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

/// Ropes are equal when their bytes are, however they are cut.
impl PartialEq for Rope {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && (self.chunks == other.chunks
                || self.chunks.iter().flatten().eq(other.chunks.iter().flatten()))
    }
}

impl Eq for Rope {}
