//! Why a frame or a region is not read, with the names of pf's counters.

/// Why a frame is dropped whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameError {
    /// Too short for the header: pf's "hdrops".
    Header,
    /// A version that is neither 5 nor 6: pf's "badver".
    Version,
    /// Its length is more than is there, or less than the header: pf's "badlen".
    Length,
}

/// Why a region is not read. Those before it stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegionError {
    /// Version 6: a message that is not known, or shorter than known, stepped over by its own length. The frame goes
    /// on. pf does not count it.
    Skipped,
    /// A message whose length cannot be known: pf's "badact". The frame ends.
    Action,
    /// More records than bytes: pf's "badlen". The frame ends.
    Length,
    /// Version 5: bytes after the end mark, which FreeBSD counts as "badlen" too and does not read.
    AfterEnd,
}

impl FrameError {
    /// The name of pf's counter.
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
    /// The name of pf's counter, if pf counts it.
    #[must_use]
    pub const fn counter(self) -> Option<&'static str> {
        match self {
            Self::Skipped => None,
            Self::Action => Some("badact"),
            Self::Length | Self::AfterEnd => Some("badlen"),
        }
    }

    /// Whether the rest of the frame is lost.
    #[must_use]
    pub const fn ends_frame(self) -> bool {
        !matches!(self, Self::Skipped)
    }
}
