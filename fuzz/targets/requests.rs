//! Streams of discovery requests: any bytes are messages or an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::requests(data));
