//! A response on its way out, and the pieces in which HTTP/2 is given it.
//!
//! Small chunks are joined only when their piece is due, so the copies of a slow client are at
//! most one piece, however large the response.

use std::{collections::VecDeque, io::IoSlice, iter, mem, sync::Arc, vec};

use bytes::{Buf, Bytes, BytesMut};

use super::Pipe;

/// Chunks of at least this many bytes are never copied.
const SHARED_LEN: usize = 4 << 10;
/// Longest copy of joined chunks: one HTTP/2 frame.
const JOINED_LEN: usize = 16 << 10;
/// How much HTTP/2 is given at a time.
const PIECE_LEN: usize = 128 << 10;

/// A whole gRPC message of which a part may have been given away.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The head of the message, later the rest of a chunk that was cut.
    front: Option<Bytes>,
    rest: vec::IntoIter<Bytes>,
    len: usize,
}

impl Outgoing {
    pub(crate) fn new(head: Bytes, mut chunks: Vec<Bytes>, chunks_len: usize) -> Self {
        chunks.retain(|chunk| !chunk.is_empty());
        Self { len: head.len() + chunks_len, front: Some(head), rest: chunks.into_iter() }
    }

    /// Bytes that have not been given away.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_done(&self) -> bool {
        self.len == 0
    }

    /// All chunks that have not been given away, as they are.
    pub(crate) fn into_chunks(self) -> Vec<Bytes> {
        self.front.into_iter().chain(self.rest).collect()
    }

    /// The next chunks, empty only when all is done.
    pub(crate) fn next_piece(&mut self) -> VecDeque<Bytes> {
        let mut room = PIECE_LEN.min(self.len);
        self.len -= room;
        let mut piece = VecDeque::new();
        let (mut run, mut run_len) = (Vec::new(), 0);
        while room > 0 {
            let Some(mut chunk) = self.front.take().or_else(|| self.rest.next()) else { break };
            if chunk.len() > room {
                self.front = Some(chunk.split_off(room));
            }
            room -= chunk.len();
            if chunk.len() >= SHARED_LEN {
                piece.extend(join(mem::take(&mut run), mem::take(&mut run_len)));
                piece.push_back(chunk);
                continue;
            }
            if run_len + chunk.len() > JOINED_LEN {
                piece.extend(join(mem::take(&mut run), mem::take(&mut run_len)));
            }
            run_len += chunk.len();
            run.push(chunk);
        }
        piece.extend(join(run, run_len));
        piece
    }
}

/// The same bytes with small chunks joined, for what many streams are sent: none of them has to
/// join these then. Large chunks are shared.
pub fn join_small(chunks: Vec<Bytes>) -> Vec<Bytes> {
    let len = chunks.iter().map(Bytes::len).sum();
    let mut all = Outgoing { front: None, rest: chunks.into_iter(), len };
    iter::from_fn(|| Some(all.next_piece()).filter(|piece| !piece.is_empty())).flatten().collect()
}

/// Makes one chunk of a run of small ones.
fn join(mut run: Vec<Bytes>, len: usize) -> Option<Bytes> {
    if run.len() < 2 {
        return run.pop();
    }
    let mut joined = BytesMut::with_capacity(len);
    run.iter().for_each(|chunk| joined.extend_from_slice(chunk));
    Some(joined.freeze())
}

/// What HTTP/2 holds of a response. Its bytes are in flight until they are written or dropped.
#[derive(Debug)]
pub(crate) struct Piece {
    chunks: VecDeque<Bytes>,
    remaining: usize,
    /// 1 in the last piece of a response.
    ends: usize,
    pipe: Arc<Pipe>,
}

impl Piece {
    pub(super) fn new(chunks: VecDeque<Bytes>, ends: usize, pipe: Arc<Pipe>) -> Self {
        Self { remaining: chunks.iter().map(Bytes::len).sum(), chunks, ends, pipe }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| &chunk[..])
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        iter::zip(slices, &self.chunks).map(|(slice, chunk)| *slice = IoSlice::new(chunk)).count()
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining, "advanced beyond the end");
        self.remaining -= count;
        let mut left = count;
        while let Some(front) = self.chunks.front_mut()
            && left > 0
        {
            if left < front.len() {
                front.advance(left);
                break;
            }
            left -= front.len();
            self.chunks.pop_front();
        }
        let ends = if self.remaining == 0 { mem::take(&mut self.ends) } else { 0 };
        self.pipe.release(count, ends);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if self.remaining > 0 || self.ends > 0 {
            self.pipe.release(self.remaining, self.ends);
        }
    }
}
