//! What valid objects mean: an independent judge finds nothing that Envoy would refuse.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::accepted(data));
