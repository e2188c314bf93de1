//! Scalars with a text form of their own: durations, times, bytes, and numbers or names.

mod bytes;
mod duration;
mod timestamp;

use serde::{Deserialize, Serialize};

pub use bytes::Bytes;
pub use duration::Duration;
pub use timestamp::Timestamp;

/// A number or a name, such as a `targetPort`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum IntOrString {
    Int(i64),
    String(String),
}
