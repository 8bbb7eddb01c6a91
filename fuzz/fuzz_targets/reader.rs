//! Reads any bytes as a pfsync frame.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfplane_fuzz::codec::read_all(data));
