//! Hellos as they travel: in the trailer behind an otherwise empty pfsync frame.

use pfplane::internals::election::{HELLO_BYTES, Hello};
use pfsync::{FrameReader, FrameWriter, Profile, TrailerOption, WriterOptions, option_kind};

/// Returns a hello's frame in the dialect that node number `node` speaks.
#[must_use]
pub(super) fn hello_frame(hello: &[u8; HELLO_BYTES], node: usize) -> Vec<u8> {
    let profile = Profile::ALL[node % Profile::ALL.len()];
    let mut frame = vec![0; 200];
    let mut writer =
        FrameWriter::new(&mut frame, profile, &WriterOptions::default()).expect("the frame fits");
    writer.push_option(&TrailerOption { kind: option_kind::ELECTION, value: hello }).expect("the hello fits");
    let length = writer.finish();
    frame.truncate(length);
    frame
}

/// Reads the hello of a frame, which has nothing else.
#[must_use]
pub(super) fn hello_of(frame: &[u8]) -> Option<Hello> {
    let mut reader = FrameReader::new(frame).expect("a frame");
    assert!(reader.next_region().is_none(), "a stock peer finds no message");
    let trailer = reader.trailer().expect("a whole trailer").expect("a trailer");
    let mut options = trailer.options().map(|option| option.expect("a whole option"));
    let hello = options.find(|option| option.kind == option_kind::ELECTION)?;
    Hello::parse(hello.value)
}
