//! A region of a frame: records of one message, kind by kind or one by one.

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::key::StateKey;
use super::message::{CompressedUpdate, Identity};
use super::profile::{Action, Body, Message, Profile, Version};
use super::record::{Records, prefix};
use super::state::FullState;
use super::{freebsd, openbsd};

/// A run of records of one message.
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
    /// What its records mean.
    #[inline]
    #[must_use]
    pub const fn action(&self) -> Action {
        self.message.action
    }

    /// The action's number on the wire.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.message.number
    }

    /// The dialect of its states, for a region of whole states.
    #[must_use]
    pub const fn profile(&self) -> Option<Profile> {
        match self.message.body {
            Body::State(profile) => Some(profile),
            _ => None,
        }
    }

    /// How many records the subheader says it has; all of them are there.
    #[inline]
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// Where its subheader is, from the start of the frame.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes from one record to the next: more than the message has when a sender of version 6 knows a longer one.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// The region in parts of at most `most` records, for who looks at the next few together. [`Self::offset`] stays that of
    /// the whole.
    #[inline]
    pub fn parts(&self, most: u16) -> impl Iterator<Item = Self> + use<'a> {
        let (whole, stride) = (self.clone(), self.stride.max(1));
        whole.bytes.chunks(usize::from(most.max(1)) * stride).map(move |bytes| Region {
            bytes,
            count: (bytes.len() / stride) as u16,
            ..whole
        })
    }

    /// Its records.
    #[inline]
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        Records::new(self.message, self.version, self.chunks())
    }

    /// Hands its whole states to `each`; none for a region of something else. Cheaper than [`Self::records`]: the
    /// dialect is looked at once, and a state is built where `each` reads it. What every dialect carries may be changed there.
    #[inline]
    pub fn for_each_state(&self, mut each: impl FnMut(&mut FullState)) {
        match self.profile() {
            Some(Profile::OpenBsd6) => self.of_layout(openbsd::parse, &mut each),
            Some(Profile::FreeBsd1301) => self.of_layout(freebsd::parse_1301, &mut each),
            Some(Profile::FreeBsd1400) => self.of_layout(freebsd::parse_1400, &mut each),
            Some(Profile::FreeBsd1500) => self.of_layout(freebsd::parse_1500, &mut each),
            None => {}
        }
    }

    #[inline(always)]
    fn of_layout<T: FromBytes + KnownLayout + Immutable>(
        &self,
        parse: impl Fn(&T, &mut FullState),
        each: &mut impl FnMut(&mut FullState),
    ) {
        // Made once: every record writes the same fields, those of its dialect.
        let mut state = FullState::EMPTY;
        for bytes in self.chunks() {
            let Some(wire) = prefix(bytes) else { return };
            parse(wire, &mut state);
            each(&mut state);
        }
    }

    /// Which states its whole states are, and their wire keys; nothing for a region of something else. To look ahead: the
    /// key of a state whose families differ may be another, and nothing is validated.
    #[inline]
    pub fn for_each_name(&self, mut each: impl FnMut(Identity, StateKey)) {
        match self.profile() {
            Some(Profile::OpenBsd6) => self.names_of_layout(openbsd::name, &mut each),
            Some(Profile::FreeBsd1301) => self.names_of_layout(freebsd::name_1301, &mut each),
            Some(Profile::FreeBsd1400) => self.names_of_layout(freebsd::name_1400, &mut each),
            Some(Profile::FreeBsd1500) => self.names_of_layout(freebsd::name_1500, &mut each),
            None => {}
        }
    }

    #[inline(always)]
    fn names_of_layout<T: FromBytes + KnownLayout + Immutable>(
        &self,
        name: impl Fn(&T) -> (Identity, StateKey),
        each: &mut impl FnMut(Identity, StateKey),
    ) {
        for (id, key) in self.chunks().map_while(|bytes| prefix(bytes).map(&name)) {
            each(id, key);
        }
    }

    /// Its compressed updates; nothing for a region of something else. Cheaper than [`Self::records`].
    #[inline]
    pub fn updates(&self) -> impl Iterator<Item = CompressedUpdate> + use<'a> {
        let right = self.message.body == Body::Compressed;
        self.chunks().map_while(move |bytes| prefix(bytes).filter(|_| right).map(CompressedUpdate::parse))
    }

    /// Its identities; nothing for a region of something else. Cheaper than [`Self::records`].
    #[inline]
    pub fn ids(&self) -> impl Iterator<Item = Identity> + use<'a> {
        let right = self.message.body == Body::Id;
        self.chunks().map_while(move |bytes| prefix(bytes).filter(|_| right).map(Identity::parse))
    }

    #[inline]
    fn chunks(&self) -> core::slice::ChunksExact<'a, u8> {
        self.bytes.chunks_exact(self.stride.max(1))
    }
}
