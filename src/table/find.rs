//! Finding a state, by key or by identity, alone or in a burst.

use super::bucket::Hash;
use super::flight::{Begin, Finish, LookupBatch, Probe};
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
        match (self.far, self.wants_stack(direction)) {
            (false, false) => self.lookup_with::<K, Near, false>(keys, direction, slots),
            (false, true) => self.lookup_with::<K, Near, true>(keys, direction, slots),
            (true, false) => self.lookup_with::<K, Far, false>(keys, direction, slots),
            (true, true) => self.lookup_with::<K, Far, true>(keys, direction, slots),
        }
    }

    /// Begins what [`Self::lookup_burst`] does in one go, for up to [`LookupBatch::CAPACITY`] keys: their buckets are sent for.
    ///
    /// A host that has the next burst at hand before it needs the answers on this one calls, burst after burst,
    /// `lookup_begin` on burst n + 2, [`Self::lookup_probe`] on n + 1 and [`Self::lookup_finish`] on n: then no burst
    /// waits for its own memory.
    ///
    /// A state that is inserted meanwhile may be missed, and one that is removed may still be given: ask
    /// [`Self::is_live`] where that can happen. The flight is of one table from begin to finish.
    #[inline]
    pub fn lookup_begin<K: AsRef<Key>>(&self, keys: &[K], flight: &mut LookupBatch) {
        if self.far {
            self.level.run(Begin::<K, Far> { table: self, keys, flight, hint: PhantomData });
        } else {
            self.level.run(Begin::<K, Near> { table: self, keys, flight, hint: PhantomData });
        }
    }

    /// Goes on with a lookup that was begun: buckets are read, hot lines are sent for.
    #[inline]
    pub fn lookup_probe(&self, direction: Direction, flight: &mut LookupBatch) {
        match (self.far, self.wants_stack(direction)) {
            (false, false) => self.probe_with::<Near, false>(flight),
            (false, true) => self.probe_with::<Near, true>(flight),
            (true, false) => self.probe_with::<Far, false>(flight),
            (true, true) => self.probe_with::<Far, true>(flight),
        }
    }

    /// Ends a lookup that was begun with the same keys and probed for the same direction: as [`Self::lookup_burst`].
    #[inline]
    pub fn lookup_finish<K: AsRef<Key>>(
        &self,
        keys: &[K],
        direction: Direction,
        flight: &mut LookupBatch,
        slots: &mut [Slot],
    ) {
        if self.wants_stack(direction) {
            self.level.run(Finish::<K, Near, true> {
                table: self,
                keys,
                slots,
                direction,
                flight,
                hint: PhantomData,
            });
        } else {
            self.level.run(Finish::<K, Near, false> {
                table: self,
                keys,
                slots,
                direction,
                flight,
                hint: PhantomData,
            });
        }
    }

    #[inline(always)]
    fn probe_with<H: Hint, const STACK: bool>(&self, flight: &mut LookupBatch) {
        self.level.run(Probe::<H, STACK> { table: self, flight, hint: PhantomData });
    }

    /// Whether stack keys differ from wire keys anywhere, and are wanted.
    #[inline(always)]
    fn wants_stack(&self, direction: Direction) -> bool {
        direction == Direction::Out && self.translated > 0
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
