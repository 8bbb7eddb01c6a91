//! Which keys of this table's states steer to other lanes.
//!
//! A translated state has two keys, and a packet of either may come. For each key that another lane is asked for, that
//! lane must know whose it is ([`super::AliasTable`]). The table itself notes it, since every state that comes or goes
//! passes here; the lane passes it on.

use crate::cpu::Steering;
use crate::packet::{Direction, Key};
use crate::state::{Cold, Hot};
use std::collections::VecDeque;
use std::sync::Arc;

/// Something that another lane is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliasChange {
    /// The key.
    pub key: Key,
    /// [`Direction::In`] for a wire key, [`Direction::Out`] for a stack key.
    pub direction: Direction,
    /// The lane that the key steers to.
    pub lane: u16,
    /// Whether a state of this table has it from now on, or has it no more.
    pub is_new: bool,
}

/// What the table needs to know of lanes.
pub(super) struct Foreign {
    steering: Arc<Steering>,
    lane: u16,
    /// Changes that were not told yet, up to `most`.
    changes: VecDeque<AliasChange>,
    most: usize,
    /// Keys of live states that steer elsewhere.
    live: u32,
    lost: u64,
}

impl Foreign {
    pub(super) fn new(steering: Arc<Steering>, lane: u16, most: usize) -> Self {
        Self { steering, lane, changes: VecDeque::with_capacity(most), most, live: 0, lost: 0 }
    }

    /// A translated state has come or gone.
    #[cold]
    pub(super) fn note(&mut self, hot: &Hot, cold: &Cold, is_new: bool) {
        for (key, direction) in [(&hot.key, Direction::In), (&cold.stack_key, Direction::Out)] {
            let lane = u16::from(self.steering.lane_of(key));
            if lane == self.lane {
                continue;
            }
            self.live = if is_new { self.live + 1 } else { self.live.saturating_sub(1) };
            if self.changes.len() == self.most {
                self.lost += 1;
            } else {
                self.changes.push_back(AliasChange { key: *key, direction, lane, is_new });
            }
        }
    }
}

impl super::Table {
    /// From now on notes which keys steer to other lanes than `lane`; up to `most` changes wait for
    /// [`Self::take_alias_change`].
    #[must_use]
    pub fn with_steering(mut self, steering: Arc<Steering>, lane: u16, most: usize) -> Self {
        self.foreign = Some(Box::new(Foreign::new(steering, lane, most)));
        self
    }

    /// Keys of its states that steer to other lanes.
    #[inline]
    #[must_use]
    pub fn foreign_keys(&self) -> u32 {
        self.foreign.as_ref().map_or(0, |foreign| foreign.live)
    }

    /// The oldest change that another lane has not been told.
    #[must_use]
    pub fn next_alias_change(&self) -> Option<&AliasChange> {
        self.foreign.as_ref().and_then(|foreign| foreign.changes.front())
    }

    /// That change has been told.
    pub fn take_alias_change(&mut self) -> Option<AliasChange> {
        self.foreign.as_mut().and_then(|foreign| foreign.changes.pop_front())
    }

    /// Changes that there was no room for: some lanes know of keys that are no more, or do not know of some.
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
    use crate::state::{LocalFlags, Record, StateId, Track};

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
    fn each_key_of_another_lane_is_told_once_when_it_comes_and_once_when_it_goes() {
        let steering = Arc::new(Steering::over_lanes(4).unwrap());
        let table = Table::new(100, [1, 2, 3, 4], &Memory::SYSTEM, -1).unwrap();
        let mut table = table.with_steering(Arc::clone(&steering), 2, 1000);
        let mut expected = Vec::new();
        let mut slots = Vec::new();
        for n in 0..50u16 {
            let record = translated(n.into(), n, 1000 + n);
            slots.push(table.insert(&record).unwrap());
            for (key, direction) in [(record.hot.key, Direction::In), (record.cold.stack_key, Direction::Out)]
            {
                let lane = u16::from(steering.lane_of(&key));
                expected.extend((lane != 2).then_some(AliasChange { key, direction, lane, is_new: true }));
            }
        }
        assert_eq!(table.foreign_keys() as usize, expected.len());
        slots.iter().for_each(|slot| table.remove(*slot));
        let gone: Vec<_> = expected.iter().map(|change| AliasChange { is_new: false, ..*change }).collect();
        expected.extend(gone);
        let told: Vec<_> = std::iter::from_fn(|| table.take_alias_change()).collect();
        assert_eq!(told, expected);
        assert_eq!((table.foreign_keys(), table.alias_changes_lost()), (0, 0));
    }

    #[test]
    fn states_that_are_not_translated_say_nothing_and_too_many_changes_are_counted() {
        let steering = Arc::new(Steering::over_lanes(128).unwrap());
        let table = Table::new(100, [1, 2, 3, 4], &Memory::SYSTEM, -1).unwrap();
        let mut table = table.with_steering(steering, 127, 4);
        let mut plain = translated(1, 1, 2);
        plain.hot.local.clear(LocalFlags::TRANSLATED);
        table.insert(&plain).unwrap();
        assert_eq!((table.foreign_keys(), table.next_alias_change()), (0, None));
        for n in 0..10u16 {
            table.insert(&translated((2 + n).into(), 100 + n, 200 + n)).unwrap();
        }
        let (told, live) = (std::iter::from_fn(|| table.take_alias_change()).count(), table.foreign_keys());
        assert_eq!((told, table.alias_changes_lost()), (4, u64::from(live) - 4));
    }
}
