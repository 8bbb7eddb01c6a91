//! Reads any bytes as the trailer behind a pfsync frame.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfplane_fuzz::codec::trailer(data));
