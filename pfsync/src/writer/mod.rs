//! Writes a frame into a buffer; `push.rs` has a method for each kind of record, `options.rs` those for the trailer.

mod options;
mod push;

use core::borrow::Borrow;

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, IntoBytes};

use crate::action::Action;
use crate::convert::IcmpPorts;
use crate::error::{Full, WriterError};
use crate::layout::{self, Body, EOF, Emit, Message};
use crate::profile::{Profile, Version};
use crate::trailer::{Protection, TRAILER_BYTES, TrailerFields, hide_body, write_fields};
use crate::{HEADER_BYTES, SUBHEADER_BYTES};

/// The parts of a frame besides its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterOptions {
    /// Ruleset checksum (pf's `pf_status.pf_chksum`). Use zeros, unless the rules are those of a FreeBSD peer: it attaches a
    /// received state to the rule of its number if the checksums are equal.
    pub checksum: [u8; 16],
    /// Bytes after the frame for a trailer of the caller's own, in place of a [`Trailer`](crate::Trailer). Both kernels ignore
    /// these bytes. They are written as zeros, and [`FrameWriter::finish`] counts them.
    pub trailer: usize,
    /// Convention of the peer for ICMP states. [`IcmpPorts::IdentifierTwice`] affects the profiles
    /// [`Profile::FreeBsd1301`] and [`Profile::FreeBsd1400`] only, as no other peer has it.
    pub icmp_ports: IcmpPorts,
}

/// Writes one frame into a buffer.
///
/// Consecutive records of one action share a region. The buffer's length limits the frame: make it the path's MTU minus
/// the IP header. The writer keeps the order of the records; [`Profile::region_order`] is the systems' own order.
///
/// Cost: one bounds check and the stores of the record's fields; a region adds two stores.
///
/// ```
/// use pfsync::{Action, FrameReader, FrameWriter, Identity, Profile, Record, WriterOptions};
///
/// let mut payload = [0; 1480];
/// let mut writer = FrameWriter::new(&mut payload, Profile::OpenBsd6, &WriterOptions::default())?;
/// writer.push_id(Action::UpdateRequest, Identity::BULK)?;
/// let length = writer.finish();
///
/// let mut reader = FrameReader::new(&payload[..length])?;
/// let region = reader.next_region().unwrap()?;
/// assert_eq!(region.action(), Action::UpdateRequest);
/// assert_eq!(region.records().next(), Some(Record::Id(Identity::BULK)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FrameWriter<'a> {
    buffer: &'a mut [u8],
    profile: Profile,
    trailer: usize,
    icmp_ports: IcmpPorts,
    /// End of the space for records; the rest is for the end mark or the trailer.
    limit: usize,
    /// Whether a trailer was begun, and how the frame is protected.
    protection: Option<Protection>,
    /// Bytes of the trailer's options, which wait at the end of the buffer before the tag.
    options: usize,
    at: usize,
    region: OpenRegion,
}

/// The region that the next record of the same action is added to.
#[derive(Debug)]
struct OpenRegion {
    /// Offset of the subheader; 0 if no region is open.
    start: usize,
    number: u8,
    words: u8,
    count: u16,
}

/// The largest value of the header's length field.
const MAX_FRAME_BYTES: usize = u16::MAX as usize;

impl<'a> FrameWriter<'a> {
    /// Starts a frame in `buffer`.
    ///
    /// # Errors
    /// [`WriterError::BufferTooSmall`] if not even an empty frame fits.
    #[inline]
    pub fn new(buffer: &'a mut [u8], profile: Profile, options: &WriterOptions) -> Result<Self, WriterError> {
        let end_mark = match profile.version() {
            Version::V5 if options.trailer == 0 => SUBHEADER_BYTES,
            Version::V5 | Version::V6 => 0,
        };
        let frame = buffer.len().checked_sub(options.trailer).ok_or(WriterError::BufferTooSmall)?;
        let limit = frame.min(MAX_FRAME_BYTES).checked_sub(end_mark).ok_or(WriterError::BufferTooSmall)?;
        if limit < HEADER_BYTES {
            return Err(WriterError::BufferTooSmall);
        }
        let (header, _) = layout::Header::mut_from_prefix(buffer).map_err(|_| WriterError::BufferTooSmall)?;
        header.version = profile.version() as u8;
        header.pad = 0;
        header.pfcksum = options.checksum;
        let region = OpenRegion { start: 0, number: 0, words: 0, count: 0 };
        let WriterOptions { trailer, icmp_ports, .. } = *options;
        Ok(Self {
            buffer,
            profile,
            trailer,
            icmp_ports,
            limit,
            protection: None,
            options: 0,
            at: HEADER_BYTES,
            region,
        })
    }

    /// Returns the profile of the frame.
    #[inline]
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Returns whether the frame has no record yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.at == HEADER_BYTES
    }

    /// Returns the frame's length so far, without end mark and trailer.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.at
    }

    /// Returns how many more bytes of records and their subheaders fit.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.limit - self.at
    }

    /// Returns whether the profile has records for this action. There are none for [`Action::Eof`]: [`Self::finish`] writes the
    /// end mark.
    #[must_use]
    pub fn supports(&self, action: Action) -> bool {
        self.profile.message(action).is_some_and(|message| message.body != Body::Empty)
    }

    /// Ends the frame and returns its length with the trailer, which the length in the header does not count.
    ///
    /// A frame of version 5 with a trailer has no end mark: FreeBSD counts bytes behind it as a fault.
    // Always inlined, so that the writer stays in registers.
    #[inline(always)]
    pub fn finish(mut self) -> usize {
        if self.trailer > 0 || self.protection.is_some() {
            return self.finish_with(&TrailerFields::default());
        }
        if self.profile.version() == Version::V5 {
            self.close_region();
            if let Ok((end_mark, _)) = layout::Subheader::mut_from_prefix(&mut self.buffer[self.at..]) {
                *end_mark = layout::Subheader { action: EOF, len: 0, count: U16::new(1) };
            }
            self.at += SUBHEADER_BYTES;
        }
        self.finish_frame()
    }

    /// Ends the frame without an end mark and with these fields in its trailer, if one was begun; the protection is that of
    /// [`Self::begin_trailer`]. Returns its length with the trailer. The caller encrypts the trailer's
    /// [`encrypted_bytes`](crate::Trailer::encrypted_bytes), if there are any, and writes the tag.
    #[cold]
    pub fn finish_with(mut self, fields: &TrailerFields) -> usize {
        let length = self.finish_frame();
        let Some(protection) = self.protection else {
            self.buffer[length..length + self.trailer].fill(0);
            return length + self.trailer;
        };
        let end = self.buffer.len() - protection.tag_bytes();
        let options = length + TRAILER_BYTES;
        self.buffer.copy_within(end - self.options..end, options);
        if let Some(bytes) = self.buffer.get_mut(length..).and_then(<[u8]>::first_chunk_mut) {
            let is_encrypted = protection == Protection::Gcm;
            let written = if is_encrypted { Protection::Gmac } else { protection };
            write_fields(&TrailerFields { protection: written, ..*fields }, self.options, bytes);
        }
        let tag = options + self.options;
        let end = tag + protection.tag_bytes();
        self.buffer[tag..end].fill(0);
        if protection == Protection::Gcm {
            // It fits: the frame was just written.
            let _ = hide_body(&mut self.buffer[..end]);
        }
        end
    }

    /// Completes the header. Returns the length of the frame.
    #[inline(always)]
    fn finish_frame(&mut self) -> usize {
        self.close_region();
        if let Ok((header, _)) = layout::Header::mut_from_prefix(&mut *self.buffer) {
            header.len = U16::new(self.at as u16);
        }
        self.at
    }

    /// Returns whether a record of this message can be added to the open region.
    #[inline]
    const fn joins(&self, message: &Message) -> bool {
        self.region.start != 0 && self.region.number == message.number && self.region.count < u16::MAX
    }

    /// Writes records of one message until they or the space end, and returns how many.
    #[inline(always)]
    fn fill<W: FromBytes + IntoBytes, R: Emit<W>>(
        &mut self,
        message: &Message,
        records: impl IntoIterator<Item: Borrow<R>>,
    ) -> usize {
        let joins = self.joins(message);
        let (start, max_count) = match joins {
            true => (self.at, u16::MAX - self.region.count),
            false => (self.at + SUBHEADER_BYTES, u16::MAX),
        };
        let Some(free) = self.buffer.get_mut(start..self.limit) else { return 0 };
        let capacity = (free.len() / size_of::<W>()).min(usize::from(max_count));
        let Ok((wire, _)) = <[W]>::mut_from_prefix_with_elems(free, capacity) else { return 0 };
        let mut written = 0;
        for (wire, record) in wire.iter_mut().zip(records) {
            record.borrow().emit(wire);
            written += 1;
        }
        if written > 0 {
            if !joins {
                self.open_region(message);
            }
            self.at += written * size_of::<W>();
            self.region.count += written as u16;
        }
        written
    }

    /// Closes the open region, so that a record of this message starts a region of its own.
    fn close_region_before(&mut self, message: &Message) -> Result<(), Full> {
        if self.limit - self.at < SUBHEADER_BYTES + message.bytes as usize {
            return Err(Full);
        }
        self.close_region();
        Ok(())
    }

    #[inline]
    fn open_region(&mut self, message: &Message) {
        self.close_region();
        let words = match self.profile.version() {
            Version::V5 => 0,
            Version::V6 => (message.bytes / 4) as u8,
        };
        self.region = OpenRegion { start: self.at, number: message.number, words, count: 0 };
        self.at += SUBHEADER_BYTES;
    }

    /// Writes the subheader of the open region.
    #[inline]
    fn close_region(&mut self) {
        let OpenRegion { start, number, words, count } = self.region;
        if start == 0 {
            return;
        }
        if let Ok((subheader, _)) = layout::Subheader::mut_from_prefix(&mut self.buffer[start..]) {
            *subheader = layout::Subheader { action: number, len: words, count: U16::new(count) };
        }
        self.region.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FullState, Identity};

    const OPTIONS: WriterOptions =
        WriterOptions { checksum: [0; 16], trailer: 0, icmp_ports: IcmpPorts::IdentifierAndType };

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_bulk_request_has_the_documented_bytes() {
        for (profile, expected) in [
            (Profile::OpenBsd6, "060000240000000000000000000000000000000005030001000000000000000000000000"),
            (
                Profile::FreeBsd1400,
                "0500002800000000000000000000000000000000050000010000000000000000000000000c000001",
            ),
        ] {
            let mut buffer = [0xff; 100];
            let mut writer = FrameWriter::new(&mut buffer, profile, &OPTIONS).unwrap();
            writer.push_id(Action::UpdateRequest, Identity::BULK).unwrap();
            let length = writer.finish();
            assert_eq!(hex(&buffer[..length]), expected);
        }
    }

    #[test]
    fn a_compressed_delete_has_the_documented_bytes() {
        let mut buffer = [0xff; 36];
        let mut writer = FrameWriter::new(&mut buffer, Profile::OpenBsd6, &OPTIONS).unwrap();
        let id = Identity { id: 0x6560_0001, creator: 0xdead_beef };
        writer.push_id(Action::DeleteCompressed, id).unwrap();
        assert_eq!(writer.finish(), 36);
        let expected =
            "060000240000000000000000000000000000000007030001000000006560000".to_owned() + "1deadbeef";
        assert_eq!(hex(&buffer), expected);
    }

    #[test]
    fn a_frame_is_filled_to_the_last_byte_and_no_further() {
        for profile in Profile::ALL {
            let end_mark = if profile.version() == Version::V5 { SUBHEADER_BYTES } else { 0 };
            let exact = HEADER_BYTES + SUBHEADER_BYTES + 2 * profile.state_bytes() + end_mark;
            for (space, states) in [(exact, 2), (exact - 1, 1), (exact + 3, 2)] {
                let mut buffer = vec![0xee; space + 8];
                let mut writer = FrameWriter::new(&mut buffer[..space], profile, &OPTIONS).unwrap();
                let mut written = 0;
                while writer.push_state(Action::Insert, &FullState::EMPTY).is_ok() {
                    written += 1;
                }
                assert_eq!(written, states, "{profile} in {space}");
                assert!(writer.finish() <= space);
                assert_eq!(buffer[space..], [0xee; 8]);
            }
        }
    }

    #[test]
    fn the_trailer_follows_the_length() {
        let mut buffer = [0xff; 100];
        let options = WriterOptions { trailer: 40, ..OPTIONS };
        let mut writer = FrameWriter::new(&mut buffer, Profile::OpenBsd6, &options).unwrap();
        writer.push_id(Action::InsertAck, Identity { id: 1, creator: 1 }).unwrap();
        writer.push_id(Action::InsertAck, Identity { id: 2, creator: 1 }).unwrap();
        assert_eq!(writer.push_id(Action::InsertAck, Identity { id: 3, creator: 1 }), Ok(()));
        assert_eq!(writer.push_id(Action::InsertAck, Identity { id: 4, creator: 1 }), Err(Full));
        assert_eq!(writer.finish(), 100);
        assert_eq!(buffer[2..4], [0, 60]);
        assert_eq!(buffer[60..], [0; 40]);
    }

    #[test]
    fn a_buffer_too_small_for_an_empty_frame_is_refused() {
        for (profile, min_bytes) in [(Profile::OpenBsd6, 20), (Profile::FreeBsd1500, 24)] {
            let mut buffer = vec![0; min_bytes];
            assert!(FrameWriter::new(&mut buffer, profile, &OPTIONS).is_ok());
            let options = WriterOptions { trailer: 1, ..OPTIONS };
            assert!(FrameWriter::new(&mut buffer[..20], profile, &options).is_err());
            assert!(FrameWriter::new(&mut buffer[1..], profile, &OPTIONS).is_err());
            let options = WriterOptions { trailer: usize::MAX, ..OPTIONS };
            assert!(FrameWriter::new(&mut buffer, profile, &options).is_err());
        }
    }

    #[test]
    fn a_frame_is_never_longer_than_its_length_field_allows() {
        let mut buffer = vec![0; 70_000];
        let mut writer = FrameWriter::new(&mut buffer, Profile::FreeBsd1301, &OPTIONS).unwrap();
        while writer.push_id(Action::InsertAck, Identity::BULK).is_ok() {}
        let length = writer.finish();
        assert!(length <= 65535 && length > 65535 - 12, "{length}");
        assert_eq!(usize::from(u16::from_be_bytes([buffer[2], buffer[3]])), length);
    }
}
