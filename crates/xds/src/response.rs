//! Turns a response into gRPC bytes: a header of its own, then chunks that all streams share.
//!
//! Protobuf leaves the order of fields free, so what differs from stream to stream (nonce) and is
//! small goes first, and the resources follow as they are.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use envoy::wire::put_bytes;

use crate::{Protocol, frame::PREFIX_LEN, pipe::Outgoing};

#[cfg(test)]
mod tests;

/// `system_version_info` in a `DeltaDiscoveryResponse`, `version_info` in a `DiscoveryResponse`.
const VERSION: u32 = 1;
/// `type_url` in both.
const TYPE_URL: u32 = 4;
/// `nonce` in both.
const NONCE: u32 = 5;
/// `removed_resources` in a `DeltaDiscoveryResponse`.
const REMOVED: u32 = 6;

/// What a server sends, of either protocol.
#[derive(Clone, Debug, Default)]
pub struct Response<'a> {
    /// Type of the resources.
    pub type_url: &'a str,
    /// Comes back in the ACK or NACK, as decimal text.
    pub nonce: u64,
    /// Delta: `system_version_info`, only informative. SotW: `version_info`, comes back in the ACK.
    pub version: &'a str,
    /// Encoded `resources` fields (tag 2) of the protocol's response, cut anywhere.
    pub chunks: Vec<Bytes>,
    /// Names of resources that are gone. Delta only: in SotW what is not there is gone.
    pub removed: Vec<Arc<str>>,
}

/// A response whose length does not fit into a gRPC prefix (4 GiB).
#[derive(Debug)]
pub(crate) struct TooLarge;

impl Response<'_> {
    pub(crate) fn encode(self, protocol: Protocol) -> Result<Outgoing, TooLarge> {
        let Self { type_url, nonce, version, chunks, removed } = self;
        let mut head = BytesMut::with_capacity(64 + type_url.len() + version.len());
        head.put_bytes(0, PREFIX_LEN);
        put_string(VERSION, version, &mut head);
        put_string(TYPE_URL, type_url, &mut head);
        put_bytes(NONCE, nonce.to_string().as_bytes(), &mut head);
        match protocol {
            // An empty name is still an entry, so these are not left out when empty.
            Protocol::Delta => {
                removed.iter().for_each(|name| put_bytes(REMOVED, name.as_bytes(), &mut head));
            }
            Protocol::Sotw => debug_assert!(removed.is_empty(), "SotW has no removals"),
        }
        let chunks_len: usize = chunks.iter().map(Bytes::len).sum();
        let length = u32::try_from(head.len() - PREFIX_LEN + chunks_len).map_err(|_| TooLarge)?;
        head[1..PREFIX_LEN].copy_from_slice(&length.to_be_bytes());
        Ok(Outgoing::new(head.freeze(), chunks, chunks_len))
    }
}

fn put_string(field: u32, value: &str, out: &mut BytesMut) {
    if !value.is_empty() {
        put_bytes(field, value.as_bytes(), out);
    }
}
