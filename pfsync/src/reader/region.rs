//! A region of a frame: records of one message.

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::records::{Records, prefix};
use crate::action::Action;
use crate::layout::{
    Body, Message, parse_1301, parse_1400, parse_1500, parse_openbsd, peek_1301, peek_1400, peek_1500,
    peek_openbsd,
};
use crate::profile::{Profile, Version};
use crate::record::{CompressedUpdate, FullState, Identity, StateKey};

/// A run of records of one message, from [`FrameReader::next_region`](crate::FrameReader::next_region).
///
/// [`Self::records`] reads any region. The other methods read one kind of record, faster.
#[derive(Clone, Debug)]
pub struct Region<'a> {
    pub(super) message: &'static Message,
    pub(super) version: Version,
    /// Records, `stride` bytes each.
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
    pub(super) count: u16,
    pub(super) offset: usize,
}

impl<'a> Region<'a> {
    /// Returns what the records mean.
    #[inline]
    #[must_use]
    pub const fn action(&self) -> Action {
        self.message.action
    }

    /// Returns the action's number on the wire.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.message.number
    }

    /// Returns the layout of the states, for a region of whole states.
    #[must_use]
    pub const fn profile(&self) -> Option<Profile> {
        match self.message.body {
            Body::State(profile) => Some(profile),
            _ => None,
        }
    }

    /// Returns the number of records. All of them are present.
    #[inline]
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// Returns the offset of the subheader from the start of the frame.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the distance from one record to the next. It exceeds the known record's length if a sender of version 6 has a
    /// longer one.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// Divides the region into regions of at most `max_records` records, for callers that process records in batches.
    /// [`Self::offset`] remains that of the whole region.
    #[inline]
    pub fn chunks(&self, max_records: u16) -> impl Iterator<Item = Self> + use<'a> {
        let (whole, stride) = (self.clone(), self.stride.max(1));
        whole.bytes.chunks(usize::from(max_records.max(1)) * stride).map(move |bytes| Region {
            bytes,
            count: (bytes.len() / stride) as u16,
            ..whole
        })
    }

    /// Iterates over the records.
    #[inline]
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        Records::new(self.message, self.version, self.record_chunks())
    }

    /// Calls `each` with every whole state; never for other regions. Faster than [`Self::records`]: the layout is selected
    /// once, and all states share one buffer. `each` may change the fields that all profiles carry, and no others.
    #[inline]
    pub fn for_each_state(&self, mut each: impl FnMut(&mut FullState)) {
        match self.profile() {
            Some(Profile::OpenBsd6) => self.each_state(parse_openbsd, &mut each),
            Some(Profile::FreeBsd1301) => self.each_state(parse_1301, &mut each),
            Some(Profile::FreeBsd1400) => self.each_state(parse_1400, &mut each),
            Some(Profile::FreeBsd1500) => self.each_state(parse_1500, &mut each),
            None => {}
        }
    }

    #[inline(always)]
    fn each_state<T: FromBytes + KnownLayout + Immutable>(
        &self,
        parse: impl Fn(&T, &mut FullState),
        each: &mut impl FnMut(&mut FullState),
    ) {
        // One state for all records: each record writes the same fields.
        let mut state = FullState::EMPTY;
        for bytes in self.record_chunks() {
            let Some(wire) = prefix(bytes) else { return };
            parse(wire, &mut state);
            each(&mut state);
        }
    }

    /// Calls `each` with the identity and the wire key of every whole state; never for other regions.
    ///
    /// Meant for prefetching: nothing is validated, and the key of a state whose families differ may be wrong.
    #[inline]
    pub fn for_each_key(&self, mut each: impl FnMut(Identity, StateKey)) {
        match self.profile() {
            Some(Profile::OpenBsd6) => self.each_key(peek_openbsd, &mut each),
            Some(Profile::FreeBsd1301) => self.each_key(peek_1301, &mut each),
            Some(Profile::FreeBsd1400) => self.each_key(peek_1400, &mut each),
            Some(Profile::FreeBsd1500) => self.each_key(peek_1500, &mut each),
            None => {}
        }
    }

    #[inline(always)]
    fn each_key<T: FromBytes + KnownLayout + Immutable>(
        &self,
        peek: impl Fn(&T) -> (Identity, StateKey),
        each: &mut impl FnMut(Identity, StateKey),
    ) {
        for (id, key) in self.record_chunks().map_while(|bytes| prefix(bytes).map(&peek)) {
            each(id, key);
        }
    }

    /// Iterates over the compressed updates; empty for other regions. Faster than [`Self::records`].
    #[inline]
    pub fn compressed_updates(&self) -> impl Iterator<Item = CompressedUpdate> + use<'a> {
        let is_compressed = self.message.body == Body::Compressed;
        self.record_chunks()
            .map_while(move |bytes| prefix(bytes).filter(|_| is_compressed).map(CompressedUpdate::parse))
    }

    /// Iterates over the identities; empty for other regions. Faster than [`Self::records`].
    #[inline]
    pub fn ids(&self) -> impl Iterator<Item = Identity> + use<'a> {
        let is_id = self.message.body == Body::Id;
        self.record_chunks().map_while(move |bytes| prefix(bytes).filter(|_| is_id).map(Identity::parse))
    }

    #[inline]
    fn record_chunks(&self) -> core::slice::ChunksExact<'a, u8> {
        self.bytes.chunks_exact(self.stride.max(1))
    }
}
