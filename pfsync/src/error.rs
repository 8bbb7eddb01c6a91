//! Why a frame, a region or a record is not read or written, with the names of pf's counters.

use core::error::Error;
use core::fmt;

/// Why a whole frame is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameError {
    /// Shorter than the header: pf's "hdrops".
    Header,
    /// Neither version 5 nor 6: pf's "badver".
    Version,
    /// The header's length exceeds the payload or is below the header's own: pf's "badlen".
    Length,
}

/// Why a region is not read. The regions before it remain valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegionError {
    /// Version 6: an unknown message, or one with records shorter than known. The region is skipped and the frame
    /// continues. pf does not count it.
    Skipped,
    /// A message of unknown length: pf's "badact". The frame ends.
    Action,
    /// More records than bytes: pf's "badlen". The frame ends.
    Length,
    /// Version 5: bytes after the end mark. FreeBSD counts "badlen" and does not read them.
    AfterEnd,
}

/// The record does not fit: finish this frame and put the record into the next one. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Why no frame can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterError {
    /// The buffer cannot hold the header, the end mark and the trailer.
    BufferTooSmall,
}

impl FrameError {
    /// Returns the name of pf's counter.
    #[must_use]
    pub const fn counter(self) -> &'static str {
        match self {
            Self::Header => "hdrops",
            Self::Version => "badver",
            Self::Length => "badlen",
        }
    }
}

impl RegionError {
    /// Returns the name of pf's counter, if pf counts it.
    #[must_use]
    pub const fn counter(self) -> Option<&'static str> {
        match self {
            Self::Skipped => None,
            Self::Action => Some("badact"),
            Self::Length | Self::AfterEnd => Some("badlen"),
        }
    }

    /// Returns whether the rest of the frame is lost.
    #[must_use]
    pub const fn ends_frame(self) -> bool {
        !matches!(self, Self::Skipped)
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "shorter than the pfsync header",
            Self::Version => "unknown version",
            Self::Length => "length does not fit the packet",
        })
    }
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Skipped => "unknown or short message, skipped",
            Self::Action => "unknown message, rest of the frame ignored",
            Self::Length => "more records than bytes, rest of the frame ignored",
            Self::AfterEnd => "bytes after the end mark",
        })
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the frame is full")
    }
}

impl fmt::Display for WriterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is too small for a frame")
    }
}

impl Error for FrameError {}
impl Error for RegionError {}
impl Error for Full {}
impl Error for WriterError {}
