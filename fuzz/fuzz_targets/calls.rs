//! Makes any sequence of C API calls on two engines with several lanes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfplane_fuzz::calls::any_calls(data));
