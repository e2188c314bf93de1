//! What valid objects mean: compiled for every kind of client, whatever they say.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::mesh(data));
