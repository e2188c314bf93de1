//! Our own `google.protobuf.Any`, whose value is shared by reference count.

use bytes::Bytes;
use prost::{DecodeError, Message, Name};

#[cfg(test)]
mod tests;

/// A serialised message together with the URL of its type.
///
/// Wire-compatible with `google.protobuf.Any`; a clone shares the value.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Any {
    /// `type.googleapis.com/` and the full name of the message.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// Why an [`Any`] could not be read as a given type.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The value is of another type.
    #[error("expected a `{expected}`, found `{found}`")]
    OtherType {
        /// Type URL that was asked for.
        expected: String,
        /// Type URL of the value.
        found: String,
    },
    /// The value is not an encoding of its type.
    #[error("failed to decode a `{type_url}`")]
    Broken {
        /// Type URL of the value.
        type_url: String,
        /// What the decoder met.
        source: DecodeError,
    },
}

impl Any {
    /// Encodes `message` under its own type URL.
    pub fn pack<M: Message + Name>(message: &M) -> Self {
        Self { type_url: M::type_url(), value: message.encode_to_vec().into() }
    }

    /// Decodes the value, which must be of type `M`. What precedes the last `/` of the URL is
    /// not looked at, as in every protobuf implementation.
    pub fn unpack<M: Message + Name + Default>(&self) -> Result<M, UnpackError> {
        if self.message_name() != M::full_name() {
            let (expected, found) = (M::type_url(), self.type_url.clone());
            return Err(UnpackError::OtherType { expected, found });
        }
        M::decode(self.value.clone())
            .map_err(|source| UnpackError::Broken { type_url: self.type_url.clone(), source })
    }

    /// The full name of the message: what follows the last `/` of the type URL.
    pub fn message_name(&self) -> &str {
        self.type_url.rsplit('/').next().unwrap_or_default()
    }
}

impl Name for Any {
    const NAME: &'static str = "Any";
    const PACKAGE: &'static str = "google.protobuf";

    fn type_url() -> String {
        "type.googleapis.com/google.protobuf.Any".to_owned()
    }
}
