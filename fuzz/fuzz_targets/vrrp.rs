//! Reads any bytes as a frame with VRRP's advert, and writes it again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfplane_fuzz::adverts::any_vrrp(data));
