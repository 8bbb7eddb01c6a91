//! Reads any bytes as a frame of version 2, 3 or 4.
#![no_main]

use pfplane_dump::legacy::LegacyFrame;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(frame) = LegacyFrame::parse(data) {
        assert_eq!(frame.records().count(), usize::from(frame.count));
    }
});
