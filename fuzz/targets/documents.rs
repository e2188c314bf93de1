//! Files of objects: any bytes are read, and every finding says where it is.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::documents(data));
