//! Sends a sealed node recorded frames with any edits: none is accepted that its peer did not send.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfplane_fuzz::seal::attack(data));
