//! Options about a stream: which frames were received, missing and repaired, and whether both nodes hold the states sent in it.
//!
//! ```text
//! TOOK     stream (12) | last number received (8) | frames lost so far (4) | first and last number taken (8 each)
//! LOST     stream (12) | first missing number (8) | how many (4)
//! MENDED   first number (8) | how many (4) | flags (4)
//! ROOT     sum of the states' elements (8) | states (4)
//! SKETCH   stream (12) | cells wanted (4)
//! CELLS    all cells of the sketch (2) | number of the first (2) | up to 8 cells (16 each)
//! WANT     stream (12) | up to 8 elements (8 each)
//! REFUSED  stream (12) | id (8) | creator (4) | reason (4)
//! DOUBT    stream (12) | id (8) | creator (4)
//! GONE     id (8) | creator (4)
//!
//! stream   epoch (8) | flow | lane | 0 (2)
//! ```
//!
//! An older node sends TOOK without its last two fields.
//!
//! An option with a stream names one of the node that it is sent to. MENDED, ROOT, CELLS and GONE are about the stream of their own
//! frame.

use super::list::{ELEMENT_BYTES, Elements};
use super::sketch::{CellRun, MAX_RUN_BYTES};
use super::{TrailerFields, TrailerOption, option_kind};
use crate::record::Identity;

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

/// Frames of a stream that arrived, or whose contents were sent again and arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TakenFrames {
    /// The first one. The node has not requested what was sent before.
    pub first: u64,
    /// The last one.
    pub last: u64,
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
        /// What arrived without a gap; `None` from an older node.
        taken: Option<TakenFrames>,
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
    /// The states that were sent in the stream of this frame, and that the sender still has ([`option_kind::ROOT`]).
    Root {
        /// The sum of their elements, modulo 2^64; see [`element_of`](super::element_of).
        sum: u64,
        /// How many.
        states: u32,
    },
    /// Requests a sketch of a stream's states ([`option_kind::SKETCH`]).
    Sketch {
        /// The stream.
        stream: StreamName,
        /// Cells of the sketch.
        cells: u32,
    },
    /// A part of a sketch ([`option_kind::CELLS`]).
    Cells(CellRun),
    /// Requests states by their elements: the peer does not have them ([`option_kind::WANT`]).
    Want {
        /// The stream.
        stream: StreamName,
        /// The elements.
        elements: Elements,
    },
    /// The peer cannot hold a state ([`option_kind::REFUSED`]).
    Refused {
        /// The stream.
        stream: StreamName,
        /// The state.
        id: Identity,
        /// Why, as a number of the peer's.
        reason: u32,
    },
    /// The peer has a state from this stream, whose sender does not seem to have it ([`option_kind::DOUBT`]).
    Doubt {
        /// The stream.
        stream: StreamName,
        /// The state.
        id: Identity,
    },
    /// Answers [`Self::Doubt`]: the sender does not have the state ([`option_kind::GONE`]).
    Gone {
        /// The state.
        id: Identity,
    },
}

const NAME_BYTES: usize = 12;
const IDENTITY_BYTES: usize = 12;
const RANGE_BYTES: usize = 12;
/// Flag of MENDED: deletes are missing.
const INCOMPLETE: u32 = 1;

impl StreamOption {
    /// Length of the longest value.
    pub const MAX_BYTES: usize = MAX_RUN_BYTES;

    /// Returns the option's kind.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Took { .. } => option_kind::TOOK,
            Self::Lost { .. } => option_kind::LOST,
            Self::Mended { .. } => option_kind::MENDED,
            Self::Root { .. } => option_kind::ROOT,
            Self::Sketch { .. } => option_kind::SKETCH,
            Self::Cells(_) => option_kind::CELLS,
            Self::Want { .. } => option_kind::WANT,
            Self::Refused { .. } => option_kind::REFUSED,
            Self::Doubt { .. } => option_kind::DOUBT,
            Self::Gone { .. } => option_kind::GONE,
        }
    }

    /// Returns the stream that the option names; `None` if it is about the stream of its own frame.
    #[must_use]
    pub const fn stream(&self) -> Option<&StreamName> {
        match self {
            Self::Took { stream, .. }
            | Self::Lost { stream, .. }
            | Self::Sketch { stream, .. }
            | Self::Want { stream, .. }
            | Self::Refused { stream, .. }
            | Self::Doubt { stream, .. } => Some(stream),
            Self::Mended { .. } | Self::Root { .. } | Self::Cells(_) | Self::Gone { .. } => None,
        }
    }

    /// Reads an option; `None` if it is of another kind or too short. Bytes behind the value are ignored.
    #[must_use]
    pub fn parse(option: &TrailerOption<'_>) -> Option<Self> {
        let value = &mut &option.value[..];
        Some(match option.kind {
            option_kind::TOOK => {
                let (stream, FrameRange { first, count }) = (name(value)?, range(value)?);
                Self::Took { stream, last: first, lost: count, taken: taken(value) }
            }
            option_kind::LOST => Self::Lost { stream: name(value)?, frames: range(value)? },
            option_kind::MENDED => {
                let frames = range(value)?;
                Self::Mended { frames, is_complete: word(value)? & INCOMPLETE == 0 }
            }
            option_kind::ROOT => Self::Root { sum: long(value)?, states: word(value)? },
            option_kind::SKETCH => Self::Sketch { stream: name(value)?, cells: word(value)? },
            option_kind::CELLS => Self::Cells(CellRun::parse(value)?),
            option_kind::WANT => Self::Want { stream: name(value)?, elements: Elements::parse(value)? },
            option_kind::REFUSED => {
                Self::Refused { stream: name(value)?, id: identity(value)?, reason: word(value)? }
            }
            option_kind::DOUBT => Self::Doubt { stream: name(value)?, id: identity(value)? },
            option_kind::GONE => Self::Gone { id: identity(value)? },
            _ => return None,
        })
    }

    /// Writes the value; returns its length.
    #[must_use]
    pub fn emit(&self, bytes: &mut [u8; Self::MAX_BYTES]) -> usize {
        let mut length = 0;
        let mut put = |part: &[u8]| {
            bytes[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        };
        if let Some(StreamName { epoch, flow, lane }) = self.stream() {
            put(&epoch.to_be_bytes());
            put(&[*flow, *lane, 0, 0]);
        }
        match *self {
            Self::Took { last: first, lost: count, .. }
            | Self::Lost { frames: FrameRange { first, count }, .. } => {
                put(&first.to_be_bytes());
                put(&count.to_be_bytes());
                if let Self::Took { taken: Some(TakenFrames { first, last }), .. } = self {
                    put(&first.to_be_bytes());
                    put(&last.to_be_bytes());
                }
            }
            Self::Mended { frames, is_complete } => {
                put(&frames.first.to_be_bytes());
                put(&frames.count.to_be_bytes());
                put(&if is_complete { 0 } else { INCOMPLETE }.to_be_bytes());
            }
            Self::Root { sum, states } => {
                put(&sum.to_be_bytes());
                put(&states.to_be_bytes());
            }
            Self::Sketch { cells, .. } => put(&cells.to_be_bytes()),
            Self::Cells(run) => run.emit(put),
            Self::Want { elements, .. } => elements.iter().for_each(|element| put(&element.to_be_bytes())),
            Self::Refused { id, .. } | Self::Doubt { id, .. } | Self::Gone { id } => {
                put(&id.id.to_be_bytes());
                put(&id.creator.to_be_bytes());
                if let Self::Refused { reason, .. } = self {
                    put(&reason.to_be_bytes());
                }
            }
        }
        length
    }
}

const _: () = assert!(
    StreamOption::MAX_BYTES >= NAME_BYTES + Elements::MAX * ELEMENT_BYTES
        && StreamOption::MAX_BYTES >= NAME_BYTES + IDENTITY_BYTES + 4
        && StreamOption::MAX_BYTES >= NAME_BYTES + RANGE_BYTES
);

/// Takes bytes from the front.
fn take<const N: usize>(value: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = value.split_first_chunk()?;
    *value = rest;
    Some(*first)
}

pub(super) fn word(value: &mut &[u8]) -> Option<u32> {
    take(value).map(u32::from_be_bytes)
}

pub(super) fn long(value: &mut &[u8]) -> Option<u64> {
    take(value).map(u64::from_be_bytes)
}

fn name(value: &mut &[u8]) -> Option<StreamName> {
    let epoch = long(value)?;
    let [flow, lane, _, _] = take(value)?;
    Some(StreamName { epoch, flow, lane })
}

fn range(value: &mut &[u8]) -> Option<FrameRange> {
    Some(FrameRange { first: long(value)?, count: word(value)? })
}

fn taken(value: &mut &[u8]) -> Option<TakenFrames> {
    Some(TakenFrames { first: long(value)?, last: long(value)? })
}

fn identity(value: &mut &[u8]) -> Option<Identity> {
    Some(Identity { id: long(value)?, creator: word(value)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trailer::SketchCell;

    #[test]
    fn options_survive_writing_and_reading() {
        let stream = StreamName { epoch: 0x0102_0304_0506_0708, flow: 9, lane: 10 };
        let frames = FrameRange { first: u64::MAX, count: 7 };
        let id = Identity { id: 0x0001_0203_0405_0607, creator: 0x1112_1314 };
        for option in [
            StreamOption::Took { stream, last: 3, lost: u32::MAX, taken: None },
            StreamOption::Lost { stream, frames },
            StreamOption::Mended { frames, is_complete: true },
            StreamOption::Mended { frames, is_complete: false },
            StreamOption::Root { sum: 0xfedc_ba98_7654_3210, states: 0x0a0b_0c0d },
            StreamOption::Sketch { stream, cells: 512 },
            StreamOption::Refused { stream, id, reason: 3 },
            StreamOption::Doubt { stream, id },
            StreamOption::Gone { id },
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
    fn a_report_without_its_last_fields_is_read() {
        let stream = StreamName { epoch: 1, flow: 2, lane: 3 };
        let mut bytes = [0; StreamOption::MAX_BYTES];
        let whole =
            StreamOption::Took { stream, last: 9, lost: 1, taken: Some(TakenFrames { first: 2, last: 7 }) };
        let length = whole.emit(&mut bytes);
        let read =
            |length| StreamOption::parse(&TrailerOption { kind: option_kind::TOOK, value: &bytes[..length] });
        assert_eq!((length, read(length)), (40, Some(whole)));
        assert_eq!(read(length - 1), Some(StreamOption::Took { stream, last: 9, lost: 1, taken: None }));
    }

    #[test]
    fn lost_frames_have_the_documented_bytes() {
        let stream = StreamName { epoch: 1, flow: 2, lane: 3 };
        let mut bytes = [0xff; StreamOption::MAX_BYTES];
        let option = StreamOption::Lost { stream, frames: FrameRange { first: 0x0405, count: 6 } };
        assert_eq!(option.emit(&mut bytes), 24);
        assert_eq!(bytes[..24], [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 4, 5, 0, 0, 0, 6]);
    }
    #[test]
    fn lists_are_read_as_far_as_they_are_whole() {
        let stream = StreamName { epoch: 1, flow: 2, lane: 3 };
        for count in 1..=Elements::MAX {
            let mut elements = Elements::default();
            (0..count).for_each(|n| assert!(elements.push(n as u64)));
            assert_eq!(elements.push(9), count < Elements::MAX);
            let cell =
                |n: usize| SketchCell { count: -(n as i32), elements: !0 - n as u64, checks: n as u32 };
            let mut run = CellRun::new(512, 8);
            (0..count).for_each(|n| assert!(run.push(cell(n))));
            for (option, unit, head) in
                [(StreamOption::Want { stream, elements }, 8, 12), (StreamOption::Cells(run), 16, 4)]
            {
                let mut bytes = [0; StreamOption::MAX_BYTES];
                let (length, kind) = (option.emit(&mut bytes), option.kind());
                let value = &bytes[..length];
                assert_eq!(StreamOption::parse(&TrailerOption { kind, value }), Some(option), "{count}");
                let short = StreamOption::parse(&TrailerOption { kind, value: &value[..length - 1] });
                assert_eq!(short.is_some(), length - head > unit, "an empty list is none");
            }
        }
        let mut run = CellRun::new(64, 56);
        assert!((0..8).all(|_| run.push(SketchCell::default())));
        assert!(!run.push(SketchCell::default()), "it is full");
    }
}
