//! Decodes captured packets and reports their frames, regions, records and faults.

use pfsync::envelope::{Envelope, EnvelopeError, TTL};
use pfsync::{
    Action, FrameError, FrameReader, HEADER_BYTES, Invalid, Profile, Protection, Record, RegionError,
    Version, ip_protocol,
};

use crate::capture::CapturedPacket;
use crate::filter::{Filter, MatchingFrames};
use crate::legacy::{LegacyError, LegacyFrame};
use crate::link::{LinkPayload, link_payload};
use crate::report::{Fault, FrameInfo, Output, RegionInfo, TrailerInfo};
use crate::seal::{Keys, Seal, Verdict};

/// Decodes captured packets and remembers whether one was malformed.
#[derive(Debug)]
pub struct Decoder {
    filter: Filter,
    number: u64,
    malformed: bool,
    keys: Option<Keys>,
}

impl Decoder {
    /// Starts with packet 0.
    #[must_use]
    pub const fn new(filter: Filter) -> Self {
        Self { filter, number: 0, malformed: false, keys: None }
    }

    /// Verifies and decrypts sealed frames with these keys.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// Returns whether any packet so far was malformed, shown or not.
    #[must_use]
    pub const fn malformed(&self) -> bool {
        self.malformed
    }

    /// Decodes one packet and returns whether it is pfsync.
    pub fn packet(&mut self, captured: &CapturedPacket<'_>, output: &mut dyn Output) -> bool {
        let output = &mut MatchingFrames::new(output, &self.filter);
        let mut frame = FrameInfo {
            number: self.number,
            time: captured.time,
            envelope: None,
            vlan: None,
            version: 0,
            length: 0,
            checksum: [0; 16],
            trailer: 0,
            pfplane: None,
            seal: None,
        };
        self.number += 1;
        match link_payload(captured.link_type, captured.bytes) {
            LinkPayload::Frame(payload) => self.frame(frame, payload, captured.is_cut(), output),
            LinkPayload::Ip(packet, vlan) => {
                frame.vlan = vlan;
                match Envelope::parse_cut(packet, packet.len() + captured.missing()) {
                    Ok(envelope) => {
                        let payload = &packet[envelope.payload.clone()];
                        let decrypted =
                            if captured.is_cut() { None } else { self.open(&mut frame, packet, &envelope) };
                        frame.envelope = Some(envelope);
                        let payload = decrypted.as_deref().unwrap_or(payload);
                        self.frame(frame, payload, captured.is_cut(), output);
                    }
                    Err(error) if has_pfsync_protocol(packet) => {
                        let is_cut = error == EnvelopeError::Truncated && captured.is_cut();
                        output.frame(&frame);
                        self.fault(if is_cut { Fault::Cut } else { Fault::Envelope(error) }, output);
                        output.end();
                    }
                    Err(_) => {
                        output.other();
                        return false;
                    }
                }
            }
            LinkPayload::Other => {
                output.other();
                return false;
            }
        }
        true
    }

    /// Verifies the seal of a whole packet. Returns the payload of one that was encrypted, if it is readable.
    fn open(&mut self, frame: &mut FrameInfo, packet: &[u8], envelope: &Envelope) -> Option<Vec<u8>> {
        let reader = FrameReader::new(&packet[envelope.payload.clone()]).ok()?;
        let trailer = reader.trailer().ok().flatten()?;
        let protection = trailer.fields().protection;
        if protection == Protection::None {
            return None;
        }
        let unknown = (Verdict::Unknown, None);
        let (verdict, payload) =
            self.keys.as_mut().map_or(unknown, |keys| keys.open(packet, envelope, &trailer));
        frame.seal = Some(Seal { is_encrypted: protection == Protection::Gcm, verdict });
        payload
    }

    fn fault(&mut self, fault: Fault, output: &mut dyn Output) {
        self.malformed |= fault.is_malformed();
        output.fault(fault);
    }

    /// Decodes a frame, of which the capture may have only the start.
    fn frame(&mut self, mut frame: FrameInfo, payload: &[u8], is_cut: bool, output: &mut dyn Output) {
        frame.version = payload.first().copied().unwrap_or_default();
        frame.length = payload.len();
        let whole = FrameReader::new(payload);
        let is_captured_whole = !is_cut;
        let mut trailer_fault = None;
        let is_cut = is_cut && matches!(whole, Err(FrameError::Header | FrameError::Length));
        let shortened = shortened(payload);
        let reader = if is_cut { FrameReader::new(&shortened) } else { whole };
        if let Ok(reader) = &reader {
            frame.length = reader.length();
            frame.checksum = reader.checksum();
            frame.trailer = reader.trailer_bytes().len();
            match reader.trailer() {
                Ok(trailer) => {
                    let read = trailer.map(|trailer| TrailerInfo::new(&trailer));
                    trailer_fault =
                        read.as_ref().filter(|(_, is_damaged)| *is_damaged).map(|_| Fault::Option);
                    frame.pfplane = read.map(|(trailer, _)| trailer);
                }
                Err(error) if is_captured_whole => trailer_fault = Some(Fault::Trailer(error)),
                Err(_) => trailer_fault = Some(Fault::Cut),
            }
        }
        if let (true, Some(&[high, low])) = (is_cut, payload.get(2..).and_then(<[u8]>::first_chunk)) {
            frame.length = usize::from(u16::from_be_bytes([high, low]));
        }
        output.frame(&frame);
        if let Some(ttl) = frame.envelope.as_ref().map(|envelope| envelope.ttl).filter(|&ttl| ttl != TTL) {
            self.fault(Fault::Ttl(ttl), output);
        }
        if let Some(fault) = trailer_fault {
            self.fault(fault, output);
        }
        if frame.seal.is_some_and(|seal| seal.verdict == Verdict::Forged) {
            self.fault(Fault::Seal, output);
        }
        match reader {
            Ok(reader) => self.regions(reader, is_cut, output),
            Err(_) if is_cut => self.fault(Fault::Cut, output),
            Err(FrameError::Version) if matches!(frame.version, 2..=4) => self.legacy_frame(payload, output),
            // A header of version 2 has only four bytes.
            Err(FrameError::Header) if frame.version == 2 && payload.len() < HEADER_BYTES => {
                self.legacy_frame(payload, output);
            }
            Err(error) => self.fault(Fault::Frame(error), output),
        }
        output.end();
    }

    fn regions(&mut self, mut reader: FrameReader<'_>, is_cut: bool, output: &mut dyn Output) {
        let version = reader.version();
        while let Some(region) = reader.next_region() {
            match region {
                Ok(region) => {
                    let info = RegionInfo {
                        version: version as u8,
                        action: region.action(),
                        number: Some(region.number()),
                        profile: region.profile(),
                        count: usize::from(region.count()),
                    };
                    self.records(&info, region.records(), output);
                }
                Err(RegionError::Length) if is_cut => {}
                Err(error) => self.fault(Fault::Region(error), output),
            }
        }
        if is_cut {
            self.fault(Fault::Cut, output);
        }
    }

    fn legacy_frame(&mut self, payload: &[u8], output: &mut dyn Output) {
        match LegacyFrame::parse(payload) {
            Ok(frame) => {
                let info = RegionInfo {
                    version: frame.version,
                    action: frame.action,
                    number: None,
                    profile: None,
                    count: usize::from(frame.count),
                };
                self.records(&info, frame.records(), output);
            }
            Err(LegacyError::Frame(error)) => self.fault(Fault::Frame(error), output),
            Err(LegacyError::Action(_)) => self.fault(Fault::Region(RegionError::Action), output),
        }
    }

    fn records(
        &mut self,
        region: &RegionInfo,
        records: impl Iterator<Item = Record>,
        output: &mut dyn Output,
    ) {
        let mut is_shown = self.filter.is_empty();
        if is_shown {
            output.region(region);
        }
        for record in records {
            let invalid = validate(region, &record);
            self.malformed |= invalid.is_some();
            if self.filter.matches(region.action, &record) {
                if !is_shown {
                    is_shown = true;
                    output.region(region);
                }
                output.record(region, &record, invalid);
            }
        }
    }
}

/// Returns the captured part of a frame as a frame of this length.
fn shortened(payload: &[u8]) -> Vec<u8> {
    let mut frame = payload.to_vec();
    if let Some(length) = frame.get_mut(2..4) {
        length.copy_from_slice(&(payload.len() as u16).to_be_bytes());
    }
    frame
}

/// Returns whether the protocol field of a malformed IP header is pfsync's.
fn has_pfsync_protocol(packet: &[u8]) -> bool {
    let protocol = match packet.first().map(|first| first >> 4) {
        Some(4) => packet.get(9),
        Some(6) => packet.get(6),
        _ => None,
    };
    protocol == Some(&ip_protocol::PFSYNC)
}

/// Validates a record as a receiver of the sender's system does. FreeBSD 14 and later accept 25 timeout classes.
fn validate(region: &RegionInfo, record: &Record) -> Option<Invalid> {
    let is_freebsd = region.version == Version::V5 as u8;
    let profile = if is_freebsd { Profile::FreeBsd1500 } else { Profile::OpenBsd6 };
    let limit = profile.timeout_limit();
    match record {
        Record::State(state) if region.action == Action::Insert => state.validate(limit).err(),
        Record::State(state) if region.action == Action::Update => state.validate_update(limit).err(),
        Record::Compressed(update) => update.validate(limit).err(),
        _ => None,
    }
}
