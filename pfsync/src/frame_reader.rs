//! Reads a frame region by region.

use zerocopy::FromBytes;

use super::frame_error::{FrameError, RegionError};
use super::profile::{Action, Message, Version};
use super::region::Region;
use super::{HEADER_BYTES, SUBHEADER_BYTES, layout};

/// Reads one frame of version 5 or 6: the bytes that follow the IP header, as many as the IP header says there are.
///
/// Regions come in the order of the wire. [`Self::next_region`] checks a region's length against what is there, once;
/// after that none of its records can fail to be read. Whether a record makes sense is another question:
/// see [`super::FullState::validate`].
#[derive(Clone, Debug)]
pub struct FrameReader<'a> {
    /// The frame up to its own length.
    frame: &'a [u8],
    trailer: &'a [u8],
    version: Version,
    /// Where the next subheader is. At the end of the frame nothing is left.
    at: usize,
    end_mark: bool,
}

impl<'a> FrameReader<'a> {
    /// Begins to read.
    ///
    /// # Errors
    /// A frame that is to be dropped whole; the tests are made in the order of [`FrameError`].
    #[inline]
    pub fn new(payload: &'a [u8]) -> Result<Self, FrameError> {
        let (header, _) = layout::Header::ref_from_prefix(payload).map_err(|_| FrameError::Header)?;
        let version = Version::of(header.version).ok_or(FrameError::Version)?;
        let len = usize::from(header.len.get());
        if len < HEADER_BYTES {
            return Err(FrameError::Length);
        }
        let (frame, trailer) = payload.split_at_checked(len).ok_or(FrameError::Length)?;
        Ok(Self { frame, trailer, version, at: HEADER_BYTES, end_mark: false })
    }

    /// The version byte.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The frame's own length.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.frame.len()
    }

    /// The sender's ruleset checksum.
    #[must_use]
    pub fn checksum(&self) -> [u8; 16] {
        layout::Header::ref_from_prefix(self.frame).map_or([0; 16], |(header, _)| header.pfcksum)
    }

    /// What lies behind the frame's own length. Both kernels ignore it; see [`super::WriterOptions::trailer`].
    #[must_use]
    pub const fn trailer(&self) -> &'a [u8] {
        self.trailer
    }

    /// What is left of the frame: after the last region, bytes that no receiver looks at.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        &self.frame[self.at..]
    }

    /// Whether the mark that ends a frame of version 5 was seen.
    #[must_use]
    pub const fn ended_by_mark(&self) -> bool {
        self.end_mark
    }

    /// The next region, `None` at the end of the frame.
    ///
    /// After an error for which [`RegionError::ends_frame`] holds the next call returns `None`.
    #[inline]
    pub fn next_region(&mut self) -> Option<Result<Region<'a>, RegionError>> {
        let rest = &self.frame[self.at..];
        if self.end_mark {
            return if rest.is_empty() { None } else { self.stop(RegionError::AfterEnd) };
        }
        // Fewer bytes than a subheader are left over: both kernels ignore them.
        let (subheader, body) = layout::Subheader::ref_from_prefix(rest).ok()?;
        let message = self.version.message(subheader.action);
        let result = match self.version {
            Version::V6 => Self::size_6(subheader, message),
            Version::V5 => message.map(|known| (known, known.bytes as usize)).ok_or(Stop::Action),
        };
        let count = subheader.count.get();
        let offset = self.at;
        match result {
            Ok((message, stride)) => {
                let Some(bytes) = body.get(..stride * usize::from(count)) else {
                    return self.stop(RegionError::Length);
                };
                self.at += SUBHEADER_BYTES + bytes.len();
                self.end_mark = message.action == Action::Eof;
                Some(Ok(Region { message, version: self.version, bytes, stride, count, offset }))
            }
            Err(Stop::Skip(total)) if total <= body.len() => {
                self.at += SUBHEADER_BYTES + total;
                Some(Err(RegionError::Skipped))
            }
            Err(Stop::Skip(_)) => self.stop(RegionError::Length),
            Err(Stop::Action) => self.stop(RegionError::Action),
        }
    }

    /// Version 6 tells how long its records are, so that what is longer than known is read and what is not known is
    /// stepped over (`protocol` section 2.2; OpenBSD `pfsync_input`).
    #[inline]
    fn size_6(
        subheader: &layout::Subheader,
        message: Option<&'static Message>,
    ) -> Result<(&'static Message, usize), Stop> {
        let stride = usize::from(subheader.len) * 4;
        let total = stride * usize::from(subheader.count.get());
        match message {
            Some(known) if stride >= known.bytes as usize => Ok((known, stride)),
            None if OBSOLETE_6.contains(&subheader.action) => Err(Stop::Skip(total)),
            _ if total > 0 => Err(Stop::Skip(total)),
            _ => Err(Stop::Action),
        }
    }

    #[inline]
    fn stop(&mut self, error: RegionError) -> Option<Result<Region<'a>, RegionError>> {
        self.at = self.frame.len();
        Some(Err(error))
    }
}

/// Why a region has no records to read.
enum Stop {
    /// Step over so many bytes.
    Skip(usize),
    Action,
}

/// Numbers that OpenBSD knows and has no handler for: stepped over even when they tell no length.
const OBSOLETE_6: [u8; 6] = [1, 3, 8, 9, 11, 12];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;

    /// A frame of regions `(action, words, count, body)`.
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

    /// Actions and counts of what is read, or the error.
    fn read(bytes: &[u8]) -> Vec<Result<(Action, usize), RegionError>> {
        let mut reader = FrameReader::new(bytes).unwrap();
        let mut seen = Vec::new();
        while let Some(region) = reader.next_region() {
            seen.push(region.map(|region| (region.action(), region.records().count())));
        }
        seen
    }

    #[test]
    fn a_frame_that_is_no_frame_is_named() {
        let error = |bytes: &[u8]| FrameReader::new(bytes).err();
        for length in 0..HEADER_BYTES {
            assert_eq!(error(&vec![6; length]), Some(FrameError::Header));
        }
        for version in [0, 1, 2, 3, 4, 7, 255] {
            assert_eq!(error(&frame(version, &[])), Some(FrameError::Version));
        }
        for len in [0u16, 1, 19, 21, 24, 65535] {
            let mut bytes = frame(6, &[]);
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
            assert_eq!(error(&bytes), Some(FrameError::Length), "{len}");
        }
        assert_eq!(error(&frame(5, &[])), None);
    }

    #[test]
    fn what_lies_behind_the_length_is_a_trailer() {
        let mut bytes = frame(6, &[(7, 3, 1, &[0; 12])]);
        bytes.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(read(&bytes), [Ok((Action::DeleteCompressed, 1))]);
        assert_eq!(FrameReader::new(&bytes).unwrap().trailer(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn version_6_reads_longer_records_and_steps_over_unknown_ones() {
        let bytes = frame(
            6,
            &[
                (7, 5, 2, &[1; 40]),
                (99, 2, 3, &[0; 24]),
                (7, 2, 1, &[0; 8]),
                (12, 0, 1, &[]),
                (7, 3, 1, &[0; 12]),
            ],
        );
        let skipped = Err(RegionError::Skipped);
        let deletes = |count| Ok((Action::DeleteCompressed, count));
        assert_eq!(read(&bytes), [deletes(2), skipped, skipped, skipped, deletes(1)]);
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
    fn a_region_longer_than_the_frame_ends_it_and_leaves_the_earlier_ones() {
        for (version, words, count) in [(6, 3, 2), (6, 255, 65535), (5, 0, 2), (5, 0, 65535)] {
            let bytes = frame(version, &[(2, 3, 1, &[0; 12]), (7, words, count, &[0; 23])]);
            let expected = [Ok((Action::InsertAck, 1)), Err(RegionError::Length)];
            assert_eq!(read(&bytes), expected);
        }
    }

    #[test]
    fn version_5_ends_at_its_mark_and_at_what_it_does_not_know() {
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
    fn a_count_of_zero_is_a_region_without_records() {
        for (version, action) in (0..=255).flat_map(|action| [(5, action), (6, action)]) {
            for region in read(&frame(version, &[(action, 66, 0, &[])])) {
                assert!(matches!(region, Ok((_, 0)) | Err(_)), "version {version} action {action}");
            }
        }
    }

    #[test]
    fn typed_records_are_the_records_of_their_own_regions_and_of_no_other() {
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
                typed.extend(region.updates().map(Record::Compressed));
                typed.extend(region.ids().map(Record::Id));
                assert_eq!(typed, region.records().collect::<Vec<_>>());
                assert_eq!(region.records().count(), usize::from(region.count()));
            }
        }
    }
}
