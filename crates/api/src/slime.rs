//! Types of Slime's API group.
//!
//! - JSON names are the camel case of the protobuf names, which are accepted too; numbers may be
//!   written as texts.

pub mod lazyload;
pub mod service_fence;
