//! What the decoder reports of a packet.

use std::fmt;
use std::time::Duration;

use pfsync::envelope::{Envelope, EnvelopeError, TTL};
use pfsync::{
    Action, FrameError, Invalid, Profile, Record, RegionError, Trailer, TrailerError, TrailerFields,
    option_kind,
};

use crate::seal::Seal;

/// A frame, as far as it can be read.
#[derive(Clone, Debug)]
pub struct FrameInfo {
    /// Position in the capture, from 0.
    pub number: u64,
    /// Time since 1970.
    pub time: Duration,
    /// The IP header; `None` for a frame without one.
    pub envelope: Option<Envelope>,
    /// VLAN identifier of a tagged packet.
    pub vlan: Option<u16>,
    /// The version byte.
    pub version: u8,
    /// The length in the frame's header; of a legacy frame, the payload's.
    pub length: usize,
    /// Ruleset checksum.
    pub checksum: [u8; 16],
    /// Length of the trailer after the frame.
    pub trailer: usize,
    /// The trailer, if it is a pfplane node's.
    pub pfplane: Option<TrailerInfo>,
    /// The frame's seal, if it has one.
    pub seal: Option<Seal>,
}

/// The trailer of a pfplane node.
#[derive(Clone, Debug)]
pub struct TrailerInfo {
    /// Its fields.
    pub fields: TrailerFields,
    /// Kind and value of its options.
    pub options: Vec<(u8, Vec<u8>)>,
    /// The authentication tag, if the frame has one.
    pub tag: Vec<u8>,
}

impl TrailerInfo {
    /// Copies a trailer. Also returns whether an option does not fit.
    #[must_use]
    pub fn new(trailer: &Trailer<'_>) -> (Self, bool) {
        let mut is_damaged = false;
        let mut options = Vec::new();
        for option in trailer.options() {
            match option {
                Ok(option) => options.push((option.kind, option.value.to_vec())),
                Err(_) => is_damaged = true,
            }
        }
        (Self { fields: *trailer.fields(), options, tag: trailer.tag().to_vec() }, is_damaged)
    }
}

/// Returns the name of an option's kind.
#[must_use]
pub fn option_name(kind: u8) -> String {
    option_kind::name(kind).map_or_else(|| format!("option {kind}"), str::to_owned)
}

/// A region of a frame.
#[derive(Clone, Copy, Debug)]
pub struct RegionInfo {
    /// The version byte of the frame.
    pub version: u8,
    /// What the records mean.
    pub action: Action,
    /// The action's number; `None` in a legacy frame.
    pub number: Option<u8>,
    /// The layout of whole states.
    pub profile: Option<Profile>,
    /// Number of records.
    pub count: usize,
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The IP header is malformed.
    Envelope(EnvelopeError),
    /// TTL or hop limit is not 255.
    Ttl(u8),
    /// The frame is malformed.
    Frame(FrameError),
    /// A region is not read; for a legacy frame, its action is unknown.
    Region(RegionError),
    /// The trailer is not read.
    Trailer(TrailerError),
    /// An option does not fit into its trailer.
    Option,
    /// The tag is wrong.
    Seal,
    /// The capture has only a part of the packet.
    Cut,
}

impl Fault {
    /// Returns the name of pf's counter, or a similar name for what pf does not count.
    #[must_use]
    pub const fn counter(self) -> &'static str {
        match self {
            Self::Envelope(_) => "badip",
            Self::Ttl(_) => "badttl",
            Self::Frame(error) => error.counter(),
            Self::Region(error) => match error.counter() {
                Some(counter) => counter,
                None => "skipped",
            },
            Self::Trailer(error) => error.name(),
            Self::Option => "badoption",
            Self::Seal => "badauth",
            Self::Cut => "cut",
        }
    }

    /// Returns whether the packet is malformed. A skipped message of another version and a cut packet are not.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        !matches!(self, Self::Region(RegionError::Skipped) | Self::Cut)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.counter())?;
        match self {
            Self::Envelope(error) => error.fmt(f),
            Self::Ttl(ttl) => write!(f, "{ttl}, must be {TTL}"),
            Self::Frame(error) => error.fmt(f),
            Self::Region(error) => error.fmt(f),
            Self::Trailer(error) => error.fmt(f),
            Self::Option => f.write_str("an option does not fit into the trailer"),
            Self::Seal => f.write_str("the tag is wrong: forged, changed, or sealed with another key"),
            Self::Cut => f.write_str("the capture has only a part of the packet"),
        }
    }
}

/// Receives what the decoder finds, in the order of the packet.
pub trait Output {
    /// A frame starts.
    fn frame(&mut self, frame: &FrameInfo);
    /// A region starts. With a filter, called only for regions with a matching record.
    fn region(&mut self, region: &RegionInfo);
    /// A record that matches the filter, and why a receiver would skip it.
    fn record(&mut self, region: &RegionInfo, record: &Record, invalid: Option<Invalid>);
    /// A fault of the frame or of one of its regions.
    fn fault(&mut self, fault: Fault);
    /// The frame ends.
    fn end(&mut self);
    /// A packet that is not pfsync.
    fn other(&mut self) {}
}
