//! Parses any bytes as a packet, in any pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfplane_fuzz::packet::any_packet(data));
