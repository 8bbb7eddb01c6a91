//! Finding a state by key or by identity: single lookups, bursts, and bursts in stages.

mod batch;
mod stages;

use super::index::Hash;
use super::{Slot, Table};
use crate::cpu::{Far, Hint, Isa, Kernel, Near};
use crate::packet::{Direction, Key};
use crate::state::{LocalFlags, StateId};
pub use batch::LookupBatch;
use batch::{Begin, Finish, Lookup, Probe};
use core::marker::PhantomData;

impl Table {
    /// Returns the state of a key: among wire keys for an inbound packet, among stack keys for an outbound one.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &Key, direction: Direction) -> Option<Slot> {
        self.level.run(Find { table: self, key, direction })
    }

    /// Returns the state of an identity.
    #[inline]
    #[must_use]
    pub fn find_id(&self, id: StateId) -> Option<Slot> {
        self.level.run(FindId { table: self, id })
    }

    /// Finds the states of many keys: `slots[n]` becomes the slot of `keys[n]`, or [`Slot::NONE`]. Elements beyond the
    /// shorter slice are unchanged.
    ///
    /// Cost: about one index line and one hot line per key, up to 32 of them in flight together.
    #[inline]
    pub fn lookup_burst<K: AsRef<Key>>(&self, keys: &[K], direction: Direction, slots: &mut [Slot]) {
        match (self.far, self.uses_stack_keys(direction)) {
            (false, false) => self.lookup_with::<K, Near, false>(keys, direction, slots),
            (false, true) => self.lookup_with::<K, Near, true>(keys, direction, slots),
            (true, false) => self.lookup_with::<K, Far, false>(keys, direction, slots),
            (true, true) => self.lookup_with::<K, Far, true>(keys, direction, slots),
        }
    }

    /// Starts the lookup of up to [`LookupBatch::CAPACITY`] keys: hashes them and prefetches their buckets.
    ///
    /// A host with several bursts at hand calls `lookup_begin` on burst n + 2, [`Self::lookup_probe`] on n + 1 and
    /// [`Self::lookup_finish`] on n, so that no burst waits for its memory. All three must use the same table.
    ///
    /// A state that is inserted between the calls may be missed; one that is removed may still be found. Check
    /// [`Self::is_live`] where that can happen.
    #[inline]
    pub fn lookup_begin<K: AsRef<Key>>(&self, keys: &[K], batch: &mut LookupBatch) {
        if self.far {
            self.level.run(Begin::<K, Far> { table: self, keys, batch, hint: PhantomData });
        } else {
            self.level.run(Begin::<K, Near> { table: self, keys, batch, hint: PhantomData });
        }
    }

    /// Second stage of a lookup: reads the buckets and prefetches the hot records.
    #[inline]
    pub fn lookup_probe(&self, direction: Direction, batch: &mut LookupBatch) {
        match (self.far, self.uses_stack_keys(direction)) {
            (false, false) => self.probe_with::<Near, false>(batch),
            (false, true) => self.probe_with::<Near, true>(batch),
            (true, false) => self.probe_with::<Far, false>(batch),
            (true, true) => self.probe_with::<Far, true>(batch),
        }
    }

    /// Last stage of a lookup: compares the keys. `keys` and `direction` are those of the stages before; `slots` as in
    /// [`Self::lookup_burst`].
    #[inline]
    pub fn lookup_finish<K: AsRef<Key>>(
        &self,
        keys: &[K],
        direction: Direction,
        batch: &mut LookupBatch,
        slots: &mut [Slot],
    ) {
        let table = self;
        if self.uses_stack_keys(direction) {
            self.level.run(Finish::<K, true> { table, keys, slots, direction, batch });
        } else {
            self.level.run(Finish::<K, false> { table, keys, slots, direction, batch });
        }
    }

    #[inline(always)]
    fn probe_with<H: Hint, const STACK: bool>(&self, batch: &mut LookupBatch) {
        self.level.run(Probe::<H, STACK> { table: self, batch, hint: PhantomData });
    }

    /// Whether a packet of `direction` may have a stack key that differs from its state's wire key.
    #[inline(always)]
    fn uses_stack_keys(&self, direction: Direction) -> bool {
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
        self.ids.find(isa, hash, |value| self.slab.cold[value as usize].id == id).map(Slot)
    }

    /// Whether an index entry applies to packets of `direction`. A translated state has one entry for its wire key and
    /// one for its stack key.
    #[inline(always)]
    fn serves(&self, value: u32, direction: Direction) -> bool {
        match (value & 1, direction) {
            (0, Direction::In) => true,
            (0, Direction::Out) => !self.slab.hot[(value >> 1) as usize].local.has(LocalFlags::TRANSLATED),
            (_, direction) => direction == Direction::Out,
        }
    }

    /// Whether an index entry is an entry of `key`.
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
