//! Signing requests and clients' certificates: bytes from anybody who can connect.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::certificates(data));
