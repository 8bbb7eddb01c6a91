//! Sends any packets, facts and frames to a node with two lanes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfplane_fuzz::node::any_history(data));
