//! Reads a frame region by region.

mod records;
mod region;

use zerocopy::FromBytes;

pub use records::Records;
pub use region::Region;

use crate::action::Action;
use crate::error::{FrameError, RegionError};
use crate::layout::{self, Message};
use crate::profile::Version;
use crate::trailer::{Trailer, TrailerError};
use crate::{HEADER_BYTES, SUBHEADER_BYTES};

/// Reads one frame of version 5 or 6 as the kernels do (`pfsync_input` of OpenBSD and FreeBSD).
///
/// Regions are returned in wire order. [`Self::next_region`] checks the length of a region once; after that, reading its
/// records cannot fail. [`FullState::validate`](crate::FullState::validate) says whether a record may be used.
#[derive(Clone, Debug)]
pub struct FrameReader<'a> {
    /// The frame up to the length in its header.
    frame: &'a [u8],
    trailer: &'a [u8],
    version: Version,
    /// Offset of the next subheader.
    at: usize,
    has_ended: bool,
}

impl<'a> FrameReader<'a> {
    /// Reads the header. `payload` is what follows the IP header, as long as the IP header says.
    ///
    /// # Errors
    /// The reason to drop the frame; the checks are made in the order of [`FrameError`].
    #[inline]
    pub fn new(payload: &'a [u8]) -> Result<Self, FrameError> {
        let (header, _) = layout::Header::ref_from_prefix(payload).map_err(|_| FrameError::Header)?;
        let version = Version::from_number(header.version).ok_or(FrameError::Version)?;
        let len = usize::from(header.len.get());
        if len < HEADER_BYTES {
            return Err(FrameError::Length);
        }
        let (frame, trailer) = payload.split_at_checked(len).ok_or(FrameError::Length)?;
        Ok(Self { frame, trailer, version, at: HEADER_BYTES, has_ended: false })
    }

    /// Returns the version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Returns the length in the frame's header.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.frame.len()
    }

    /// Returns the sender's ruleset checksum. OpenBSD 7.4 and later send zeros and ignore it.
    #[must_use]
    pub fn checksum(&self) -> [u8; 16] {
        layout::Header::ref_from_prefix(self.frame).map_or([0; 16], |(header, _)| header.pfcksum)
    }

    /// Returns the bytes after the frame, which both kernels ignore.
    #[must_use]
    pub const fn trailer_bytes(&self) -> &'a [u8] {
        self.trailer
    }

    /// Reads the trailer that pfplane nodes put behind the frame; `Ok(None)` if it has none.
    ///
    /// # Errors
    /// Why the trailer is not read. The frame itself is not affected.
    pub fn trailer(&self) -> Result<Option<Trailer<'a>>, TrailerError> {
        Trailer::parse(self.trailer)
    }

    /// Returns the next region; `None` at the end of the frame.
    ///
    /// After an error that [`RegionError::ends_frame`], the next call returns `None`.
    #[inline]
    pub fn next_region(&mut self) -> Option<Result<Region<'a>, RegionError>> {
        let rest = &self.frame[self.at..];
        if self.has_ended {
            return if rest.is_empty() { None } else { self.stop(RegionError::AfterEnd) };
        }
        // Both kernels ignore a rest that is shorter than a subheader.
        let (subheader, body) = layout::Subheader::ref_from_prefix(rest).ok()?;
        let message = self.version.message(subheader.action);
        let result = match self.version {
            Version::V6 => Self::stride_6(subheader, message),
            Version::V5 => message.map(|known| (known, known.bytes as usize)).ok_or(Unread::Action),
        };
        let count = subheader.count.get();
        let offset = self.at;
        match result {
            Ok((message, stride)) => {
                let Some(bytes) = body.get(..stride * usize::from(count)) else {
                    return self.stop(RegionError::Length);
                };
                self.at += SUBHEADER_BYTES + bytes.len();
                self.has_ended = message.action == Action::Eof;
                Some(Ok(Region { message, version: self.version, bytes, stride, count, offset }))
            }
            Err(Unread::Skip(total)) if total <= body.len() => {
                self.at += SUBHEADER_BYTES + total;
                Some(Err(RegionError::Skipped))
            }
            Err(Unread::Skip(_)) => self.stop(RegionError::Length),
            Err(Unread::Action) => self.stop(RegionError::Action),
        }
    }

    /// Returns the message and the distance of its records. A subheader of version 6 has the records' length, so that
    /// receivers can read the known part of longer records and skip unknown messages.
    #[inline]
    fn stride_6(
        subheader: &layout::Subheader,
        message: Option<&'static Message>,
    ) -> Result<(&'static Message, usize), Unread> {
        let stride = usize::from(subheader.len) * 4;
        let total = stride * usize::from(subheader.count.get());
        match message {
            Some(known) if stride >= known.bytes as usize => Ok((known, stride)),
            None if WITHOUT_HANDLER_6.contains(&subheader.action) => Err(Unread::Skip(total)),
            _ if total > 0 => Err(Unread::Skip(total)),
            _ => Err(Unread::Action),
        }
    }

    #[inline]
    fn stop(&mut self, error: RegionError) -> Option<Result<Region<'a>, RegionError>> {
        self.at = self.frame.len();
        Some(Err(error))
    }
}

/// Why the records of a region are not read.
enum Unread {
    /// Skip this many bytes.
    Skip(usize),
    /// The length is unknown.
    Action,
}

/// Numbers that OpenBSD has no handler for. It skips them even if the subheader has no length.
const WITHOUT_HANDLER_6: [u8; 6] = [1, 3, 8, 9, 11, 12];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;

    /// Builds a frame of regions `(action, words, count, body)`.
    fn frame(version: u8, regions: &[(u8, u8, u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        for (action, words, count, body) in regions {
            bytes.extend([*action, *words]);
            bytes.extend(count.to_be_bytes());
            bytes.extend(*body);
        }
        let len = bytes.len() as u16;
        bytes[0] = version;
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        bytes
    }

    /// Returns the action and the number of records of each region, or its error.
    fn read(bytes: &[u8]) -> Vec<Result<(Action, usize), RegionError>> {
        let mut reader = FrameReader::new(bytes).unwrap();
        let mut seen = Vec::new();
        while let Some(region) = reader.next_region() {
            seen.push(region.map(|region| (region.action(), region.records().count())));
        }
        seen
    }

    #[test]
    fn a_bad_header_has_its_own_error() {
        let error = |bytes: &[u8]| FrameReader::new(bytes).err();
        for length in 0..HEADER_BYTES {
            assert_eq!(error(&vec![6; length]), Some(FrameError::Header));
        }
        for version in [0, 1, 2, 3, 4, 7, 255] {
            assert_eq!(error(&frame(version, &[])), Some(FrameError::Version));
        }
        for version in [5, 6] {
            for len in [0u16, 1, 19, 21, 23, 24, 65535] {
                let mut bytes = frame(version, &[]);
                bytes[2..4].copy_from_slice(&len.to_be_bytes());
                assert_eq!(error(&bytes), Some(FrameError::Length), "{len}");
            }
            assert_eq!(read(&frame(version, &[])), []);
        }
    }

    #[test]
    fn bytes_after_the_length_are_the_trailer() {
        let mut bytes = frame(6, &[(7, 3, 1, &[0; 12])]);
        bytes.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(read(&bytes), [Ok((Action::DeleteCompressed, 1))]);
        assert_eq!(FrameReader::new(&bytes).unwrap().trailer_bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_message_without_a_length_ends_a_version_6_frame() {
        for (action, words, count) in
            [(99, 0, 1), (99, 1, 0), (16, 0, 0), (255, 0, 65535), (7, 0, 1), (7, 2, 0)]
        {
            let bytes = frame(6, &[(7, 3, 1, &[0; 12]), (action, words, count, &[]), (7, 3, 1, &[0; 12])]);
            let expected = [Ok((Action::DeleteCompressed, 1)), Err(RegionError::Action)];
            assert_eq!(read(&bytes), expected, "{action} {words} {count}");
        }
    }

    #[test]
    fn a_region_longer_than_the_frame_ends_it_and_keeps_earlier_ones() {
        for (version, words, count) in [(6, 3, 2), (6, 255, 65535), (5, 0, 2), (5, 0, 65535)] {
            let bytes = frame(version, &[(2, 3, 1, &[0; 12]), (7, words, count, &[0; 23])]);
            let expected = [Ok((Action::InsertAck, 1)), Err(RegionError::Length)];
            assert_eq!(read(&bytes), expected);
        }
    }

    #[test]
    fn version_5_ends_at_its_end_mark_or_an_unknown_message() {
        let delete: (u8, u8, u16, &[u8]) = (7, 0, 1, &[0; 12]);
        let seen = read(&frame(5, &[delete, (12, 0, 1, &[]), delete]));
        let expected = [Ok((Action::DeleteCompressed, 1)), Ok((Action::Eof, 0)), Err(RegionError::AfterEnd)];
        assert_eq!(seen, expected);
        for unknown in [8, 9, 17, 18, 255] {
            let seen = read(&frame(5, &[delete, (unknown, 0, 1, &[0; 4]), delete]));
            assert_eq!(seen, [Ok((Action::DeleteCompressed, 1)), Err(RegionError::Action)]);
        }
        assert_eq!(read(&frame(5, &[delete])), [Ok((Action::DeleteCompressed, 1))]);
    }

    #[test]
    fn a_region_may_have_no_records() {
        for (version, action) in (0..=255).flat_map(|action| [(5, action), (6, action)]) {
            for region in read(&frame(version, &[(action, 66, 0, &[])])) {
                assert!(matches!(region, Ok((_, 0)) | Err(_)), "version {version} action {action}");
            }
        }
    }

    #[test]
    fn typed_iterators_read_only_their_own_regions() {
        for (version, words) in [(6, [66, 21, 3]), (5, [0, 0, 0])] {
            let state = [1; 300];
            let size = if version == 6 { 264 } else { 277 };
            let bytes = frame(
                version,
                &[(13, words[0], 1, &state[..size]), (4, words[1], 2, &[1; 168]), (7, words[2], 1, &[1; 12])],
            );
            let mut reader = FrameReader::new(&bytes).unwrap();
            while let Some(Ok(region)) = reader.next_region() {
                let mut typed = Vec::new();
                region.for_each_state(|state| typed.push(Record::State(*state)));
                typed.extend(region.compressed_updates().map(Record::Compressed));
                typed.extend(region.ids().map(Record::Id));
                assert_eq!(typed, region.records().collect::<Vec<_>>());
                assert_eq!(region.records().count(), usize::from(region.count()));
            }
        }
    }
}
