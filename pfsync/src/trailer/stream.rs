//! Options about the frames of a stream: which were received, which are missing, which were repaired.
//!
//! ```text
//! TOOK     epoch (8) | flow | lane | 0 (2) | last number received (8) | frames lost so far (4)
//! LOST     epoch (8) | flow | lane | 0 (2) | first missing number (8) | how many (4)
//! MENDED   first number (8) | how many (4) | flags (4)
//! ```
//!
//! TOOK and LOST name a stream of the node that they are sent to. MENDED is about the stream of its own frame.

use super::{TrailerFields, TrailerOption, option_kind};

/// Names a stream: the frames that one lane of one run of a node sends to one receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamName {
    /// [`TrailerFields::epoch`].
    pub epoch: u64,
    /// [`TrailerFields::flow`].
    pub flow: u8,
    /// [`TrailerFields::lane`].
    pub lane: u8,
}

impl TrailerFields {
    /// Returns the stream of the frame.
    #[must_use]
    pub const fn stream(&self) -> StreamName {
        StreamName { epoch: self.epoch, flow: self.flow, lane: self.lane }
    }
}

/// Consecutive frames of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FrameRange {
    /// Number of the first one.
    pub first: u64,
    /// How many.
    pub count: u32,
}

/// An option about the frames of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOption {
    /// How far a stream was received ([`option_kind::TOOK`]).
    Took {
        /// The stream.
        stream: StreamName,
        /// The last number received.
        last: u64,
        /// Frames of the stream that did not arrive, since it began; wraps.
        lost: u32,
    },
    /// Frames that did not arrive ([`option_kind::LOST`]).
    Lost {
        /// The stream.
        stream: StreamName,
        /// The frames.
        frames: FrameRange,
    },
    /// What lost frames carried was sent again, in this frame and those before it ([`option_kind::MENDED`]).
    Mended {
        /// The lost frames.
        frames: FrameRange,
        /// Everything was; otherwise some deletes were not, because the sender no longer remembers them.
        is_complete: bool,
    },
}

const NAME_BYTES: usize = 12;
const RANGE_BYTES: usize = 12;
/// Flag of MENDED: deletes are missing.
const INCOMPLETE: u32 = 1;

impl StreamOption {
    /// Length of the longest value.
    pub const MAX_BYTES: usize = NAME_BYTES + RANGE_BYTES;

    /// Returns the option's kind.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Took { .. } => option_kind::TOOK,
            Self::Lost { .. } => option_kind::LOST,
            Self::Mended { .. } => option_kind::MENDED,
        }
    }

    /// Reads an option; `None` if it is of another kind or too short. Bytes behind the value are ignored.
    #[must_use]
    pub fn parse(option: &TrailerOption<'_>) -> Option<Self> {
        match option.kind {
            option_kind::TOOK => {
                let (stream, FrameRange { first, count }) = named_range(option.value)?;
                Some(Self::Took { stream, last: first, lost: count })
            }
            option_kind::LOST => {
                let (stream, frames) = named_range(option.value)?;
                Some(Self::Lost { stream, frames })
            }
            option_kind::MENDED => {
                let (frames, rest) = range(option.value)?;
                let flags = u32::from_be_bytes(*rest.first_chunk()?);
                Some(Self::Mended { frames, is_complete: flags & INCOMPLETE == 0 })
            }
            _ => None,
        }
    }

    /// Writes the value; returns its length.
    #[must_use]
    pub fn emit(&self, bytes: &mut [u8; Self::MAX_BYTES]) -> usize {
        let (stream, FrameRange { first, count }) = match *self {
            Self::Took { stream, last, lost } => (stream, FrameRange { first: last, count: lost }),
            Self::Lost { stream, frames } => (stream, frames),
            Self::Mended { frames, is_complete } => {
                let flags = if is_complete { 0 } else { INCOMPLETE };
                bytes[..8].copy_from_slice(&frames.first.to_be_bytes());
                bytes[8..12].copy_from_slice(&frames.count.to_be_bytes());
                bytes[12..16].copy_from_slice(&flags.to_be_bytes());
                return 16;
            }
        };
        bytes[..8].copy_from_slice(&stream.epoch.to_be_bytes());
        bytes[8..12].copy_from_slice(&[stream.flow, stream.lane, 0, 0]);
        bytes[12..20].copy_from_slice(&first.to_be_bytes());
        bytes[20..].copy_from_slice(&count.to_be_bytes());
        Self::MAX_BYTES
    }
}

fn named_range(value: &[u8]) -> Option<(StreamName, FrameRange)> {
    let (name, rest) = value.split_first_chunk::<NAME_BYTES>()?;
    let &[_, _, _, _, _, _, _, _, flow, lane, _, _] = name;
    let epoch = u64::from_be_bytes(*name.first_chunk()?);
    Some((StreamName { epoch, flow, lane }, range(rest)?.0))
}

fn range(value: &[u8]) -> Option<(FrameRange, &[u8])> {
    let (first, rest) = value.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    Some((FrameRange { first: u64::from_be_bytes(*first), count: u32::from_be_bytes(*count) }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_survive_writing_and_reading() {
        let stream = StreamName { epoch: 0x0102_0304_0506_0708, flow: 9, lane: 10 };
        let frames = FrameRange { first: u64::MAX, count: 7 };
        for option in [
            StreamOption::Took { stream, last: 3, lost: u32::MAX },
            StreamOption::Lost { stream, frames },
            StreamOption::Mended { frames, is_complete: true },
            StreamOption::Mended { frames, is_complete: false },
        ] {
            let mut bytes = [0xff; StreamOption::MAX_BYTES];
            let length = option.emit(&mut bytes);
            let kind = option.kind();
            assert_eq!(StreamOption::parse(&TrailerOption { kind, value: &bytes[..length] }), Some(option));
            for short in 0..length {
                assert_eq!(StreamOption::parse(&TrailerOption { kind, value: &bytes[..short] }), None);
            }
            assert_eq!(StreamOption::parse(&TrailerOption { kind: 200, value: &bytes }), None);
        }
    }

    #[test]
    fn lost_frames_have_the_documented_bytes() {
        let stream = StreamName { epoch: 1, flow: 2, lane: 3 };
        let mut bytes = [0xff; StreamOption::MAX_BYTES];
        let option = StreamOption::Lost { stream, frames: FrameRange { first: 0x0405, count: 6 } };
        assert_eq!(option.emit(&mut bytes), 24);
        assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 4, 5, 0, 0, 0, 6]);
    }
}
