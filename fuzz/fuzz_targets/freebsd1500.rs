//! Reads any bytes as the records of a region of this profile, writes them, and reads them again.
#![no_main]

use pfsync::Profile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfplane_fuzz::codec::round_trip(Profile::FreeBsd1500, data));
