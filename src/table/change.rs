//! Inserting and removing states, alone or in a burst.
//!
//! A burst is done in passes as a lookup is: the first sends for all lines that will be read or written, the last works
//! through the burst one by one. So a key that comes twice in one burst is noticed like any other twin.

use super::bucket::Hash;
use super::lookup::CHUNK;
use super::{InsertError, Slot, Table};
use crate::cpu::{Isa, Kernel, Near, prefetch};
use crate::packet::{Direction, Key};
use crate::state::{LocalFlags, Record};

impl Table {
    /// Adds a state. The slot is marked live; [`LocalFlags::TRANSLATED`] says whether the cold record's stack key counts.
    ///
    /// Cost: some seven cache lines; out of cache about three memory latencies.
    ///
    /// # Errors
    /// See [`InsertError`]. A key or an identity that is there already is reported before a full table.
    #[inline]
    pub fn insert(&mut self, record: &Record) -> Result<Slot, InsertError> {
        self.level.run(Insert { table: self, record })
    }

    /// Adds many states, in order: what [`Self::insert`] says of `records[n]` goes to `results[n]`. Records or results beyond
    /// the shorter of both are left alone.
    ///
    /// Cost: the same lines as one by one, but all of a burst on their way together.
    pub fn insert_burst(&mut self, records: &[Record], results: &mut [Result<Slot, InsertError>]) {
        self.level.run(InsertBurst { table: self, records, results });
    }

    /// Ends a state; its slot may be used again at once. Does nothing for a slot that holds no state.
    ///
    /// Cost: the hot line, a cold line and the state's index lines; out of cache two memory latencies.
    #[inline]
    pub fn remove(&mut self, slot: Slot) {
        self.level.run(Remove { table: self, slot });
    }

    /// Ends many states. Slots that hold none are passed over, so a slot may come twice.
    pub fn remove_burst(&mut self, slots: &[Slot]) {
        self.level.run(RemoveBurst { table: self, slots });
    }

    #[inline(always)]
    fn hashes<I: Isa>(&self, isa: I, wire: &Key, stack: Option<&Key>, id: crate::state::StateId) -> Hashes {
        let wire = self.hash_key(isa, wire);
        let stack = stack.map(|stack| self.hash_key(isa, stack));
        let id = if self.ids.is_some() { self.hash_id(isa, id) } else { Hash::default() };
        Hashes { wire, stack, id }
    }

    #[inline(always)]
    fn prefetch_buckets(&self, hashes: &Hashes) {
        self.index.prefetch(hashes.wire);
        if let Some(stack) = hashes.stack {
            self.index.prefetch(stack);
        }
        if let Some(ids) = &self.ids {
            ids.prefetch(hashes.id);
        }
    }

    #[inline(always)]
    fn insert_hashed<I: Isa>(
        &mut self,
        isa: I,
        record: &Record,
        hashes: &Hashes,
    ) -> Result<Slot, InsertError> {
        self.refuse_twins(isa, record, hashes)?;
        let translated = u32::from(hashes.stack.is_some());
        if self.translated + translated > self.plan.translated && translated != 0 {
            return Err(InsertError::Full);
        }
        let slot = self.slab.insert(record).ok_or(InsertError::Full)?;
        if !self.enter(isa, slot, hashes) {
            self.slab.remove(slot);
            return Err(InsertError::Full);
        }
        self.came(Slot(slot));
        self.translated += translated;
        if let (1, Some(foreign)) = (translated, &mut self.foreign) {
            foreign.note(&record.hot, &record.cold, true);
        }
        Ok(Slot(slot))
    }

    /// An error if a state has one of the keys for the same use, or the identity.
    #[inline(always)]
    fn refuse_twins<I: Isa>(&self, isa: I, record: &Record, hashes: &Hashes) -> Result<(), InsertError> {
        let wire = &record.hot.key;
        let twin = match hashes.stack {
            // One key for both uses: any entry of it is in the way.
            None => {
                let found = self.index.find(isa, hashes.wire, |value| self.is_key_of(isa, value, wire));
                found.map(|value| Slot(value >> 1))
            }
            Some(stack) => self
                .find_hashed(isa, hashes.wire, wire, Direction::In)
                .or_else(|| self.find_hashed(isa, stack, &record.cold.stack_key, Direction::Out)),
        };
        if let Some(twin) = twin {
            return Err(InsertError::Key(twin));
        }
        match self.find_id_hashed(isa, hashes.id, record.cold.id) {
            Some(twin) => Err(InsertError::Id(twin)),
            None => Ok(()),
        }
    }

    /// Makes the index entries of a slot, all or none.
    #[inline(always)]
    fn enter<I: Isa>(&mut self, isa: I, slot: u32, hashes: &Hashes) -> bool {
        let wire = self.index.insert(isa, hashes.wire, slot << 1);
        let stack = wire && hashes.stack.is_none_or(|stack| self.index.insert(isa, stack, slot << 1 | 1));
        if stack && self.ids.as_mut().is_none_or(|ids| ids.insert(isa, hashes.id, slot)) {
            return true;
        }
        if wire {
            self.index.remove(isa, hashes.wire, slot << 1);
        }
        if let (true, Some(hash)) = (stack, hashes.stack) {
            self.index.remove(isa, hash, slot << 1 | 1);
        }
        false
    }

    /// The hashes of a live slot's keys and identity.
    #[inline(always)]
    fn hashes_of<I: Isa>(&self, isa: I, slot: Slot) -> Option<Hashes> {
        if !self.slab.is_live(slot.0) {
            return None;
        }
        let (hot, cold) = (self.hot(slot), self.cold(slot));
        let stack = hot.local.has(LocalFlags::TRANSLATED).then_some(&cold.stack_key);
        Some(self.hashes(isa, &hot.key, stack, cold.id))
    }

    #[inline(always)]
    fn remove_hashed<I: Isa>(&mut self, isa: I, Slot(slot): Slot, hashes: &Hashes) {
        self.goes(Slot(slot));
        self.index.remove(isa, hashes.wire, slot << 1);
        if let Some(stack) = hashes.stack {
            self.index.remove(isa, stack, slot << 1 | 1);
            self.translated -= 1;
            if let Some(foreign) = &mut self.foreign {
                foreign.note(&self.slab.hot[slot as usize], &self.slab.cold[slot as usize], false);
            }
        }
        if let Some(ids) = &mut self.ids {
            ids.remove(isa, hashes.id, slot);
        }
        self.slab.remove(slot);
    }
}

/// The hashes of a state's index entries.
#[derive(Clone, Copy, Default)]
struct Hashes {
    wire: Hash,
    stack: Option<Hash>,
    id: Hash,
}

impl Hashes {
    #[inline(always)]
    fn of<I: Isa>(isa: I, table: &Table, record: &Record) -> Self {
        let stack = record.hot.local.has(LocalFlags::TRANSLATED).then_some(&record.cold.stack_key);
        table.hashes(isa, &record.hot.key, stack, record.cold.id)
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
        let hashes = Hashes::of(isa, self.table, self.record);
        self.table.insert_hashed(isa, self.record, &hashes)
    }
}

struct InsertBurst<'a> {
    table: &'a mut Table,
    records: &'a [Record],
    results: &'a mut [Result<Slot, InsertError>],
}

impl Kernel for InsertBurst<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { table, records, results } = self;
        for (records, results) in records.chunks(CHUNK).zip(results.chunks_mut(CHUNK)) {
            let mut hashes = [Hashes::default(); CHUNK];
            for (n, (record, place)) in records.iter().zip(&mut hashes).enumerate() {
                *place = Hashes::of(isa, table, record);
                table.prefetch_buckets(place);
                table.slab.prefetch_free(n as u32);
            }
            for ((record, hashes), result) in records.iter().zip(&hashes).zip(results) {
                *result = table.insert_hashed(isa, record, hashes);
            }
        }
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
        if let Some(hashes) = self.table.hashes_of(isa, self.slot) {
            self.table.remove_hashed(isa, self.slot, &hashes);
        }
    }
}

struct RemoveBurst<'a> {
    table: &'a mut Table,
    slots: &'a [Slot],
}

impl Kernel for RemoveBurst<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { table, slots } = self;
        for slots in slots.chunks(CHUNK) {
            for slot in slots {
                prefetch::<Near, _>(&table.slab.hot, slot.0 as usize);
                if table.ids.is_some() {
                    prefetch::<Near, _>(&table.slab.cold, slot.0 as usize);
                }
            }
            let mut hashes = [Hashes::default(); CHUNK];
            for (&slot, place) in slots.iter().zip(&mut hashes) {
                *place = table.hashes_of(isa, slot).unwrap_or_default();
                table.prefetch_buckets(place);
            }
            for (&slot, hashes) in slots.iter().zip(&hashes) {
                if table.slab.is_live(slot.0) {
                    table.remove_hashed(isa, slot, hashes);
                }
            }
        }
    }
}
