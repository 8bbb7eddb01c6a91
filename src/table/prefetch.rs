//! Sending for the memory of states that are about to be asked for by identity.
//!
//! What a peer tells comes as lists of identities, each of them several dependent misses away: its bucket, the records,
//! for an insert the place that it will take, for an end the bucket of its key. [`PrefetchQueue`] takes a step of each of three
//! lists at a time, so that no step waits for the one before it. Nothing is decided here: whoever asks later finds the
//! lines in the cache, or not.

use super::bucket::Hash;
use super::{Slot, Table};
use crate::cpu::{Isa, Kernel, Near, prefetch};
use crate::packet::Key;
use crate::state::StateId;
use arrayvec::ArrayVec;

/// A state that will be asked for.
#[derive(Clone, Copy, Debug)]
pub struct PrefetchHint {
    /// Its identity.
    pub id: StateId,
    /// What will be done with it.
    pub purpose: Purpose,
}

/// What will be done with a state.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// It is read and changed.
    Update,
    /// It is changed, or inserted with this wire key where it is not there.
    Insert(Key),
    /// It is removed.
    Remove,
}

/// A state on its way.
#[derive(Clone, Copy)]
struct Seen {
    id: Hash,
    /// It will take a free slot where it is not there.
    is_fresh: bool,
    is_ending: bool,
    slot: Slot,
}

/// A list on its way, and how many of it will take a free slot.
#[derive(Default)]
struct List {
    states: ArrayVec<Seen, { PrefetchQueue::MAX_STATES }>,
    fresh: u32,
}

/// Lists of states on their way, a table's. A list has come when two more have followed, empty ones where there are no more.
#[derive(Default)]
pub struct PrefetchQueue {
    /// The list before the last.
    probed: List,
    /// The last list.
    hashed: List,
}

impl PrefetchQueue {
    /// States in a list.
    pub const MAX_STATES: usize = 8;
    /// Lists that follow one before it has come.
    pub const DEPTH: usize = 2;

    /// Starts loading what [`Table::find_id`], [`Table::insert`] and [`Table::remove`] of these states will touch, a step
    /// further for each list that has not come yet. Those behind the first [`Self::MAX_STATES`] are left alone.
    ///
    /// Cost: two hashes a state, and no wait for memory where the lists before took long enough.
    #[inline]
    pub fn advance(&mut self, table: &Table, list: &[PrefetchHint]) {
        table.level.run(Advance { foresight: self, table, list });
    }
}

struct Advance<'a> {
    foresight: &'a mut PrefetchQueue,
    table: &'a Table,
    list: &'a [PrefetchHint],
}

impl Kernel for Advance<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { foresight: PrefetchQueue { probed, hashed }, table, list } = self;
        table.foresee_ends(isa, &probed.states);
        let before = probed.fresh;
        core::mem::swap(probed, hashed);
        table.foresee_records(isa, probed, before);
        hashed.states.clear();
        hashed.fresh = 0;
        table.foresee_buckets(isa, list, hashed);
    }
}

impl Table {
    /// The first step: the buckets.
    #[inline(always)]
    fn foresee_buckets<I: Isa>(&self, isa: I, list: &[PrefetchHint], into: &mut List) {
        let Some(ids) = &self.ids else { return };
        for sought in list.iter().take(PrefetchQueue::MAX_STATES) {
            let id = self.hash_id(isa, sought.id);
            ids.prefetch(id);
            let is_fresh = if let Purpose::Insert(key) = &sought.purpose {
                self.index.prefetch(self.hash_key(isa, key));
                true
            } else {
                false
            };
            let is_ending = matches!(sought.purpose, Purpose::Remove);
            into.states.push(Seen { id, is_fresh, is_ending, slot: Slot::NONE });
        }
    }

    /// The second: the records, or the free slots behind those that `before` will have taken by then.
    #[inline(always)]
    fn foresee_records<I: Isa>(&self, isa: I, list: &mut List, before: u32) {
        let Some(ids) = &self.ids else { return };
        for seen in &mut list.states {
            match ids.likely(isa, seen.id) {
                Some(slot) => {
                    seen.slot = Slot(slot);
                    self.prefetch_records(Slot(slot));
                }
                None if seen.is_fresh => {
                    self.slab.prefetch_free(before + list.fresh);
                    list.fresh += 1;
                }
                None => {}
            }
        }
    }

    /// The third: the buckets of the keys of those that end.
    #[inline(always)]
    fn foresee_ends<I: Isa>(&self, isa: I, states: &[Seen]) {
        for slot in states.iter().filter(|seen| seen.is_ending).filter_map(|seen| seen.slot.some()) {
            self.index.prefetch(self.hash_key(isa, &self.hot(slot).key));
        }
    }

    /// Starts loading what a change touches of a slot's three records. Any slot is fine.
    #[inline(always)]
    pub fn prefetch_records(&self, slot: Slot) {
        prefetch::<Near, _>(&self.slab.hot, slot.0 as usize);
        prefetch::<Near, _>(&self.slab.track, slot.0 as usize);
        self.prefetch_cold(slot);
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

    #[test]
    fn any_list_may_be_foreseen_and_nothing_comes_of_it() {
        for level in Level::all() {
            for ids in [true, false] {
                let plan = Plan { ids, ..Plan::from(100) };
                let mut table = Table::with_level(plan, [1, 2, 3, 4], &Memory::SYSTEM, -1, level).unwrap();
                // Empty, half full, full, and with free slots again: known and unknown states, more than one burst of them.
                for known in [0..0, 0..50, 50..100] {
                    known.for_each(|n| _ = table.insert(&record(n)).unwrap());
                    let list: Vec<PrefetchHint> = (0..200)
                        .map(|n| {
                            let Record { hot, cold, .. } = record(n);
                            let purpose = [Purpose::Update, Purpose::Insert(hot.key), Purpose::Remove];
                            PrefetchHint { id: cold.id, purpose: purpose[n as usize % 3] }
                        })
                        .collect();
                    let before = table.len();
                    for length in [1, 3, PrefetchQueue::MAX_STATES, list.len()] {
                        let mut foresight = PrefetchQueue::default();
                        list.chunks(length).for_each(|list| foresight.advance(&table, list));
                        (0..=PrefetchQueue::DEPTH).for_each(|_| foresight.advance(&table, &[]));
                    }
                    assert_eq!(table.len(), before);
                }
                let mut foresight = PrefetchQueue::default();
                let ending = PrefetchHint { id: record(7).cold.id, purpose: Purpose::Remove };
                foresight.advance(&table, &[ending]);
                // It goes while it is on its way.
                table.remove(Slot(7));
                (0..=PrefetchQueue::DEPTH).for_each(|_| foresight.advance(&table, &[ending]));
                assert!(!table.is_live(Slot(7)) && table.insert(&record(7)) == Ok(Slot(7)));
            }
        }
    }
}
