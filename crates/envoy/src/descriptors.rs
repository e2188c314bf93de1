//! The descriptors of every proto file that Envoy 1.40.0 is built with.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

static ENCODED: &[u8] = include_bytes!("../descriptors/envoy-1.40.0.fds.bin");

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // The bytes are part of the program, and every test that uses reflection reads them.
    DescriptorPool::decode(ENCODED).expect("the embedded descriptor set is valid")
});

/// The pool of all messages, for reflection. The first call takes about 0.1 s.
pub fn descriptors() -> &'static DescriptorPool {
    &POOL
}
