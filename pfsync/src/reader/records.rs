//! The records of a region, whatever their kind.

use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::layout::{Body, Message, parse_1301, parse_1400, parse_1500, parse_openbsd};
use crate::profile::{Profile, Version};
use crate::record::{BulkStatus, Clear, CompressedUpdate, FullState, Identity, Record, Tdb};

/// Iterates over the records of a region; see [`Region::records`](crate::Region::records).
#[derive(Clone, Debug)]
pub struct Records<'a> {
    message: &'static Message,
    version: Version,
    chunks: core::slice::ChunksExact<'a, u8>,
}

impl<'a> Records<'a> {
    /// Iterates over `chunks`, each at least as long as the message.
    #[inline]
    pub(super) const fn new(
        message: &'static Message,
        version: Version,
        chunks: core::slice::ChunksExact<'a, u8>,
    ) -> Self {
        Self { message, version, chunks }
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    #[inline]
    fn next(&mut self) -> Option<Record> {
        let bytes = self.chunks.next()?;
        Some(match (self.message.body, self.version) {
            (Body::State(Profile::OpenBsd6), _) => Record::State(state(parse_openbsd, bytes)?),
            (Body::State(Profile::FreeBsd1301), _) => Record::State(state(parse_1301, bytes)?),
            (Body::State(Profile::FreeBsd1400), _) => Record::State(state(parse_1400, bytes)?),
            (Body::State(Profile::FreeBsd1500), _) => Record::State(state(parse_1500, bytes)?),
            (Body::Compressed, _) => Record::Compressed(CompressedUpdate::parse(prefix(bytes)?)),
            (Body::Id, _) => Record::Id(Identity::parse(prefix(bytes)?)),
            (Body::Clear, _) => Record::Clear(Clear::parse(prefix(bytes)?)),
            (Body::BulkStatus, _) => Record::BulkStatus(BulkStatus::parse(prefix(bytes)?)),
            (Body::Tdb, Version::V6) => Record::Tdb(Tdb::parse_52(prefix(bytes)?)),
            (Body::Tdb, Version::V5) => Record::Tdb(Tdb::parse_48(prefix(bytes)?)),
            (Body::Empty, _) => return None,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }
}

/// Parses the state at the start of `bytes`.
#[inline(always)]
fn state<T: FromBytes + KnownLayout + Immutable>(
    parse: impl Fn(&T, &mut FullState),
    bytes: &[u8],
) -> Option<FullState> {
    let mut state = FullState::EMPTY;
    parse(prefix(bytes)?, &mut state);
    Some(state)
}

/// Returns the record at the start of `bytes`. [`super::FrameReader::next_region`] checked the length.
#[inline(always)]
pub(super) fn prefix<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Option<&T> {
    T::ref_from_prefix(bytes).ok().map(|(record, _)| record)
}
