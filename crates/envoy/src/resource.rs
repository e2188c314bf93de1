//! One xDS resource, encoded once and shared by every stream that is sent it.
//!
//! - The version is a hash of the encoding, so equal resources have equal versions after a
//!   restart and on every replica.
//! - The wire forms share the body; only a header of some hundred bytes is made for each.
//! - Not here: removals, nonces and the rest of a response (`xds`).

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use prost::{Message, Name};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    Any, Rope,
    wire::{field_len, put_bytes, put_length},
};

#[cfg(test)]
mod tests;

/// Tag of `resources` in both `DeltaDiscoveryResponse` and `DiscoveryResponse`.
const RESPONSE_RESOURCES: u32 = 2;
const RESOURCE_VERSION: u32 = 1;
const RESOURCE_ANY: u32 = 2;
const RESOURCE_NAME: u32 = 3;
const RESOURCE_ALIASES: u32 = 4;
const ANY_TYPE_URL: u32 = 1;
const ANY_VALUE: u32 = 2;

/// A named, versioned, encoded resource.
#[derive(Clone)]
pub struct Resource {
    name: Arc<str>,
    type_url: &'static str,
    version: u64,
    body: Rope,
    delta: OnceLock<Rope>,
    sotw: OnceLock<Rope>,
}

impl Resource {
    /// Takes an encoded message of the type `type_url`.
    pub fn new(name: impl Into<Arc<str>>, type_url: &'static str, body: Rope) -> Self {
        let mut hasher = Xxh3::new();
        for chunk in body.chunks() {
            hasher.update(chunk);
        }
        let (delta, sotw) = (OnceLock::new(), OnceLock::new());
        Self { name: name.into(), type_url, version: hasher.digest(), body, delta, sotw }
    }

    /// Encodes `message`, whose type must be `type_url`.
    pub fn from_message<M: Message + Name>(
        name: impl Into<Arc<str>>,
        type_url: &'static str,
        message: &M,
    ) -> Self {
        debug_assert_eq!(M::type_url(), type_url, "type URL of another message");
        Self::new(name, type_url, message.encode_to_vec().into())
    }

    /// The name it is subscribed to by; equals the name inside the message.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// One of [`crate::type_url`].
    pub fn type_url(&self) -> &'static str {
        self.type_url
    }

    /// xxh3-64 of the encoded message.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version as it goes over the wire: 16 lower-case hexadecimal digits.
    pub fn version_text(&self) -> String {
        format!("{:016x}", self.version)
    }

    /// The encoded message.
    pub fn body(&self) -> &Rope {
        &self.body
    }

    /// What an `Any` of the message consists of: type URL and value.
    pub fn to_any_parts(&self) -> (&'static str, Rope) {
        (self.type_url, self.body.clone())
    }

    /// The encoded message in one piece, for decoding.
    pub fn decode_bytes(&self) -> Bytes {
        self.body.to_bytes()
    }

    /// The message as an [`Any`].
    pub fn to_any(&self) -> Any {
        Any { type_url: self.type_url.to_owned(), value: self.decode_bytes() }
    }

    /// Field 2 of a `DeltaDiscoveryResponse`, tag included: a `Resource` with name, version and
    /// message. Made on the first call and shared from then on.
    pub fn delta_chunks(&self) -> &Rope {
        self.delta.get_or_init(|| {
            let any = self.any_header();
            let mut fields = Vec::with_capacity(self.name.len() + any.len() + 32);
            // The order of fields is free, and with the message last all else is one header.
            put_bytes(RESOURCE_NAME, self.name.as_bytes(), &mut fields);
            put_bytes(RESOURCE_VERSION, self.version_text().as_bytes(), &mut fields);
            put_length(RESOURCE_ANY, any.len() + self.body.len(), &mut fields);
            fields.extend_from_slice(&any);
            self.behind(&fields)
        })
    }

    /// The same resource as the answer to questions for other names: its `delta_chunks` have these
    /// as `aliases`.
    #[must_use]
    pub fn answering<'a>(&self, aliases: impl Iterator<Item = &'a str>) -> Self {
        let any = self.any_header();
        let mut fields = Vec::with_capacity(self.name.len() + any.len() + 64);
        put_bytes(RESOURCE_NAME, self.name.as_bytes(), &mut fields);
        put_bytes(RESOURCE_VERSION, self.version_text().as_bytes(), &mut fields);
        aliases.for_each(|alias| put_bytes(RESOURCE_ALIASES, alias.as_bytes(), &mut fields));
        put_length(RESOURCE_ANY, any.len() + self.body.len(), &mut fields);
        fields.extend_from_slice(&any);
        Self { delta: OnceLock::from(self.behind(&fields)), ..self.clone() }
    }

    /// Field 2 of a `DiscoveryResponse`, tag included: an `Any` of the message. Made on the first
    /// call and shared from then on.
    pub fn sotw_chunks(&self) -> &Rope {
        self.sotw.get_or_init(|| self.behind(&self.any_header()))
    }

    /// All of an encoded `Any` that comes before the message.
    fn any_header(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(self.type_url.len() + 16);
        put_bytes(ANY_TYPE_URL, self.type_url.as_bytes(), &mut header);
        put_length(ANY_VALUE, self.body.len(), &mut header);
        header
    }

    /// The body behind a header of field 2, its length and `fields`.
    fn behind(&self, fields: &[u8]) -> Rope {
        let total = fields.len() + self.body.len();
        let mut header = Vec::with_capacity(field_len(total) - self.body.len());
        put_length(RESPONSE_RESOURCES, total, &mut header);
        header.extend_from_slice(fields);
        self.body.with_header(header.into())
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.type_url.rsplit('.').next().unwrap_or_default();
        write!(formatter, "{kind}({}@{}, {} B)", self.name, self.version_text(), self.body.len())
    }
}

/// Resources are equal when type, name and encoded message are.
impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
            && self.type_url == other.type_url
            && self.name == other.name
            && self.body == other.body
    }
}

impl Eq for Resource {}
