//! Sending for the memory of states that are about to be asked for by identity.
//!
//! What a peer tells comes as lists of identities, each of them several dependent misses away: its bucket, the records,
//! for an insert the place that it will take, for an end the bucket of its key. Done for a list at once, these wait for
//! memory together. Nothing is decided here: whoever asks later finds the lines in the cache, or not.

use super::bucket::Hash;
use super::lookup::CHUNK;
use super::{Slot, Table};
use crate::cpu::{Isa, Kernel, Near, prefetch};
use crate::packet::Key;
use crate::state::StateId;

/// A state that will be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    /// Its identity.
    pub id: StateId,
    /// What will be done with it.
    pub purpose: Purpose,
}

impl Sought {
    /// How many [`Table::foresee`] looks at.
    pub const MOST: usize = CHUNK;
}

/// What will be done with a state.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// It is read and changed.
    Change,
    /// It is changed, or inserted with this wire key where it is not there.
    Insert(Key),
    /// It is removed.
    Remove,
}

impl Table {
    /// Starts loading what [`Self::find_id`], [`Self::insert`] and [`Self::remove`] of these states will touch. Those behind
    /// the first [`Sought::MOST`] are left alone.
    ///
    /// Cost: two hashes a state, and no wait but for the buckets, all of the list together.
    pub fn foresee(&self, list: &[Sought]) {
        self.level.run(Foresee { table: self, list });
    }
}

struct Foresee<'a> {
    table: &'a Table,
    list: &'a [Sought],
}

impl Kernel for Foresee<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { table, list } = self;
        let Some(ids) = &table.ids else { return };
        let list = &list[..list.len().min(CHUNK)];
        let mut hashes = [Hash::default(); CHUNK];
        for (sought, hash) in list.iter().zip(&mut hashes) {
            *hash = table.hash_id(isa, sought.id);
            ids.prefetch(*hash);
            if let Purpose::Insert(key) = &sought.purpose {
                table.index.prefetch(table.hash_key(isa, key));
            }
        }
        let mut fresh = 0;
        let mut ending = [Slot::NONE; CHUNK];
        for ((sought, &hash), ending) in list.iter().zip(&hashes).zip(&mut ending) {
            match (ids.likely(isa, hash), &sought.purpose) {
                (Some(slot), purpose) => {
                    table.prefetch_records(Slot(slot));
                    if matches!(purpose, Purpose::Remove) {
                        *ending = Slot(slot);
                    }
                }
                (None, Purpose::Insert(_)) => {
                    table.slab.prefetch_free(fresh);
                    fresh += 1;
                }
                (None, _) => {}
            }
        }
        for slot in ending.iter().take(list.len()).filter_map(|slot| slot.some()) {
            table.index.prefetch(table.hash_key(isa, &table.hot(slot).key));
        }
    }
}

impl Table {
    #[inline(always)]
    fn prefetch_records(&self, slot: Slot) {
        prefetch::<Near, _>(&self.slab.hot, slot.0 as usize);
        prefetch::<Near, _>(&self.slab.track, slot.0 as usize);
        self.prefetch_cold(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Level;
    use crate::state::{Cold, Hot, Record, Track};
    use crate::table::{Memory, Plan};

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
                    let list: Vec<Sought> = (0..200)
                        .map(|n| {
                            let Record { hot, cold, .. } = record(n);
                            let purpose = [Purpose::Change, Purpose::Insert(hot.key), Purpose::Remove];
                            Sought { id: cold.id, purpose: purpose[n as usize % 3] }
                        })
                        .collect();
                    let before = table.len();
                    (0..=list.len()).for_each(|length| table.foresee(&list[..length]));
                    list.chunks(7).for_each(|list| table.foresee(list));
                    assert_eq!(table.len(), before);
                }
                table.remove(Slot(7));
                table.foresee(&[Sought { id: record(7).cold.id, purpose: Purpose::Remove }]);
                assert!(!table.is_live(Slot(7)) && table.insert(&record(7)) == Ok(Slot(7)));
            }
        }
    }
}
