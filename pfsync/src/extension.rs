//! What pfplane nodes tell each other besides pfsync: a region of records behind the length in a frame's header, where both
//! kernels ignore it.
//!
//! ```text
//! region:  magic d5 70 66 78 | length (2, with this header) | format 1 | 0 | record record ...
//! record:  kind | 0 | bytes of the value (2) | id (8) | creator (4) | value, padded with zeros to 4 bytes
//! ```
//!
//! Numbers are big endian. Another trailer may follow the region. Unknown kinds are skipped.

use crate::record::Identity;

const MAGIC: [u8; 4] = [0xd5, b'p', b'f', b'x'];
const FORMAT: u8 = 1;

/// Length of the region's header.
pub(crate) const REGION_HEADER_BYTES: usize = 8;
const RECORD_HEADER_BYTES: usize = 16;

/// Kinds of extension records.
pub mod extension_kind {
    /// The host's own bytes of a state.
    pub const OPAQUE: u8 = 1;
    /// Fields of a state that the profile of the frame does not have.
    pub const FIELDS: u8 = 2;
}

/// A record of an extension region: something about one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionRecord<'a> {
    /// See [`extension_kind`].
    pub kind: u8,
    /// The state.
    pub id: Identity,
    /// The value.
    pub value: &'a [u8],
}

/// A region or a record that does not fit into its bytes. What follows is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadExtension;

/// Returns the bytes of a record with a value of this length.
#[must_use]
pub const fn extension_bytes(value: usize) -> usize {
    RECORD_HEADER_BYTES + value.next_multiple_of(4)
}

/// The records of a frame's extension region.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    records: &'a [u8],
    is_bad: bool,
}

impl<'a> Extensions<'a> {
    /// Reads the header of the region that a trailer begins with. Without a region there are no records.
    pub(crate) fn new(trailer: &'a [u8]) -> Self {
        let none = Self { records: &[], is_bad: false };
        let Some((&[a, b, c, d, high, low, version, _], rest)) = trailer.split_first_chunk() else {
            return none;
        };
        if [a, b, c, d] != MAGIC || version != FORMAT {
            return none;
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        match length.checked_sub(REGION_HEADER_BYTES).and_then(|length| rest.get(..length)) {
            Some(records) => Self { records, is_bad: false },
            None => Self { is_bad: true, ..none },
        }
    }

    fn read(&mut self) -> Option<ExtensionRecord<'a>> {
        let (header, rest) = self.records.split_first_chunk::<RECORD_HEADER_BYTES>()?;
        let [kind, _, high, low, id @ ..] = *header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = rest.get(..length)?;
        self.records = rest.get(length.next_multiple_of(4)..)?;
        let (id, creator) = id.split_first_chunk::<8>()?;
        let creator = u32::from_be_bytes(*creator.first_chunk()?);
        Some(ExtensionRecord { kind, id: Identity { id: u64::from_be_bytes(*id), creator }, value })
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<ExtensionRecord<'a>, BadExtension>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_bad {
            self.is_bad = false;
            return Some(Err(BadExtension));
        }
        if self.records.is_empty() {
            return None;
        }
        let record = self.read();
        if record.is_none() {
            self.records = &[];
        }
        Some(record.ok_or(BadExtension))
    }
}

/// Writes the header of a region with `records` bytes of records.
pub(crate) fn write_header(records: usize, header: &mut [u8; REGION_HEADER_BYTES]) {
    let [high, low] = ((REGION_HEADER_BYTES + records) as u16).to_be_bytes();
    let [a, b, c, d] = MAGIC;
    *header = [a, b, c, d, high, low, FORMAT, 0];
}

/// Writes a record into exactly [`extension_bytes`].
pub(crate) fn write_record(record: &ExtensionRecord<'_>, bytes: &mut [u8]) {
    let (header, value) = bytes.split_at_mut(RECORD_HEADER_BYTES);
    header[..4].copy_from_slice(&[record.kind, 0, (record.value.len() >> 8) as u8, record.value.len() as u8]);
    header[4..12].copy_from_slice(&record.id.id.to_be_bytes());
    header[12..].copy_from_slice(&record.id.creator.to_be_bytes());
    let (filled, padding) = value.split_at_mut(record.value.len());
    filled.copy_from_slice(record.value);
    padding.fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, FrameReader, FrameWriter, Full, Profile, WriterOptions};

    const VALUES: [&[u8]; 3] = [b"", b"tenant 17", &[7; 64]];

    fn record(n: usize) -> ExtensionRecord<'static> {
        ExtensionRecord { kind: 1, id: Identity { id: n as u64, creator: 9 }, value: VALUES[n] }
    }

    /// A frame with one identity and these extension records.
    fn frame(profile: Profile, records: usize, trailer: usize) -> Vec<u8> {
        let mut buffer = vec![0xee; 1480];
        let options = WriterOptions { trailer, ..WriterOptions::default() };
        let mut writer = FrameWriter::new(&mut buffer, profile, &options).unwrap();
        for n in 0..records {
            writer.push_extension(&record(n)).unwrap();
        }
        writer.push_id(Action::InsertAck, Identity { id: 1, creator: 2 }).unwrap();
        let length = writer.finish();
        buffer.truncate(length);
        buffer
    }

    #[test]
    fn records_behind_the_length_read_back_and_a_trailer_may_follow() {
        for profile in Profile::ALL {
            for trailer in [0, 48] {
                for records in 0..=3 {
                    let frame = frame(profile, records, trailer);
                    let mut reader = FrameReader::new(&frame).unwrap();
                    let mut read: Vec<_> = reader.extensions().map(Result::unwrap).collect();
                    read.reverse();
                    assert_eq!(read, (0..records).map(record).collect::<Vec<_>>());
                    assert_eq!(frame[frame.len() - trailer..], vec![0; trailer]);
                    let region = reader.next_region().unwrap().unwrap();
                    assert_eq!((region.action(), region.count()), (Action::InsertAck, 1));
                    // FreeBSD counts a frame with bytes behind its end mark.
                    let has_mark = profile != Profile::OpenBsd6 && records == 0;
                    assert_eq!(reader.next_region().is_some(), has_mark, "{profile} {records}");
                }
            }
        }
    }

    #[test]
    fn the_bytes_are_the_documented_ones() {
        let mut buffer = [0xee; 200];
        let mut writer = FrameWriter::new(&mut buffer, Profile::OpenBsd6, &WriterOptions::default()).unwrap();
        let id = Identity { id: 0x0102_0304_0506_0708, creator: 0x0a0b_0c0d };
        writer.push_extension(&ExtensionRecord { kind: 1, id, value: b"abcde" }).unwrap();
        let length = writer.finish();
        assert_eq!((length, buffer[2..4].to_vec()), (20 + 8 + 24, vec![0, 20]));
        assert_eq!(buffer[20..28], [0xd5, 0x70, 0x66, 0x78, 0, 32, 1, 0]);
        assert_eq!(buffer[28..44], [1, 0, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13]);
        assert_eq!(buffer[44..52], *b"abcde\0\0\0");
    }

    #[test]
    fn a_record_that_does_not_fit_leaves_the_frame_as_it_is() {
        for profile in Profile::ALL {
            let mut buffer = [0; 80];
            let mut writer = FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).unwrap();
            let free = writer.remaining();
            assert_eq!(writer.push_extension(&record(2)), Err(Full));
            writer.push_extension(&record(1)).unwrap();
            assert_eq!(writer.remaining(), free - 8 - 28);
            assert_eq!(writer.push_extension(&record(1)), Err(Full));
            let length = writer.finish();
            let reader = FrameReader::new(&buffer[..length]).unwrap();
            assert_eq!(reader.extensions().map(Result::unwrap).collect::<Vec<_>>(), [record(1)]);
        }
    }

    #[test]
    fn a_damaged_region_is_read_up_to_the_damage() {
        let whole = frame(Profile::OpenBsd6, 3, 0);
        let start = whole.len() - FrameReader::new(&whole).unwrap().trailer().len();
        let read = |frame: &[u8]| {
            let records: Vec<_> = FrameReader::new(frame).unwrap().extensions().collect();
            (records.iter().flatten().count(), records.iter().filter(|record| record.is_err()).count())
        };
        assert_eq!(read(&whole), (3, 0));
        for (at, value, expected) in [
            (start, 0, (0, 0)),          // not the magic
            (start + 6, 2, (0, 0)),      // another format
            (start + 4, 0xff, (0, 1)),   // longer than the packet
            (start + 5, 7, (0, 1)),      // shorter than its header
            (start + 5, 8 + 15, (0, 1)), // ends within a record
            (start + 10, 0xff, (0, 1)),  // a value longer than the region
            (start + 11, 61, (3, 0)),    // a shorter value with the same padding
        ] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            assert_eq!(read(&damaged), expected, "{at} {value}");
        }
        for cut in start..whole.len() {
            let (_, bad) = read(&whole[..cut]);
            assert!(bad <= 1);
        }
    }
}
