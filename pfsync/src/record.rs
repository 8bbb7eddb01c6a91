//! Records of any kind, one by one.

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::message::{BulkStatus, Clear, CompressedUpdate, Identity, Tdb};
use super::profile::{Body, Message, Profile, Version};
use super::state::FullState;
use super::{freebsd, openbsd};

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "records live in registers and on the stack for one step of a loop"
)]
pub enum Record {
    /// Of INS, UPD and DEL.
    State(FullState),
    /// Of UPD_C.
    Compressed(CompressedUpdate),
    /// Of INS_ACK, UPD_REQ and DEL_C.
    Id(Identity),
    /// Of CLR.
    Clear(Clear),
    /// Of BUS.
    BulkStatus(BulkStatus),
    /// Of TDB.
    Tdb(Tdb),
}

/// The records of a region, in order.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    message: &'static Message,
    version: Version,
    chunks: core::slice::ChunksExact<'a, u8>,
}

impl<'a> Records<'a> {
    /// Those that `chunks` hold, each at least as long as the message is.
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
            (Body::State(Profile::OpenBsd6), _) => Record::State(whole(openbsd::parse, bytes)?),
            (Body::State(Profile::FreeBsd1301), _) => Record::State(whole(freebsd::parse_1301, bytes)?),
            (Body::State(Profile::FreeBsd1400), _) => Record::State(whole(freebsd::parse_1400, bytes)?),
            (Body::State(Profile::FreeBsd1500), _) => Record::State(whole(freebsd::parse_1500, bytes)?),
            (Body::Compressed, _) => Record::Compressed(CompressedUpdate::parse(prefix(bytes)?)),
            (Body::Id, _) => Record::Id(Identity::parse(prefix(bytes)?)),
            (Body::Clear, _) => Record::Clear(Clear::parse(prefix(bytes)?)),
            (Body::BulkStatus, _) => Record::BulkStatus(BulkStatus::parse(prefix(bytes)?)),
            (Body::Tdb, Version::V6) => Record::Tdb(Tdb::parse_52(prefix(bytes)?)),
            (Body::Tdb, Version::V5) => Record::Tdb(Tdb::parse_48(prefix(bytes)?)),
            (Body::Nothing, _) => return None,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }
}

/// The state at the start of `bytes`.
#[inline(always)]
fn whole<T: FromBytes + KnownLayout + Immutable>(
    parse: impl Fn(&T, &mut FullState),
    bytes: &[u8],
) -> Option<FullState> {
    let mut state = FullState::EMPTY;
    parse(prefix(bytes)?, &mut state);
    Some(state)
}

/// The record at the start of `bytes`, which [`super::FrameReader::next_region`] made long enough.
#[inline(always)]
pub(super) fn prefix<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Option<&T> {
    T::ref_from_prefix(bytes).ok().map(|(record, _)| record)
}
