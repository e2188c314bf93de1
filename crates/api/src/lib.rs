//! The objects that people write: their types, how they are read, and what is checked.
//!
//! - `parse_documents` turns any bytes into objects and findings. It never panics, and one bad
//!   document never hides its neighbours.
//! - `validate` judges one object by itself.
//! - Pure: no I/O, clock or randomness. Equal bytes give equal objects and findings.
//! - Not here: how objects refer to each other (`snapshot`), what Envoy is told (`compile`).

pub mod codes;
pub mod istio;
pub mod k8s;
pub mod meta;
pub mod slime;
pub mod tls;

mod de;
mod grpc_status;
mod locate;
mod object;
mod parse;
pub mod saved;
mod scalar;
mod validate;
mod yaml;

use serde::{Deserialize, Deserializer};

pub use grpc_status::grpc_status;
pub use locate::find_lines;
pub use object::{Object, Spec};
pub use parse::{Piece, nearest, parse_documents, parse_mesh_config, parse_piece, split_file};
pub use scalar::{Bytes, Duration, IntOrString, Timestamp};
pub use validate::validate;

/// For `skip_serializing_if`: absent and default mean the same in these formats.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// For `deserialize_with`: what is `null`, as is that of which every line is commented out, is absent.
pub fn null_is_absent<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
