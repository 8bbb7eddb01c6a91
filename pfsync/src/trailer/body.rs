//! Where the records of an encrypted frame are.
//!
//! ```text
//! signed     header | records | trailer's fields | options | tag
//! encrypted  header | trailer's fields | records | options | tag       the header's length is that of an empty frame
//!                                       \---- encrypted ----/
//! ```

use core::ops::Range;

use super::{FORMAT, MAGIC, Protection, TAG_BYTES, TRAILER_BYTES};
use crate::HEADER_BYTES;

/// Offset of the length in a frame's header.
const LENGTH: usize = 2;
/// Offset of the protection in the trailer's fields.
const PROTECTION: usize = 4;
/// Offset of the number of option bytes in the trailer's fields.
const OPTION_BYTES: usize = 28;
/// Where the encrypted bytes begin.
const ENCRYPTED: usize = HEADER_BYTES + TRAILER_BYTES;

/// Changes a signed frame, the whole IP payload, to an encrypted one: moves its records behind the fields of the trailer. Returns the
/// bytes to encrypt; the tag is behind them. `None` if it is not a signed frame with a trailer.
pub fn hide_body(payload: &mut [u8]) -> Option<Range<usize>> {
    let length = length_of(payload)?;
    let records = length.checked_sub(HEADER_BYTES)?;
    let options = options_at(payload, length, Protection::Gmac)?;
    let end = length + TRAILER_BYTES + options;
    if payload.len() != end + TAG_BYTES {
        return None;
    }
    payload[HEADER_BYTES..length + TRAILER_BYTES].rotate_left(records);
    change(payload, HEADER_BYTES, HEADER_BYTES, Protection::Gcm);
    Some(ENCRYPTED..end)
}

/// Changes an encrypted frame, whose bytes have been decrypted, to a signed one: the reverse of [`hide_body`]. Returns false if it is
/// not an encrypted frame, or has records that are not encrypted. It is unchanged then.
#[must_use]
pub fn reveal_body(payload: &mut [u8]) -> bool {
    reveal(payload).is_some()
}

fn reveal(payload: &mut [u8]) -> Option<()> {
    let length = length_of(payload)?;
    let options = options_at(payload, HEADER_BYTES, Protection::Gcm).filter(|_| length == HEADER_BYTES)?;
    let records = payload.len().checked_sub(ENCRYPTED + options + TAG_BYTES)?;
    let length = HEADER_BYTES + records;
    u16::try_from(length).ok()?;
    payload[HEADER_BYTES..length + TRAILER_BYTES].rotate_left(TRAILER_BYTES);
    change(payload, length, length, Protection::Gmac);
    Some(())
}

fn length_of(payload: &[u8]) -> Option<usize> {
    Some(u16::from_be_bytes(*payload.get(LENGTH..)?.first_chunk()?).into())
}

/// Returns the bytes of options of a trailer at `at` with this protection.
fn options_at(payload: &[u8], at: usize, protection: Protection) -> Option<usize> {
    let fields: &[u8; TRAILER_BYTES] = payload.get(at..)?.first_chunk()?;
    let is_ours = fields.starts_with(&MAGIC) && fields[PROTECTION] == FORMAT << 4 | protection as u8;
    is_ours.then(|| u16::from_be_bytes([fields[OPTION_BYTES], fields[OPTION_BYTES + 1]]).into())
}

/// Writes the length into the header, and the protection into the trailer at `at`.
fn change(payload: &mut [u8], length: usize, at: usize, protection: Protection) {
    payload[LENGTH..LENGTH + 2].copy_from_slice(&(length as u16).to_be_bytes());
    payload[at + PROTECTION] = FORMAT << 4 | protection as u8;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Action, FrameReader, FrameWriter, Identity, Profile, TrailerFields, TrailerOption, WriterOptions,
    };

    fn frame(profile: Profile, protection: Protection, records: u64, option: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0xee; 1480];
        let mut writer = FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).unwrap();
        writer.begin_trailer(protection).unwrap();
        if !option.is_empty() {
            writer.push_option(&TrailerOption { kind: 99, value: option }).unwrap();
        }
        for id in 0..records {
            writer.push_id(Action::InsertAck, Identity { id, creator: 2 }).unwrap();
        }
        let length = writer.finish_with(&TrailerFields { sequence: 7, ..TrailerFields::default() });
        buffer.truncate(length);
        buffer
    }

    #[test]
    fn an_encrypted_frame_is_empty_to_stock_systems_and_is_restored() {
        for profile in Profile::ALL {
            for (records, option) in [(0, &b""[..]), (1, b""), (0, b"option"), (3, b"option"), (100, b"")] {
                let signed = frame(profile, Protection::Gmac, records, option);
                let encrypted = frame(profile, Protection::Gcm, records, option);
                let mut hidden = signed.clone();
                let range = hide_body(&mut hidden).unwrap();
                assert_eq!(hidden, encrypted, "the writer does the same");
                let mut reader = FrameReader::new(&hidden).unwrap();
                let trailer = reader.trailer().unwrap().unwrap();
                assert_eq!((trailer.fields().protection, trailer.fields().sequence), (Protection::Gcm, 7));
                assert_eq!(trailer.encrypted_bytes(), &hidden[range.clone()]);
                assert_eq!((trailer.tag().len(), trailer.options().count()), (TAG_BYTES, 0));
                assert_eq!((reader.length(), range.end + TAG_BYTES), (HEADER_BYTES, hidden.len()));
                assert_eq!(reader.length() + trailer.length(), hidden.len());
                assert!(reader.next_region().is_none());
                assert!(hide_body(&mut hidden).is_none(), "it is encrypted already");
                assert!(reveal_body(&mut hidden));
                assert_eq!(hidden, signed, "{profile} {records}");
                assert!(!reveal_body(&mut hidden));
            }
        }
    }

    #[test]
    fn no_edit_of_an_encrypted_frame_reaches_beyond_it() {
        let whole = frame(Profile::OpenBsd6, Protection::Gcm, 3, b"option");
        for length in 0..=whole.len() {
            for at in 0..ENCRYPTED {
                for value in [0, 1, 20, 21, 0x12, 0xff] {
                    let mut edited = whole[..length].to_vec();
                    if let Some(byte) = edited.get_mut(at) {
                        *byte = value;
                    }
                    let before = edited.clone();
                    if reveal_body(&mut edited) {
                        assert!(hide_body(&mut edited).is_some());
                        assert_eq!(edited, before);
                    }
                }
            }
        }
        let mut with_records = frame(Profile::OpenBsd6, Protection::Gmac, 3, b"");
        let at = with_records.len() - TAG_BYTES - TRAILER_BYTES + PROTECTION;
        with_records[at] = FORMAT << 4 | Protection::Gcm as u8;
        assert!(!reveal_body(&mut with_records) && hide_body(&mut with_records).is_none());
    }
}
