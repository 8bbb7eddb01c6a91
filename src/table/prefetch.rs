//! Prefetching the memory of states that are about to be accessed by identity.
//!
//! Messages of a peer name states by identity. Each access is a chain of dependent cache misses: the identity's bucket,
//! then the records (for an insert, those of a free slot), then for a removal the key's bucket. [`PrefetchQueue`] advances
//! three lists by one step each, so no step waits for the one before it. It has no effect on results: a later access finds
//! the lines in the cache, or not.

use super::index::Hash;
use super::{Slot, Table};
use crate::cpu::{Isa, Kernel};
use crate::packet::Key;
use crate::state::StateId;
use arrayvec::ArrayVec;

/// A state that will be accessed.
#[derive(Clone, Copy, Debug)]
pub struct PrefetchHint {
    /// Its identity.
    pub id: StateId,
    /// What the access does.
    pub purpose: Purpose,
}

/// What an access does with a state.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Reads or updates it.
    Update,
    /// Updates it, or inserts it with this wire key.
    Insert(Key),
    /// Removes it.
    Remove,
}

/// A state whose memory is being prefetched.
#[derive(Clone, Copy)]
struct Pending {
    id: Hash,
    /// Takes a free slot if the identity is unknown.
    may_insert: bool,
    will_remove: bool,
    slot: Slot,
}

/// A list of states, and how many of them will take a free slot.
#[derive(Default)]
struct List {
    states: ArrayVec<Pending, { PrefetchQueue::MAX_STATES }>,
    inserts: u32,
}

/// Lists of states of one table whose memory is being prefetched. A list is fully prefetched after [`Self::DEPTH`] further
/// calls; pass empty lists to drain.
#[derive(Default)]
pub struct PrefetchQueue {
    /// The list before the last.
    probed: List,
    /// The last list.
    hashed: List,
}

impl PrefetchQueue {
    /// Maximum number of states in a list.
    pub const MAX_STATES: usize = 8;
    /// Calls after which a list is fully prefetched.
    pub const DEPTH: usize = 2;

    /// Starts to prefetch what [`Table::find_id`], [`Table::insert`] and [`Table::remove`] of these states will touch, and
    /// advances the lists before. Ignores states beyond [`Self::MAX_STATES`].
    ///
    /// Cost: two hashes per state, and no wait for memory if enough time has passed since the last call.
    #[inline]
    pub fn advance(&mut self, table: &Table, list: &[PrefetchHint]) {
        table.level.run(Advance { queue: self, table, list });
    }
}

struct Advance<'a> {
    queue: &'a mut PrefetchQueue,
    table: &'a Table,
    list: &'a [PrefetchHint],
}

impl Kernel for Advance<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { queue: PrefetchQueue { probed, hashed }, table, list } = self;
        table.prefetch_removed_keys(isa, &probed.states);
        let before = probed.inserts;
        core::mem::swap(probed, hashed);
        table.prefetch_listed_records(isa, probed, before);
        hashed.states.clear();
        hashed.inserts = 0;
        table.prefetch_buckets(isa, list, hashed);
    }
}

impl Table {
    /// First step: prefetches the buckets of identities and of inserted keys.
    #[inline(always)]
    fn prefetch_buckets<I: Isa>(&self, isa: I, hints: &[PrefetchHint], list: &mut List) {
        for hint in hints.iter().take(PrefetchQueue::MAX_STATES) {
            let id = self.hash_id(isa, hint.id);
            self.ids.prefetch(id);
            let may_insert = if let Purpose::Insert(key) = &hint.purpose {
                self.index.prefetch(self.hash_key(isa, key));
                true
            } else {
                false
            };
            let will_remove = matches!(hint.purpose, Purpose::Remove);
            list.states.push(Pending { id, may_insert, will_remove, slot: Slot::NONE });
        }
    }

    /// Second step: prefetches the records, or free slots after those that `before` other inserts will take.
    #[inline(always)]
    fn prefetch_listed_records<I: Isa>(&self, isa: I, list: &mut List, before: u32) {
        for pending in &mut list.states {
            match self.ids.first_candidate(isa, pending.id) {
                Some(slot) => {
                    pending.slot = Slot(slot);
                    self.prefetch_records(Slot(slot));
                }
                None if pending.may_insert => {
                    self.slab.prefetch_free(before + list.inserts);
                    list.inserts += 1;
                }
                None => {}
            }
        }
    }

    /// Third step: prefetches the buckets of the keys of states that will be removed.
    #[inline(always)]
    fn prefetch_removed_keys<I: Isa>(&self, isa: I, states: &[Pending]) {
        let removed = states.iter().filter(|pending| pending.will_remove);
        for slot in removed.filter_map(|pending| pending.slot.some()) {
            self.index.prefetch(self.hash_key(isa, &self.hot(slot).key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Level;
    use crate::memory::Memory;
    use crate::state::{Cold, Hot, Record, Track};
    use crate::table::Plan;

    fn record(n: u32) -> Record {
        let mut key = Key::EMPTY;
        key.addr[0][..4].copy_from_slice(&n.to_be_bytes());
        let id = StateId { id: n.into(), creator: 1 };
        Record { hot: Hot { key, ..Hot::EMPTY }, track: Track::default(), cold: Cold { id, ..Cold::EMPTY } }
    }

    /// Known and unknown states, for each purpose.
    fn hints() -> Vec<PrefetchHint> {
        let hint = |n| {
            let Record { hot, cold, .. } = record(n);
            let purposes = [Purpose::Update, Purpose::Insert(hot.key), Purpose::Remove];
            PrefetchHint { id: cold.id, purpose: purposes[n as usize % 3] }
        };
        (0..200).map(hint).collect()
    }

    #[test]
    fn prefetching_any_list_changes_nothing() {
        for level in Level::all() {
            let mut table =
                Table::with_level(Plan::from(100), [1, 2, 3, 4], &Memory::SYSTEM, -1, level).unwrap();
            let hints = hints();
            // The table is empty, half full, full.
            for inserted in [0..0, 0..50, 50..100] {
                inserted.for_each(|n| _ = table.insert(&record(n)).unwrap());
                let before = table.len();
                for length in [1, 3, PrefetchQueue::MAX_STATES, hints.len()] {
                    let mut queue = PrefetchQueue::default();
                    hints.chunks(length).for_each(|list| queue.advance(&table, list));
                    (0..=PrefetchQueue::DEPTH).for_each(|_| queue.advance(&table, &[]));
                }
                assert_eq!(table.len(), before);
            }
            let mut queue = PrefetchQueue::default();
            let hint = PrefetchHint { id: record(7).cold.id, purpose: Purpose::Remove };
            queue.advance(&table, &[hint]);
            // The state is removed before the prefetch is complete.
            table.remove(Slot(7));
            (0..=PrefetchQueue::DEPTH).for_each(|_| queue.advance(&table, &[hint]));
            assert!(!table.is_live(Slot(7)) && table.insert(&record(7)) == Ok(Slot(7)));
        }
    }
}
