//! Makes any sequence of calls on two elections.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfplane_fuzz::election::any_election(data));
