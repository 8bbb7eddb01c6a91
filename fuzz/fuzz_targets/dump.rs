//! Reads any bytes as a capture file and prints it in every style.
#![no_main]

use std::ops::ControlFlow;

use pfplane_dump::capture;
use pfplane_dump::decoder::Decoder;
use pfplane_dump::filter::Filter;
use pfplane_dump::report::Output;
use pfplane_dump::styles::{Json, Lines, Stats, Verbose};

fn show(file: &[u8], output: &mut dyn Output) {
    let mut decoder = Decoder::new(Filter::default());
    let _ = capture::for_each_packet(file, |captured| {
        decoder.packet(&captured, output);
        ControlFlow::Continue(())
    });
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut shown = Vec::new();
    show(data, &mut Lines::new(&mut shown));
    show(data, &mut Verbose::new(&mut shown));
    show(data, &mut Json::new(&mut shown));
    let mut stats = Stats::default();
    show(data, &mut stats);
    stats.write(&mut shown).expect("memory");
    assert!(shown.iter().all(|&byte| byte == b'\n' || byte == b'\t' || (b' '..0x7f).contains(&byte)));
});
