//! Reads any bytes as a frame with CARP's advert, and writes it again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfplane_fuzz::adverts::any_carp(data));
