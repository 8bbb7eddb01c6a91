//! Walks a packet's regions and records and tells an [`Output`] what is there and what is wrong.

use std::time::Duration;

use crate::legacy::{LegacyError, LegacyFrame};
use pfsync::envelope::{Envelope, EnvelopeError, TTL};
use pfsync::{Action, FrameError, FrameReader, HEADER_BYTES, Invalid, Profile, Record, RegionError, Version};

use crate::capture::Captured;
use crate::filter::Filter;
use crate::link::{Carried, carried};

/// A frame, as far as it could be read.
#[derive(Clone, Debug)]
pub struct Head {
    /// Position in the capture, from 0.
    pub number: u64,
    /// Since 1970.
    pub time: Duration,
    /// The IP header, `None` for a bare frame.
    pub envelope: Option<Envelope>,
    /// VLAN, where there was a tag.
    pub vlan: Option<u16>,
    /// The version byte.
    pub version: u8,
    /// The frame's own length; of a legacy frame, all there is.
    pub length: usize,
    /// Ruleset checksum.
    pub checksum: [u8; 16],
    /// Bytes behind the frame's own length.
    pub trailer: usize,
}

/// A region.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// The version byte of its frame.
    pub version: u8,
    /// What its records mean.
    pub action: Action,
    /// The action's number, `None` in a legacy frame.
    pub number: Option<u8>,
    /// Whose layout its states have.
    pub profile: Option<Profile>,
    /// How many records it has.
    pub count: usize,
    /// Bytes from one record to the next.
    pub stride: usize,
}

/// What is wrong. Names as pf counts them, where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The IP header.
    Envelope(EnvelopeError),
    /// TTL or hop limit, which must be 255.
    Ttl(u8),
    /// The whole frame.
    Frame(FrameError),
    /// A region; for a legacy frame the unknown action.
    Region(RegionError),
    /// A record that a receiver would skip.
    Record(Invalid),
    /// The capture cut the packet off.
    Cut,
}

impl Fault {
    /// pf's counter, or a name in its manner.
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
            Self::Record(_) => "badval",
            Self::Cut => "cut",
        }
    }

    /// Whether it counts as malformed: what the sender's version may know and we do not, and what the capture cut
    /// off, does not.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        !matches!(self, Self::Region(RegionError::Skipped) | Self::Cut)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why = match self {
            Self::Envelope(error) => match error {
                EnvelopeError::Truncated => "IP packet shorter than its header says",
                EnvelopeError::Checksum => "IP header checksum is wrong",
                EnvelopeError::Fragment => "fragment",
                _ => "IP header makes no sense",
            },
            Self::Ttl(ttl) => return write!(f, "badttl: {ttl}, must be {TTL}"),
            Self::Frame(FrameError::Header) => "shorter than a header",
            Self::Frame(FrameError::Version) => "unknown version",
            Self::Frame(FrameError::Length) => "length is more than is there, or less than a header",
            Self::Region(RegionError::Skipped) => "unknown or short message, stepped over",
            Self::Region(RegionError::Action) => "unknown message, the rest is lost",
            Self::Region(RegionError::Length) => "more records than bytes, the rest is lost",
            Self::Region(RegionError::AfterEnd) => "bytes behind the end mark",
            Self::Record(invalid) => return write!(f, "badval: {}", invalid.name()),
            Self::Cut => "the capture holds only part of the packet",
        };
        write!(f, "{}: {why}", self.counter())
    }
}

/// Takes what a walk finds.
pub trait Output {
    /// A frame begins.
    fn head(&mut self, head: &Head);
    /// A region begins. Called for every region from which a record passes the filter, or without a filter for all.
    fn section(&mut self, section: &Section);
    /// A record that passed the filter, and what is wrong with it.
    fn record(&mut self, section: &Section, record: &Record, invalid: Option<Invalid>);
    /// Something is wrong with the frame or one of its regions.
    fn fault(&mut self, fault: Fault);
    /// The frame ends.
    fn end(&mut self);
    /// A packet that is none of pfsync.
    fn other(&mut self) {}
}

/// Walks captured packets and remembers whether one was malformed.
#[derive(Debug)]
pub struct Walker {
    filter: Filter,
    number: u64,
    malformed: bool,
}

impl Walker {
    /// Starts with packet 0.
    #[must_use]
    pub const fn new(filter: Filter) -> Self {
        Self { filter, number: 0, malformed: false }
    }

    /// Whether anything so far was malformed, shown or not.
    #[must_use]
    pub const fn malformed(&self) -> bool {
        self.malformed
    }

    /// Walks one packet and says whether it was one of pfsync.
    pub fn packet(&mut self, captured: &Captured<'_>, output: &mut dyn Output) -> bool {
        let number = self.number;
        self.number += 1;
        let cut = (captured.bytes.len() as u64) < u64::from(captured.length);
        let mut head = Head {
            number,
            time: captured.time,
            envelope: None,
            vlan: None,
            version: 0,
            length: 0,
            checksum: [0; 16],
            trailer: 0,
        };
        match carried(captured.link_type, captured.bytes) {
            Carried::Frame(frame) => self.frame(head, frame, output),
            Carried::Ip(packet, vlan) => {
                head.vlan = vlan;
                match Envelope::parse(packet) {
                    Ok(envelope) => {
                        let payload = &packet[envelope.payload.clone()];
                        head.envelope = Some(envelope);
                        self.frame(head, payload, output);
                    }
                    Err(error) if is_pfsync(packet) => {
                        let cut_off = cut && error == EnvelopeError::Truncated;
                        let fault = if cut_off { Fault::Cut } else { Fault::Envelope(error) };
                        output.head(&head);
                        self.fault(fault, output);
                        output.end();
                    }
                    Err(_) => {
                        output.other();
                        return false;
                    }
                }
            }
            Carried::Other => {
                output.other();
                return false;
            }
        }
        true
    }

    fn fault(&mut self, fault: Fault, output: &mut dyn Output) {
        self.malformed |= fault.is_malformed();
        output.fault(fault);
    }

    fn frame(&mut self, mut head: Head, payload: &[u8], output: &mut dyn Output) {
        head.version = payload.first().copied().unwrap_or_default();
        let reader = FrameReader::new(payload);
        head.length = payload.len();
        if let Ok(reader) = &reader {
            head.length = reader.length();
            head.checksum = reader.checksum();
            head.trailer = reader.trailer().len();
        }
        output.head(&head);
        if let Some(ttl) = head.envelope.as_ref().map(|envelope| envelope.ttl).filter(|&ttl| ttl != TTL) {
            self.fault(Fault::Ttl(ttl), output);
        }
        match reader {
            Ok(reader) => self.regions(reader, output),
            Err(FrameError::Version) if matches!(head.version, 2..=4) => self.legacy(payload, output),
            // A version 2 header is four bytes long.
            Err(FrameError::Header) if head.version == 2 && payload.len() < HEADER_BYTES => {
                self.legacy(payload, output);
            }
            Err(error) => self.fault(Fault::Frame(error), output),
        }
        output.end();
    }

    fn regions(&mut self, mut reader: FrameReader<'_>, output: &mut dyn Output) {
        let version = reader.version();
        while let Some(region) = reader.next_region() {
            match region {
                Ok(region) => {
                    let section = Section {
                        version: version as u8,
                        action: region.action(),
                        number: Some(region.number()),
                        profile: region.profile(),
                        count: usize::from(region.count()),
                        stride: region.stride(),
                    };
                    self.records(&section, region.records(), output);
                }
                Err(error) => self.fault(Fault::Region(error), output),
            }
        }
    }

    fn legacy(&mut self, payload: &[u8], output: &mut dyn Output) {
        match LegacyFrame::parse(payload) {
            Ok(frame) => {
                let section = Section {
                    version: frame.version,
                    action: frame.action,
                    number: None,
                    profile: None,
                    count: usize::from(frame.count),
                    stride: 0,
                };
                self.records(&section, frame.records(), output);
            }
            Err(LegacyError::Frame(error)) => self.fault(Fault::Frame(error), output),
            Err(LegacyError::Action(_)) => self.fault(Fault::Region(RegionError::Action), output),
        }
    }

    fn records(&mut self, section: &Section, records: impl Iterator<Item = Record>, output: &mut dyn Output) {
        let mut shown = self.filter.is_open();
        if shown {
            output.section(section);
        }
        for record in records {
            let invalid = judge(section, &record);
            self.malformed |= invalid.is_some();
            if self.filter.passes(section.action, &record) {
                if !shown {
                    shown = true;
                    output.section(section);
                }
                output.record(section, &record, invalid);
            }
        }
    }
}

/// Whether a packet whose header is broken was meant for pfsync.
fn is_pfsync(packet: &[u8]) -> bool {
    let protocol = match packet.first().map(|first| first >> 4) {
        Some(4) => packet.get(9),
        Some(6) => packet.get(6),
        _ => None,
    };
    protocol == Some(&pfsync::ip_protocol::PFSYNC)
}

/// What a receiver of the sender's own kind would say. FreeBSD 14 and later take 25 timeout classes.
fn judge(section: &Section, record: &Record) -> Option<Invalid> {
    let limit = if section.version == Version::V5 as u8 { 25 } else { 20 };
    match record {
        Record::State(state) if section.action == Action::Insert => state.validate(limit).err(),
        Record::State(state) if section.action == Action::Update => state.validate_update(limit).err(),
        Record::Compressed(update) => update.validate(limit).err(),
        _ => None,
    }
}
