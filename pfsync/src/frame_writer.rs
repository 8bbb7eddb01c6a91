//! Fills a slice with regions of records; `record_writer.rs` has the calls that add each kind.

use core::borrow::Borrow;

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, IntoBytes};

use super::layout::{self, Emit};
use super::profile::{Action, Body, Message, Profile, Version};
use super::{HEADER_BYTES, SUBHEADER_BYTES};

/// What a frame has besides its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterOptions {
    /// Ruleset checksum. Zeros towards OpenBSD 7.4 and later, and unless one is configured (`protocol` section 1.1).
    pub checksum: [u8; 16],
    /// Bytes kept free behind the frame's own length, where both kernels ignore them: a place for an authenticated
    /// mode later. They are written as zeros and are part of what [`FrameWriter::finish`] returns.
    pub trailer: usize,
}

/// The record does not fit: finish this frame and put it into the next. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Why no frame can be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterError {
    /// The slice has no room for the header, the end mark and the trailer.
    NoRoom,
}

/// Writes one frame into a slice.
///
/// Records of one action that follow each other share a region. Nothing is written beyond the slice, which is to be
/// as long as the path's MTU less the IP header. The writer takes records in the order in which they are given;
/// the order of the systems' own senders is [`Profile::region_order`].
///
/// Cost: one bounds check and the record's fields; a region adds two stores.
///
/// ```
/// use pfplane::wire::{Action, FrameReader, FrameWriter, Identity, Profile, Record, WriterOptions};
///
/// let mut payload = [0; 1480];
/// let mut writer = FrameWriter::new(&mut payload, Profile::OpenBsd6, &WriterOptions::default()).unwrap();
/// writer.push_id(Action::UpdateRequest, Identity::BULK).unwrap();
/// let length = writer.finish();
///
/// let mut reader = FrameReader::new(&payload[..length]).unwrap();
/// let region = reader.next_region().unwrap().unwrap();
/// assert_eq!(region.action(), Action::UpdateRequest);
/// assert_eq!(region.records().next(), Some(Record::Id(Identity::BULK)));
/// ```
#[derive(Debug)]
pub struct FrameWriter<'a> {
    buffer: &'a mut [u8],
    profile: Profile,
    trailer: usize,
    /// Records end here at the latest: what follows is kept for the end mark and the trailer.
    limit: usize,
    at: usize,
    region: OpenRegion,
}

/// The region that the next record of the same action joins.
#[derive(Debug)]
struct OpenRegion {
    /// Where its subheader is; 0 when no region was begun.
    start: usize,
    number: u8,
    words: u8,
    count: u16,
}

const LONGEST: usize = u16::MAX as usize;

impl<'a> FrameWriter<'a> {
    /// Begins a frame in `buffer`.
    ///
    /// # Errors
    /// [`WriterError::NoRoom`] when the slice cannot hold even an empty frame.
    #[inline]
    pub fn new(buffer: &'a mut [u8], profile: Profile, options: &WriterOptions) -> Result<Self, WriterError> {
        let end = match profile.version() {
            Version::V5 => SUBHEADER_BYTES,
            Version::V6 => 0,
        };
        let room = buffer.len().checked_sub(options.trailer).ok_or(WriterError::NoRoom)?;
        let limit = room.min(LONGEST).checked_sub(end).ok_or(WriterError::NoRoom)?;
        if limit < HEADER_BYTES {
            return Err(WriterError::NoRoom);
        }
        let (header, _) = layout::Header::mut_from_prefix(buffer).map_err(|_| WriterError::NoRoom)?;
        header.version = profile.version() as u8;
        header.pad = 0;
        header.pfcksum = options.checksum;
        let region = OpenRegion { start: 0, number: 0, words: 0, count: 0 };
        Ok(Self { buffer, profile, trailer: options.trailer, limit, at: HEADER_BYTES, region })
    }

    /// The dialect that is written.
    #[inline]
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.at == HEADER_BYTES
    }

    /// Bytes that the frame has so far, without end mark and trailer.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.at
    }

    /// Whether the dialect can say this action by a record. The end mark it sets itself.
    #[must_use]
    pub fn can_say(&self, action: Action) -> bool {
        self.profile.message(action).is_some_and(|message| message.body != Body::Nothing)
    }

    /// Whether a record of this action has room.
    #[must_use]
    pub fn has_room(&self, action: Action) -> bool {
        self.profile.message(action).is_some_and(|message| {
            self.joins(message) && self.limit - self.at >= message.bytes as usize
                || self.limit - self.at >= SUBHEADER_BYTES + message.bytes as usize
        })
    }

    /// Ends the frame and returns its bytes, trailer included. The frame's own length does not count the trailer.
    // Always, so that the writer never leaves the registers.
    #[inline(always)]
    pub fn finish(mut self) -> usize {
        if self.profile.version() == Version::V5 {
            self.close_region();
            let end = layout::Subheader { action: END_OF_FRAME, len: 0, count: U16::new(1) };
            if let Ok((mark, _)) = layout::Subheader::mut_from_prefix(&mut self.buffer[self.at..]) {
                *mark = end;
            }
            self.at += SUBHEADER_BYTES;
        }
        self.close_region();
        let len = self.at;
        if let Ok((header, _)) = layout::Header::mut_from_prefix(self.buffer) {
            header.len = U16::new(len as u16);
        }
        if self.trailer > 0 {
            self.buffer[len..len + self.trailer].fill(0);
        }
        len + self.trailer
    }

    /// Whether a record of this message joins the open region.
    #[inline]
    const fn joins(&self, message: &Message) -> bool {
        self.region.start != 0 && self.region.number == message.number && self.region.count < u16::MAX
    }

    /// Writes records of one message while there are any and there is room, and says how many.
    #[inline(always)]
    pub(super) fn fill<W: FromBytes + IntoBytes, R: Emit<W>>(
        &mut self,
        message: &Message,
        records: impl IntoIterator<Item: Borrow<R>>,
    ) -> usize {
        let joins = self.joins(message);
        let (start, most) = match joins {
            true => (self.at, u16::MAX - self.region.count),
            false => (self.at + SUBHEADER_BYTES, u16::MAX),
        };
        let Some(free) = self.buffer.get_mut(start..self.limit) else { return 0 };
        let room = (free.len() / size_of::<W>()).min(usize::from(most));
        let Ok((places, _)) = <[W]>::mut_from_prefix_with_elems(free, room) else { return 0 };
        let mut written = 0;
        for (place, record) in places.iter_mut().zip(records) {
            record.borrow().emit(place);
            written += 1;
        }
        if written > 0 {
            if !joins {
                self.begin_region(message);
            }
            self.at += written * size_of::<W>();
            self.region.count += written as u16;
        }
        written
    }

    /// The next record, which is one of this message, begins a region.
    pub(super) fn end_region_before(&mut self, message: &Message) -> Result<(), Full> {
        if self.limit - self.at < SUBHEADER_BYTES + message.bytes as usize {
            return Err(Full);
        }
        self.close_region();
        Ok(())
    }

    #[inline]
    fn begin_region(&mut self, message: &Message) {
        self.close_region();
        let words = match self.profile.version() {
            Version::V5 => 0,
            Version::V6 => (message.bytes / 4) as u8,
        };
        self.region = OpenRegion { start: self.at, number: message.number, words, count: 0 };
        self.at += SUBHEADER_BYTES;
    }

    /// Writes the subheader of the open region, now that its count is known.
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

/// Number of the mark that ends a frame of version 5.
const END_OF_FRAME: u8 = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FullState, Identity};

    const OPTIONS: WriterOptions = WriterOptions { checksum: [0; 16], trailer: 0 };

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_bulk_requests_of_the_reference_come_out() {
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
            assert_eq!(hex(&buffer[..length]), expected, "protocol section 10");
        }
    }

    #[test]
    fn the_delete_of_the_reference_comes_out() {
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
    fn a_frame_is_filled_to_its_last_byte_and_no_further() {
        for profile in Profile::ALL {
            let end = if profile.version() == Version::V5 { SUBHEADER_BYTES } else { 0 };
            let exact = HEADER_BYTES + SUBHEADER_BYTES + 2 * profile.state_bytes() + end;
            for (room, states) in [(exact, 2), (exact - 1, 1), (exact + 3, 2)] {
                let mut buffer = vec![0xee; room + 8];
                let mut writer = FrameWriter::new(&mut buffer[..room], profile, &OPTIONS).unwrap();
                let mut written = 0;
                while writer.push_state(Action::Insert, &FullState::EMPTY).is_ok() {
                    written += 1;
                }
                assert_eq!(written, states, "{profile:?} in {room}");
                assert!(writer.finish() <= room);
                assert_eq!(buffer[room..], [0xee; 8]);
            }
        }
    }

    #[test]
    fn the_trailer_lies_behind_the_length() {
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
    fn a_slice_without_room_for_an_empty_frame_is_refused() {
        for (profile, least) in [(Profile::OpenBsd6, 20), (Profile::FreeBsd1500, 24)] {
            let mut buffer = vec![0; least];
            assert!(FrameWriter::new(&mut buffer, profile, &OPTIONS).is_ok());
            let options = WriterOptions { trailer: 1, ..OPTIONS };
            assert!(FrameWriter::new(&mut buffer, profile, &options).is_err());
            assert!(FrameWriter::new(&mut buffer[1..], profile, &OPTIONS).is_err());
            let options = WriterOptions { trailer: usize::MAX, ..OPTIONS };
            assert!(FrameWriter::new(&mut buffer, profile, &options).is_err());
        }
    }

    #[test]
    fn a_frame_is_never_longer_than_its_length_field_can_say() {
        let mut buffer = vec![0; 70_000];
        let mut writer = FrameWriter::new(&mut buffer, Profile::FreeBsd1301, &OPTIONS).unwrap();
        while writer.push_id(Action::InsertAck, Identity::BULK).is_ok() {}
        let length = writer.finish();
        assert!(length <= 65535 && length > 65535 - 12, "{length}");
        assert_eq!(usize::from(u16::from_be_bytes([buffer[2], buffer[3]])), length);
    }
}
