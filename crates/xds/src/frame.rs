//! Cuts the data of a gRPC stream into its messages.
//!
//! - A message that lies within one piece of data is a slice of it; only what is spread over
//!   several pieces is copied, into a buffer that leaves with the message. Nothing large stays.
//! - Memory follows what has arrived, and not the length that a peer announces, but for 64 KiB.
//! - Never panics: every input is messages, an error, or not enough yet.

use bytes::{Buf, Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// Length of what precedes each message: a flag and the length, big-endian.
pub(crate) const PREFIX_LEN: usize = 5;

/// More room than this, or than has arrived, is not made for a message that only announces itself.
const MAX_AHEAD: usize = 64 << 10;

/// Why the data is not a sequence of messages that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The peer compressed a message although we never offered it.
    #[error("message is compressed, and no compression was offered")]
    Compressed,
    /// The first byte of a message is neither 0 nor 1.
    #[error("message starts with the unknown flag {flag}")]
    UnknownFlag {
        /// The byte in question.
        flag: u8,
    },
    /// A message announces more bytes than are accepted.
    #[error("message of {length} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Announced length in bytes.
        length: usize,
        /// Largest accepted length in bytes.
        limit: usize,
    },
    /// The stream ended within a message.
    #[error("stream ended in the middle of a message")]
    Truncated,
}

/// Cuts a stream of data into gRPC messages: [`Frames::push`] data, then iterate until `None`.
///
/// After an error the position in the stream is lost and only `None` follows.
#[derive(Debug)]
pub struct Frames {
    limit: usize,
    /// Data that has not been looked at.
    input: Bytes,
    /// The beginning of a message, its prefix included, whose rest has not arrived.
    partial: BytesMut,
    failed: bool,
}

impl Frames {
    /// Accepts messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, input: Bytes::new(), partial: BytesMut::new(), failed: false }
    }

    /// Adds data and gives the messages that are now complete.
    pub fn push(&mut self, data: Bytes) -> &mut Self {
        if self.input.is_empty() {
            self.input = data;
        } else {
            // Only a caller that stopped iterating early comes here.
            self.input = [&self.input[..], &data[..]].concat().into();
        }
        self
    }

    /// Checks that the stream did not end within a message.
    pub fn finish(&self) -> Result<(), FrameError> {
        let whole = self.failed || (self.input.is_empty() && self.partial.is_empty());
        whole.then_some(()).ok_or(FrameError::Truncated)
    }

    /// Bytes of memory that are held for messages that are not complete.
    pub fn retained(&self) -> usize {
        self.partial.capacity() + self.input.len()
    }

    fn take_message(&mut self) -> Result<Option<Bytes>, FrameError> {
        if self.partial.is_empty() {
            if let Some(total) = self.total_len(&self.input)?
                && self.input.len() >= total
            {
                return Ok(Some(self.input.split_to(total).slice(PREFIX_LEN..)));
            }
            // Copied, so that a few bytes do not keep the read buffer of the connection.
            self.partial = BytesMut::from(&self.input[..]);
            self.input = Bytes::new();
            return Ok(None);
        }
        self.fill_partial(PREFIX_LEN);
        let Some(total) = self.total_len(&self.partial)? else { return Ok(None) };
        self.fill_partial(total);
        if self.partial.len() < total {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.partial).freeze().slice(PREFIX_LEN..)))
    }

    /// Moves input to the partial message until that has `len` bytes.
    fn fill_partial(&mut self, len: usize) {
        let missing = len.saturating_sub(self.partial.len());
        // Room for the rest of all but large messages at once; these double, as they arrive.
        self.partial.reserve(missing.min(self.partial.len().max(MAX_AHEAD)));
        let arrived = missing.min(self.input.len());
        self.partial.extend_from_slice(&self.input[..arrived]);
        self.input.advance(arrived);
    }

    /// Length with prefix of the message that `bytes` begin with, once the prefix is there.
    fn total_len(&self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(&[flag, ref length @ ..]) = bytes.first_chunk::<PREFIX_LEN>() else {
            return Ok(None);
        };
        match flag {
            0 => (),
            1 => return Err(FrameError::Compressed),
            flag => return Err(FrameError::UnknownFlag { flag }),
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(FrameError::TooLarge { length, limit: self.limit });
        }
        Ok(Some(length.saturating_add(PREFIX_LEN)))
    }
}

impl Iterator for Frames {
    type Item = Result<Bytes, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let message = self.take_message();
        if message.is_err() {
            self.failed = true;
            (self.input, self.partial) = (Bytes::new(), BytesMut::new());
        }
        message.transpose()
    }
}
