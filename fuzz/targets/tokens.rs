//! Bearer tokens and the keys that they are checked with.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::tokens(data));
