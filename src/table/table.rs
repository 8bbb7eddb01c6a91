//! The table itself: insert, remove, find, iterate.

use super::bucket::Hash;
use super::index::Index;
use super::lookup::Lookup;
use super::memory::Memory;
use super::slab::Slab;
use super::statistics::TableStatistics;
use crate::cpu::{Far, Hint, Isa, Kernel, Level, Near, Secret, prefetch};
use crate::error::Error;
use crate::packet::{Direction, Key};
use crate::state::{Cold, Hot, LocalFlags, Record, StateId, Track};
use core::marker::PhantomData;

/// A state's place in its table, valid until the state is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Slot(pub u32);

impl Slot {
    /// No state.
    pub const NONE: Self = Self(u32::MAX);

    /// Whether this is [`Self::NONE`].
    #[inline]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == Self::NONE.0
    }

    /// The slot, if it is one.
    #[inline]
    #[must_use]
    pub const fn some(self) -> Option<Self> {
        if self.is_none() { None } else { Some(self) }
    }
}

/// What a table is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// States that must fit.
    pub states: u32,
    /// How many of them may be translated. A translated state takes two index entries.
    pub translated: u32,
    /// Whether states can be found by their identity; replication needs it.
    pub ids: bool,
}

impl Plan {
    /// The most states of one table.
    pub const MOST_STATES: u32 = 1 << 30;

    const fn entries(self) -> u32 {
        self.states + self.translated
    }

    fn check(self) -> Result<(), Error> {
        let setting = |name, value: u32, least: u32, most: u32| match value >= least && value <= most {
            true => Ok(()),
            false => {
                Err(Error::Setting { name, value: value.into(), least: least.into(), most: most.into() })
            }
        };
        setting("states", self.states, 1, Self::MOST_STATES)?;
        setting("translated states", self.translated, 0, self.states)
    }
}

/// So many states, any number of them translated, with identities.
impl From<u32> for Plan {
    fn from(states: u32) -> Self {
        Self { states, translated: states, ids: true }
    }
}

/// Why a state was not inserted. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The capacity is used up.
    Full,
    /// This state has one of the keys, for the same use.
    Key(Slot),
    /// This state has the identity.
    Id(Slot),
}

/// Hot arrays above this size are prefetched to the second level.
const FAR_FROM: usize = 16 << 20;

/// A lane's states. Owned by one core; made anywhere.
pub struct Table {
    pub(super) slab: Slab,
    pub(super) index: Index,
    ids: Option<Index>,
    secret: Secret,
    level: Level,
    plan: Plan,
    translated: u32,
    far: bool,
}

impl Table {
    /// A table for `plan` (a number of states, or a [`Plan`]) in memory of NUMA node `socket` (-1: any).
    ///
    /// `secret` is 256 random bits that nobody outside may learn. Cost: all memory is touched.
    ///
    /// # Errors
    /// [`Error::Setting`] when the plan is out of range, [`Error::OutOfMemory`].
    pub fn new(plan: impl Into<Plan>, secret: [u64; 4], memory: &Memory, socket: i32) -> Result<Self, Error> {
        Self::with_level(plan.into(), secret, memory, socket, Level::best())
    }

    /// As [`Self::new`], with an instruction set of the caller's choice: for tests and benches.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_level(
        plan: Plan,
        secret: [u64; 4],
        memory: &Memory,
        socket: i32,
        level: Level,
    ) -> Result<Self, Error> {
        plan.check()?;
        Ok(Self {
            slab: Slab::new(plan.states, memory, socket)?,
            index: Index::new(plan.entries(), memory, socket)?,
            ids: if plan.ids { Some(Index::new(plan.states, memory, socket)?) } else { None },
            secret: Secret(secret),
            level,
            plan,
            translated: 0,
            far: plan.states as usize * size_of::<Hot>() > FAR_FROM,
        })
    }

    /// Bytes that a table for `plan` asks its memory for; mappings are rounded up to pages on top of that.
    #[must_use]
    pub fn memory_needed(plan: impl Into<Plan>) -> usize {
        let plan = plan.into();
        let ids = if plan.ids { Index::bytes_needed(plan.states) } else { 0 };
        Slab::bytes_needed(plan.states) + Index::bytes_needed(plan.entries()) + ids
    }

    /// Adds a state. The slot is marked live; [`LocalFlags::TRANSLATED`] says whether the cold record's stack key counts.
    ///
    /// Cost: some six cache lines, out of cache about as many memory latencies.
    ///
    /// # Errors
    /// See [`InsertError`]. A key or an identity that is there already is reported before a full table.
    #[inline]
    pub fn insert(&mut self, record: &Record) -> Result<Slot, InsertError> {
        self.level.run(Insert { table: self, record })
    }

    /// Ends a state; its slot may be used again at once. Does nothing for a slot that holds no state.
    #[inline]
    pub fn remove(&mut self, slot: Slot) {
        if self.slab.is_live(slot.0) {
            self.level.run(Remove { table: self, slot });
        }
    }

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

    /// The states of many keys: what [`Self::find`] says of `keys[n]` goes to `slots[n]`, [`Slot::NONE`] for a miss. Keys
    /// or slots beyond the shorter of both are left alone.
    ///
    /// Natural for bursts of 32. Cost: about one index line and one hot line per key, up to 32 of them on their way
    /// together.
    #[inline]
    pub fn lookup_burst(&self, keys: &[Key], direction: Direction, slots: &mut [Slot]) {
        let stack = direction == Direction::Out && self.translated > 0;
        match (self.far, stack) {
            (false, false) => self.lookup_with::<Near, false>(keys, direction, slots),
            (false, true) => self.lookup_with::<Near, true>(keys, direction, slots),
            (true, false) => self.lookup_with::<Far, false>(keys, direction, slots),
            (true, true) => self.lookup_with::<Far, true>(keys, direction, slots),
        }
    }

    #[inline(always)]
    fn lookup_with<H: Hint, const STACK: bool>(
        &self,
        keys: &[Key],
        direction: Direction,
        slots: &mut [Slot],
    ) {
        self.level.run(Lookup::<H, STACK> { table: self, keys, slots, direction, hint: PhantomData });
    }

    /// The hot record of a slot.
    ///
    /// # Panics
    /// This and the other accessors do when `slot` is [`Slot::NONE`] or was never given out by this table.
    #[inline]
    #[must_use]
    pub fn hot(&self, slot: Slot) -> &Hot {
        &self.slab.hot[slot.0 as usize]
    }

    /// The hot record of a slot. Its key and the flags LIVE and TRANSLATED must stay as they are.
    #[inline]
    pub fn hot_mut(&mut self, slot: Slot) -> &mut Hot {
        &mut self.slab.hot[slot.0 as usize]
    }

    /// The track record of a slot.
    #[inline]
    #[must_use]
    pub fn track(&self, slot: Slot) -> &Track {
        &self.slab.track[slot.0 as usize]
    }

    /// The track record of a slot.
    #[inline]
    pub fn track_mut(&mut self, slot: Slot) -> &mut Track {
        &mut self.slab.track[slot.0 as usize]
    }

    /// The cold record of a slot.
    #[inline]
    #[must_use]
    pub fn cold(&self, slot: Slot) -> &Cold {
        &self.slab.cold[slot.0 as usize]
    }

    /// The cold record of a slot. Its stack key and identity must stay as they are.
    #[inline]
    pub fn cold_mut(&mut self, slot: Slot) -> &mut Cold {
        &mut self.slab.cold[slot.0 as usize]
    }

    /// What a packet changes: the hot and the track record, under the rules of [`Self::hot_mut`].
    #[inline]
    pub fn hot_and_track_mut(&mut self, slot: Slot) -> (&mut Hot, &mut Track) {
        let at = slot.0 as usize;
        (&mut self.slab.hot[at], &mut self.slab.track[at])
    }

    /// All three records, under the rules of [`Self::hot_mut`] and [`Self::cold_mut`].
    #[inline]
    pub fn records_mut(&mut self, slot: Slot) -> (&mut Hot, &mut Track, &mut Cold) {
        let at = slot.0 as usize;
        (&mut self.slab.hot[at], &mut self.slab.track[at], &mut self.slab.cold[at])
    }

    /// Starts loading a slot's track record. Any slot is fine.
    #[inline]
    pub fn prefetch_track(&self, slot: Slot) {
        prefetch::<Near, _>(&self.slab.track, slot.0 as usize);
    }

    /// Starts loading a slot's cold record. Any slot is fine.
    #[inline]
    pub fn prefetch_cold(&self, slot: Slot) {
        let at = slot.0 as usize;
        for line in 0..size_of::<Cold>() / 64 {
            Near::touch(self.slab.cold.as_ptr().wrapping_add(at).cast::<[u8; 64]>().wrapping_add(line));
        }
    }

    /// Whether a slot holds a state.
    #[inline]
    #[must_use]
    pub fn is_live(&self, slot: Slot) -> bool {
        self.slab.is_live(slot.0)
    }

    /// The first state at or after slot number `from`, in slab order. Does not wrap.
    ///
    /// Cost: one line per slot passed over, in memory order.
    #[must_use]
    pub fn next_live(&self, from: u32) -> Option<Slot> {
        self.slab.next_live(from, self.slab.end())
    }

    /// As [`Self::next_live`], but looks at slots below `end` only: a sweep with a bounded cost.
    #[must_use]
    pub fn next_live_before(&self, from: u32, end: u32) -> Option<Slot> {
        self.slab.next_live(from, end)
    }

    /// One past the highest slot number in use so far: where a sweep starts again from 0.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.slab.end()
    }

    /// States in the table.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.slab.len()
    }

    /// Whether there is no state in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// States that fit.
    #[inline]
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.slab.capacity()
    }

    /// Size and health. Cost: a few loads.
    #[must_use]
    pub fn statistics(&self) -> TableStatistics {
        let (overflowed, spilled, deepest) = self.index.overflow();
        TableStatistics {
            states: self.len(),
            capacity: self.capacity(),
            translated: self.translated,
            translated_capacity: self.plan.translated,
            bytes: self.slab.bytes() + self.index.bytes() + self.ids.as_ref().map_or(0, Index::bytes),
            index_bytes: self.index.bytes(),
            entries: self.index.entries(),
            overflowed,
            spilled,
            deepest,
            page_mode: self.slab.page_mode(),
            index_page_mode: self.index.page_mode(),
            level: self.level.name(),
        }
    }

    /// The value that stands for the unused record, and so for no entry.
    #[inline(always)]
    pub(super) const fn unused(&self) -> u32 {
        self.slab.capacity() << 1
    }

    #[inline(always)]
    pub(super) fn hash_key<I: Isa>(&self, isa: I, key: &Key) -> Hash {
        Hash(isa.hash(&self.secret, zerocopy::transmute_ref!(key)))
    }

    #[inline(always)]
    fn hash_id<I: Isa>(&self, isa: I, id: StateId) -> Hash {
        Hash(isa.hash(&self.secret, &[id.id, id.creator.into(), 0, 0, 0]))
    }

    #[inline(always)]
    pub(super) fn find_hashed<I: Isa>(
        &self,
        isa: I,
        hash: Hash,
        key: &Key,
        direction: Direction,
    ) -> Option<Slot> {
        let found = self.index.find(isa, hash, |value| self.entry_is(isa, value, key, direction));
        found.map(|value| Slot(value >> 1))
    }

    /// Whether an index entry stands for `key` in packets of `direction`.
    #[inline(always)]
    fn entry_is<I: Isa>(&self, isa: I, value: u32, key: &Key, direction: Direction) -> bool {
        let at = (value >> 1) as usize;
        let hot = &self.slab.hot[at];
        let is = |other: &Key| isa.same(zerocopy::transmute_ref!(key), zerocopy::transmute_ref!(other));
        match (value & 1, direction) {
            (0, Direction::In) => is(&hot.key),
            (0, Direction::Out) => !hot.local.has(LocalFlags::TRANSLATED) && is(&hot.key),
            (_, Direction::In) => false,
            (_, Direction::Out) => is(&self.slab.cold[at].stack_key),
        }
    }
}

struct Insert<'a> {
    table: &'a mut Table,
    record: &'a Record,
}

impl Kernel for Insert<'_> {
    type Output = Result<Slot, InsertError>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let Self { table, record } = self;
        let translated = record.hot.local.has(LocalFlags::TRANSLATED);
        let wire_key = &record.hot.key;
        let stack_key = if translated { &record.cold.stack_key } else { wire_key };
        let (wire, stack) = (table.hash_key(isa, wire_key), table.hash_key(isa, stack_key));
        let id = table.hash_id(isa, record.cold.id);
        table.refuse_twins(isa, record, [(wire, wire_key), (stack, stack_key)], id)?;
        if translated && table.translated == table.plan.translated {
            return Err(InsertError::Full);
        }
        let slot = table.slab.insert(record).ok_or(InsertError::Full)?;
        if table.enter(isa, slot, wire, translated.then_some(stack), id) {
            table.translated += u32::from(translated);
            return Ok(Slot(slot));
        }
        table.slab.remove(slot);
        Err(InsertError::Full)
    }
}

impl Table {
    /// An error if a state has one of the keys for the same use, or the identity.
    #[inline(always)]
    fn refuse_twins<I: Isa>(
        &self,
        isa: I,
        record: &Record,
        [wire, stack]: [(Hash, &Key); 2],
        id: Hash,
    ) -> Result<(), InsertError> {
        if let Some(twin) = self.find_hashed(isa, wire.0, wire.1, Direction::In) {
            return Err(InsertError::Key(twin));
        }
        if let Some(twin) = self.find_hashed(isa, stack.0, stack.1, Direction::Out) {
            return Err(InsertError::Key(twin));
        }
        match self.find_id_hashed(isa, id, record.cold.id) {
            Some(twin) => Err(InsertError::Id(twin)),
            None => Ok(()),
        }
    }

    #[inline(always)]
    fn find_id_hashed<I: Isa>(&self, isa: I, hash: Hash, id: StateId) -> Option<Slot> {
        let found = self.ids.as_ref()?.find(isa, hash, |value| self.slab.cold[value as usize].id == id);
        found.map(Slot)
    }

    /// Makes the index entries of a slot, all or none.
    #[inline(always)]
    fn enter<I: Isa>(&mut self, isa: I, slot: u32, wire: Hash, stack: Option<Hash>, id: Hash) -> bool {
        if !self.index.insert(isa, wire, slot << 1) {
            return false;
        }
        if let Some(stack) = stack
            && !self.index.insert(isa, stack, slot << 1 | 1)
        {
            self.index.remove(isa, wire, slot << 1);
            return false;
        }
        if let Some(ids) = &mut self.ids
            && !ids.insert(isa, id, slot)
        {
            self.index.remove(isa, wire, slot << 1);
            stack.map(|stack| self.index.remove(isa, stack, slot << 1 | 1));
            return false;
        }
        true
    }
}

struct Remove<'a> {
    table: &'a mut Table,
    slot: Slot,
}

impl Kernel for Remove<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { table, slot: Slot(slot) } = self;
        let hot = &table.slab.hot[slot as usize];
        let translated = hot.local.has(LocalFlags::TRANSLATED);
        let wire = table.hash_key(isa, &hot.key);
        table.index.remove(isa, wire, slot << 1);
        if translated {
            let stack = table.hash_key(isa, &table.slab.cold[slot as usize].stack_key);
            table.index.remove(isa, stack, slot << 1 | 1);
            table.translated -= 1;
        }
        let id = table.hash_id(isa, table.slab.cold[slot as usize].id);
        if let Some(ids) = &mut table.ids {
            ids.remove(isa, id, slot);
        }
        table.slab.remove(slot);
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
