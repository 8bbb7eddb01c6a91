//! The keys of this table's states that steer to other lanes.
//!
//! A translated state has two keys, and packets of either may arrive. When one of them steers to another lane, that lane
//! needs to know the owner ([`super::AliasTable`]). The table records these changes because every insert and remove
//! passes here; the lane sends them on.

use crate::cpu::Steering;
use crate::error::Error;
use crate::memory::{Counted, Heap, Ring};
use crate::packet::{Direction, Key};
use crate::state::{Cold, Hot, LocalFlags};

/// A change that another lane needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliasChange {
    /// The key.
    pub key: Key,
    /// [`Direction::In`] for a wire key, [`Direction::Out`] for a stack key.
    pub direction: Direction,
    /// The lane that the key steers to.
    pub lane: u16,
    /// What happened.
    pub event: AliasEvent,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasEvent {
    /// A state of this node has it now.
    Created,
    /// A state that a peer made has it now.
    Imported,
    /// A state lost it.
    Removed,
    /// The lane that it steers to knows another state with it: a peer's state must go.
    Refused,
}

/// Records the keys that steer to other lanes.
pub(super) struct ForeignKeys {
    steering: Counted<Steering>,
    lane: u16,
    /// Changes that were not sent yet.
    changes: Ring<AliasChange>,
    /// Keys of live states that steer to other lanes.
    live: u32,
    lost: u64,
}

impl ForeignKeys {
    /// Records the keys of a translated state that was inserted, or is about to be removed.
    #[cold]
    pub(super) fn record(&mut self, hot: &Hot, cold: &Cold, is_new: bool) {
        let event = match (is_new, hot.local.has(LocalFlags::IMPORTED)) {
            (false, _) => AliasEvent::Removed,
            (true, false) => AliasEvent::Created,
            (true, true) => AliasEvent::Imported,
        };
        for (key, direction) in [(&hot.key, Direction::In), (&cold.stack_key, Direction::Out)] {
            let lane = u16::from(self.steering.lane_of(key));
            if lane == self.lane {
                continue;
            }
            self.live = if is_new { self.live + 1 } else { self.live.saturating_sub(1) };
            let is_noted = self.changes.push(AliasChange { key: *key, direction, lane, event });
            self.lost += u64::from(!is_noted);
        }
    }
}

impl super::Table {
    /// Records the keys that steer to other lanes than `lane` from now on. At most `max_changes` wait for
    /// [`Self::take_alias_change`].
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn with_steering(
        mut self,
        steering: Counted<Steering>,
        lane: u16,
        max_changes: usize,
        heap: Heap,
    ) -> Result<Self, Error> {
        self.set_steering(steering, lane, max_changes, heap)?;
        Ok(self)
    }

    /// As [`Self::with_steering`], in place.
    pub(crate) fn set_steering(
        &mut self,
        steering: Counted<Steering>,
        lane: u16,
        max_changes: usize,
        heap: Heap,
    ) -> Result<(), Error> {
        const WHAT: &str = "changes of aliases";
        let changes = Ring::new(heap, WHAT, max_changes)?;
        self.foreign = Some(heap.owned(WHAT, ForeignKeys { steering, lane, changes, live: 0, lost: 0 })?);
        Ok(())
    }

    /// Returns the bytes that [`Self::with_steering`] allocates.
    #[must_use]
    pub const fn foreign_keys_memory(max_changes: usize) -> usize {
        max_changes * size_of::<AliasChange>() + size_of::<ForeignKeys>()
    }

    /// Returns how many keys of its states steer to other lanes.
    #[inline]
    #[must_use]
    pub fn foreign_keys(&self) -> u32 {
        self.foreign.as_ref().map_or(0, |foreign| foreign.live)
    }

    /// Returns the oldest change that was not sent yet.
    #[must_use]
    pub fn next_alias_change(&self) -> Option<&AliasChange> {
        self.foreign.as_ref().and_then(|foreign| foreign.changes.front())
    }

    /// Removes that change from the queue.
    pub fn take_alias_change(&mut self) -> Option<AliasChange> {
        self.foreign.as_mut().and_then(|foreign| foreign.changes.pop())
    }

    /// Returns how many changes were dropped from a full queue. Other lanes then miss keys, or have stale ones.
    #[must_use]
    pub fn alias_changes_lost(&self) -> u64 {
        self.foreign.as_ref().map_or(0, |foreign| foreign.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use super::*;
    use crate::memory::Memory;
    use crate::packet::{Be16, Family};
    use crate::state::{Record, StateId, Track};

    /// A state whose wire key has port `wire` and whose stack key has port `stack`.
    fn translated(number: u64, wire: u16, stack: u16) -> Record {
        let key = |port| Key {
            addr: [[1; 16], [2; 16]],
            port: [Be16::new(port), Be16::new(80)],
            family: Family::V6,
            proto: 6,
            ..Key::EMPTY
        };
        let id = StateId { id: number, creator: 1 };
        Record {
            hot: Hot { key: key(wire), local: LocalFlags(LocalFlags::TRANSLATED), ..Hot::EMPTY },
            track: Track::default(),
            cold: Cold { stack_key: key(stack), id, ..Cold::EMPTY },
        }
    }

    #[test]
    fn each_foreign_key_is_reported_once_at_insert_and_once_at_remove() {
        let steering = Counted::new(Heap::SYSTEM, "test", Steering::over_lanes(4).unwrap()).unwrap();
        let table = Table::new(100, [1, 2, 3, 4], &Memory::SYSTEM, -1).unwrap();
        let mut table = table.with_steering(steering.clone(), 2, 1000, Heap::SYSTEM).unwrap();
        let mut expected = Vec::new();
        let mut slots = Vec::new();
        for n in 0..50u16 {
            let record = translated(n.into(), n, 1000 + n);
            slots.push(table.insert(&record).unwrap());
            for (key, direction) in [(record.hot.key, Direction::In), (record.cold.stack_key, Direction::Out)]
            {
                let lane = u16::from(steering.lane_of(&key));
                let change = AliasChange { key, direction, lane, event: AliasEvent::Created };
                expected.extend((lane != 2).then_some(change));
            }
        }
        assert_eq!(table.foreign_keys() as usize, expected.len());
        slots.iter().for_each(|slot| table.remove(*slot));
        let removed: Vec<_> =
            expected.iter().map(|change| AliasChange { event: AliasEvent::Removed, ..*change }).collect();
        expected.extend(removed);
        let reported: Vec<_> = std::iter::from_fn(|| table.take_alias_change()).collect();
        assert_eq!(reported, expected);
        assert_eq!((table.foreign_keys(), table.alias_changes_lost()), (0, 0));
    }

    #[test]
    fn untranslated_states_report_nothing_and_dropped_changes_are_counted() {
        let steering = Counted::new(Heap::SYSTEM, "test", Steering::over_lanes(128).unwrap()).unwrap();
        let table = Table::new(100, [1, 2, 3, 4], &Memory::SYSTEM, -1).unwrap();
        let mut table = table.with_steering(steering, 127, 4, Heap::SYSTEM).unwrap();
        let mut plain = translated(1, 1, 2);
        plain.hot.local.clear(LocalFlags::TRANSLATED);
        table.insert(&plain).unwrap();
        assert_eq!((table.foreign_keys(), table.next_alias_change()), (0, None));
        for n in 0..10u16 {
            table.insert(&translated((2 + n).into(), 100 + n, 200 + n)).unwrap();
        }
        let (reported, live) =
            (std::iter::from_fn(|| table.take_alias_change()).count(), table.foreign_keys());
        assert_eq!((reported, table.alias_changes_lost()), (4, u64::from(live) - 4));
    }
}
