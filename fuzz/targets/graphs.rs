//! Who calls whom: call graphs, and reports of calls.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::graphs(data));
