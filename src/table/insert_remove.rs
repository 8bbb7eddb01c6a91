//! Inserting and removing states.

use super::index::Hash;
use super::{InsertError, Slot, Table};
use crate::cpu::{Isa, Kernel};
use crate::packet::{Direction, Key};
use crate::state::{LocalFlags, Record, StateId};

impl Table {
    /// Inserts a state and marks its slot live. [`LocalFlags::TRANSLATED`] says whether the cold record's stack key counts.
    ///
    /// Cost: about seven cache lines; outside the cache about three memory latencies.
    ///
    /// # Errors
    /// See [`InsertError`]. A duplicate key or identity is reported before a full table.
    #[inline]
    pub fn insert(&mut self, record: &Record) -> Result<Slot, InsertError> {
        self.level.run(Insert { table: self, record })
    }

    /// Removes a state; its slot may be reused at once. Does nothing for a slot without a state.
    ///
    /// Cost: the hot line, a cold line and the state's index lines; outside the cache two memory latencies.
    #[inline]
    pub fn remove(&mut self, slot: Slot) {
        self.level.run(Remove { table: self, slot });
    }

    #[inline(always)]
    fn hashes<I: Isa>(&self, isa: I, wire: &Key, stack: Option<&Key>, id: StateId) -> Hashes {
        let wire = self.hash_key(isa, wire);
        let stack = stack.map(|stack| self.hash_key(isa, stack));
        Hashes { wire, stack, id: self.hash_id(isa, id) }
    }

    /// Returns an error if a state has one of the keys for the same direction, or the identity.
    #[inline(always)]
    fn check_duplicates<I: Isa>(&self, isa: I, record: &Record, hashes: &Hashes) -> Result<(), InsertError> {
        let wire = &record.hot.key;
        let duplicate = match hashes.stack {
            // The key serves both directions, so any entry of it is a duplicate.
            None => {
                let found = self.index.find(isa, hashes.wire, |value| self.is_key_of(isa, value, wire));
                found.map(|value| Slot(value >> 1))
            }
            Some(stack) => self
                .find_hashed(isa, hashes.wire, wire, Direction::In)
                .or_else(|| self.find_hashed(isa, stack, &record.cold.stack_key, Direction::Out)),
        };
        if let Some(duplicate) = duplicate {
            return Err(InsertError::Key(duplicate));
        }
        match self.find_id_hashed(isa, hashes.id, record.cold.id) {
            Some(duplicate) => Err(InsertError::Id(duplicate)),
            None => Ok(()),
        }
    }

    /// Inserts all index entries of a slot, or none and returns false.
    #[inline(always)]
    fn insert_entries<I: Isa>(&mut self, isa: I, slot: u32, hashes: &Hashes) -> bool {
        let wire = self.index.insert(isa, hashes.wire, slot << 1);
        let stack = wire && hashes.stack.is_none_or(|stack| self.index.insert(isa, stack, slot << 1 | 1));
        if stack && self.ids.insert(isa, hashes.id, slot) {
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
}

/// The hashes of a state's index entries.
#[derive(Clone, Copy)]
struct Hashes {
    wire: Hash,
    stack: Option<Hash>,
    id: Hash,
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
        let stack = record.hot.local.has(LocalFlags::TRANSLATED).then_some(&record.cold.stack_key);
        let hashes = table.hashes(isa, &record.hot.key, stack, record.cold.id);
        table.check_duplicates(isa, record, &hashes)?;
        let translated = u32::from(stack.is_some());
        if table.translated + translated > table.plan.translated && translated != 0 {
            return Err(InsertError::Full);
        }
        let slot = table.slab.insert(record).ok_or(InsertError::Full)?;
        if !table.insert_entries(isa, slot, &hashes) {
            table.slab.remove(slot);
            return Err(InsertError::Full);
        }
        table.on_insert(Slot(slot));
        table.translated += translated;
        if let (1, Some(foreign)) = (translated, &mut table.foreign) {
            foreign.record(&record.hot, &record.cold, true);
        }
        if let (1, Some(ports)) = (translated, &mut table.ports) {
            ports.record(&record.hot, &record.cold, true);
        }
        Ok(Slot(slot))
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
        let Self { table, slot } = self;
        if !table.is_live(slot) {
            return;
        }
        let (hot, cold) = (table.hot(slot), table.cold(slot));
        let stack = hot.local.has(LocalFlags::TRANSLATED).then_some(&cold.stack_key);
        let hashes = table.hashes(isa, &hot.key, stack, cold.id);
        table.on_remove(slot);
        let Slot(slot) = slot;
        table.index.remove(isa, hashes.wire, slot << 1);
        if let Some(stack) = hashes.stack {
            table.index.remove(isa, stack, slot << 1 | 1);
            table.translated -= 1;
            if let Some(ports) = &mut table.ports {
                ports.record(&table.slab.hot[slot as usize], &table.slab.cold[slot as usize], false);
            }
            if let Some(foreign) = &mut table.foreign {
                foreign.record(&table.slab.hot[slot as usize], &table.slab.cold[slot as usize], false);
            }
        }
        table.ids.remove(isa, hashes.id, slot);
        table.slab.remove(slot);
    }
}
