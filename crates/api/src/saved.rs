//! Objects as lines of JSON, to be read again by the same program.
//!
//! - Two lines each: what it is and where it was written, then its content.
//! - An object that is not the same after it was read is not taken: its hash tells.

use std::sync::Arc;

use model::{Kind, Location};
use serde::{Deserialize, Serialize};

use crate::{Object, Spec, meta::ObjectMeta};

#[derive(Serialize)]
struct Written<'a> {
    kind: &'static str,
    meta: &'a ObjectMeta,
    file: &'a str,
    line: u32,
    hash: u128,
}

#[derive(Deserialize)]
struct Read<'a> {
    kind: &'a str,
    meta: ObjectMeta,
    file: String,
    line: u32,
    hash: u128,
}

/// Adds the two lines of `object`.
pub fn write_lines(object: &Object, lines: &mut Vec<u8>) {
    let Object { key, meta, spec, location, hash } = object;
    let head = Written {
        kind: key.kind.as_str(),
        meta,
        file: &location.file,
        line: location.line,
        hash: *hash,
    };
    // Writing to memory cannot fail, and every map of these types has text keys.
    let _ = serde_json::to_writer(&mut *lines, &head);
    lines.push(b'\n');
    let _ = serde_json::to_writer(&mut *lines, spec);
    lines.push(b'\n');
}

/// Reads the two lines of an object. `None` if they are not those of an object as this program
/// understands it.
pub fn read_lines(head: &[u8], spec: &[u8]) -> Option<Object> {
    let Read { kind, meta, file, line, hash } = serde_json::from_slice(head).ok()?;
    let spec = Spec::from_json(Kind::parse(kind)?, spec).ok()?;
    let location = Location { file: Arc::from(file), line };
    Some(Object::new(meta, spec, location)).filter(|object| object.hash == hash)
}
