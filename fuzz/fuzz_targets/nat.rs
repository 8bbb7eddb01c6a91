//! Sends any packets through a lane that translates, and their facts through a second lane.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfplane_fuzz::nat::any_translation(data));
