//! Finding a state, by key or by identity, alone or in a burst.

use super::bucket::Hash;
use super::lookup::Lookup;
use super::{Slot, Table};
use crate::cpu::{Far, Hint, Isa, Kernel, Near};
use crate::packet::{Direction, Key};
use crate::state::{LocalFlags, StateId};
use core::marker::PhantomData;

impl Table {
    /// The state of a key: among wire keys for an inbound packet, among stack keys for an outbound one.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &Key, direction: Direction) -> Option<Slot> {
        self.level.run(Find { table: self, key, direction })
    }

    /// The state of an identity; none when the table was planned without identities.
    #[inline]
    #[must_use]
    pub fn find_id(&self, id: StateId) -> Option<Slot> {
        self.level.run(FindId { table: self, id })
    }

    /// The states of many keys, or of what has a key: what [`Self::find`] says of `keys[n]` goes to `slots[n]`, [`Slot::NONE`] for a miss. Keys
    /// or slots beyond the shorter of both are left alone.
    ///
    /// Natural for bursts of 32. Cost: about one index line and one hot line per key, up to 32 of them on their way
    /// together.
    #[inline]
    pub fn lookup_burst<K: AsRef<Key>>(&self, keys: &[K], direction: Direction, slots: &mut [Slot]) {
        let stack = direction == Direction::Out && self.translated > 0;
        match (self.far, stack) {
            (false, false) => self.lookup_with::<K, Near, false>(keys, direction, slots),
            (false, true) => self.lookup_with::<K, Near, true>(keys, direction, slots),
            (true, false) => self.lookup_with::<K, Far, false>(keys, direction, slots),
            (true, true) => self.lookup_with::<K, Far, true>(keys, direction, slots),
        }
    }

    #[inline(always)]
    fn lookup_with<K: AsRef<Key>, H: Hint, const STACK: bool>(
        &self,
        keys: &[K],
        direction: Direction,
        slots: &mut [Slot],
    ) {
        let length = keys.len().min(slots.len());
        let (keys, slots) = (&keys[..length], &mut slots[..length]);
        self.level.run(Lookup::<K, H, STACK> { table: self, keys, slots, direction, hint: PhantomData });
    }

    #[inline(always)]
    pub(super) fn hash_key<I: Isa>(&self, isa: I, key: &Key) -> Hash {
        Hash::new(isa.hash(&self.secret, zerocopy::transmute_ref!(key)))
    }

    #[inline(always)]
    pub(super) fn hash_id<I: Isa>(&self, isa: I, id: StateId) -> Hash {
        Hash::new(isa.hash(&self.secret, &[id.id, id.creator.into(), 0, 0, 0]))
    }

    #[inline(always)]
    pub(super) fn find_hashed<I: Isa>(
        &self,
        isa: I,
        hash: Hash,
        key: &Key,
        direction: Direction,
    ) -> Option<Slot> {
        let found = self
            .index
            .find(isa, hash, |value| self.serves(value, direction) && self.is_key_of(isa, value, key));
        found.map(|value| Slot(value >> 1))
    }

    #[inline(always)]
    pub(super) fn find_id_hashed<I: Isa>(&self, isa: I, hash: Hash, id: StateId) -> Option<Slot> {
        let found = self.ids.as_ref()?.find(isa, hash, |value| self.slab.cold[value as usize].id == id);
        found.map(Slot)
    }

    /// Whether an index entry counts for packets of `direction`: a translated state's first entry is its wire key's alone,
    /// its second one its stack key's.
    #[inline(always)]
    fn serves(&self, value: u32, direction: Direction) -> bool {
        match (value & 1, direction) {
            (0, Direction::In) => true,
            (0, Direction::Out) => !self.slab.hot[(value >> 1) as usize].local.has(LocalFlags::TRANSLATED),
            (_, direction) => direction == Direction::Out,
        }
    }

    /// Whether an index entry was made for `key`.
    #[inline(always)]
    pub(super) fn is_key_of<I: Isa>(&self, isa: I, value: u32, key: &Key) -> bool {
        let at = (value >> 1) as usize;
        let own = if value & 1 == 0 { &self.slab.hot[at].key } else { &self.slab.cold[at].stack_key };
        isa.differs(zerocopy::transmute_ref!(key), zerocopy::transmute_ref!(own)) == 0
    }
}

struct Find<'a> {
    table: &'a Table,
    key: &'a Key,
    direction: Direction,
}

impl Kernel for Find<'_> {
    type Output = Option<Slot>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Option<Slot> {
        let hash = self.table.hash_key(isa, self.key);
        self.table.find_hashed(isa, hash, self.key, self.direction)
    }
}

struct FindId<'a> {
    table: &'a Table,
    id: StateId,
}

impl Kernel for FindId<'_> {
    type Output = Option<Slot>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Option<Slot> {
        let hash = self.table.hash_id(isa, self.id);
        self.table.find_id_hashed(isa, hash, self.id)
    }
}
