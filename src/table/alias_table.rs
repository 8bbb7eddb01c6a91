//! Keys that another lane owns.
//!
//! The two keys of a translated state may steer to two lanes. The lane that created the state owns both; the other lane
//! keeps an alias, key to owner, and hands packets of that key off. It looks for an alias when a key has no state.

use super::index::{Hash, Index};
use crate::cpu::{Isa, Kernel, Level, Secret};
use crate::error::{Error, check_range};
use crate::memory::{FixedArray, Memory, bytes_of};
use crate::packet::{Direction, Key};

/// An alias, or a free entry: then `key` is the empty key and `next` the next free entry.
#[derive(Clone, Copy)]
#[repr(C)]
struct Alias {
    key: Key,
    next: u32,
    lane: u16,
    is_stack: bool,
    reserved: u8,
}

const _: () = assert!(size_of::<Alias>() == 48);

/// No free entry.
const END: u32 = u32::MAX;

/// A lane's aliases. Like a [`super::Table`], it has a fixed capacity and is owned by one core.
pub struct AliasTable {
    aliases: FixedArray<Alias>,
    index: Index,
    free: u32,
    secret: Secret,
    level: Level,
}

impl AliasTable {
    /// Builds a table for `capacity` aliases in memory of NUMA node `socket` (-1: any); `secret` as for a table.
    ///
    /// # Errors
    /// [`Error::Setting`] when the capacity is out of range, [`Error::OutOfMemory`].
    pub fn new(capacity: u32, secret: [u64; 4], memory: &Memory, socket: i32) -> Result<Self, Error> {
        check_range("aliases", capacity.into(), 1, 1 << 30)?;
        let free = Alias { key: Key::EMPTY, next: END, lane: 0, is_stack: false, reserved: 0 };
        let arrays = 1 + Index::ARRAYS;
        let mut arena = memory.arena("aliases", Self::memory_needed(capacity), arrays, socket)?;
        let mut aliases = arena.array("aliases", capacity as usize, free)?;
        for (alias, next) in aliases.iter_mut().zip(1..capacity) {
            alias.next = next;
        }
        let index = Index::new(capacity, &mut arena)?;
        Ok(Self { aliases, index, free: 0, secret: Secret(secret), level: Level::best() })
    }

    /// Returns the bytes that a table for `capacity` aliases allocates, before mappings are rounded up to pages.
    #[must_use]
    pub const fn memory_needed(capacity: u32) -> usize {
        bytes_of::<Alias>(capacity as usize) + Index::bytes_needed(capacity)
    }

    /// Inserts or repositions the owner of a key: a wire key for `In`, a stack key for `Out`. Returns false when the table is
    /// full; packets of that key then find no state.
    pub fn insert(&mut self, key: &Key, direction: Direction, lane: u16) -> bool {
        self.level.run(Insert { aliases: self, key, direction, lane })
    }

    /// Removes a key. Returns false when there is no such alias.
    pub fn remove(&mut self, key: &Key, direction: Direction) -> bool {
        self.level.run(Remove { aliases: self, key, direction })
    }

    /// Returns the lane that owns a key. Cost: about one index line, or nothing while the table is empty.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &Key, direction: Direction) -> Option<u16> {
        if self.is_empty() { None } else { self.level.run(Find { aliases: self, key, direction }) }
    }

    /// Returns the number of aliases.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.index.entries()
    }

    /// Whether there is no alias.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the maximum number of aliases.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.aliases.len() as u32
    }

    /// Returns a key's hash and the position of its alias.
    #[inline(always)]
    fn position<I: Isa>(&self, isa: I, key: &Key, direction: Direction) -> (Hash, Option<u32>) {
        let words = zerocopy::transmute_ref!(key);
        let hash = Hash::new(isa.hash(&self.secret, words));
        let is_stack = direction == Direction::Out;
        let position = self.index.find(isa, hash, |position| {
            let alias = &self.aliases[position as usize];
            alias.is_stack == is_stack && isa.differs(words, zerocopy::transmute_ref!(&alias.key)) == 0
        });
        (hash, position)
    }
}

struct Insert<'a> {
    aliases: &'a mut AliasTable,
    key: &'a Key,
    direction: Direction,
    lane: u16,
}

impl Kernel for Insert<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> bool {
        let Self { aliases, key, direction, lane } = self;
        let (hash, position) = aliases.position(isa, key, direction);
        if let Some(position) = position {
            aliases.aliases[position as usize].lane = lane;
            return true;
        }
        let position = aliases.free;
        if position == END || !aliases.index.insert(isa, hash, position) {
            return false;
        }
        let alias = &mut aliases.aliases[position as usize];
        aliases.free = alias.next;
        *alias = Alias { key: *key, next: END, lane, is_stack: direction == Direction::Out, reserved: 0 };
        true
    }
}

struct Remove<'a> {
    aliases: &'a mut AliasTable,
    key: &'a Key,
    direction: Direction,
}

impl Kernel for Remove<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> bool {
        let Self { aliases, key, direction } = self;
        let (hash, Some(position)) = aliases.position(isa, key, direction) else { return false };
        aliases.index.remove(isa, hash, position);
        let alias = &mut aliases.aliases[position as usize];
        alias.key = Key::EMPTY;
        alias.next = aliases.free;
        aliases.free = position;
        true
    }
}

struct Find<'a> {
    aliases: &'a AliasTable,
    key: &'a Key,
    direction: Direction,
}

impl Kernel for Find<'_> {
    type Output = Option<u16>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Option<u16> {
        let (_, position) = self.aliases.position(isa, self.key, self.direction);
        position.map(|position| self.aliases.aliases[position as usize].lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::recording::RecordingAllocator;
    use crate::packet::Family;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn key(number: u8) -> Key {
        Key { addr: [[number; 16], [9; 16]], family: Family::V6, proto: 6, ..Key::EMPTY }
    }

    fn direction(out: bool) -> Direction {
        if out { Direction::Out } else { Direction::In }
    }

    proptest! {
        #[test]
        fn any_history_matches_a_hash_map(
            capacity in 1u32..20,
            steps in proptest::collection::vec((0u8..24, any::<bool>(), proptest::option::of(0u16..128)), 0..300),
        ) {
            let mut aliases = AliasTable::new(capacity, [5, 6, 7, 8], &Memory::SYSTEM, -1).unwrap();
            let mut naive: HashMap<(u8, bool), u16> = HashMap::new();
            for (number, out, lane) in steps {
                let exists = naive.contains_key(&(number, out));
                match lane {
                    Some(lane) => {
                        let fits = exists || naive.len() < capacity as usize;
                        prop_assert_eq!(aliases.insert(&key(number), direction(out), lane), fits);
                        if fits {
                            naive.insert((number, out), lane);
                        }
                    }
                    None => {
                        prop_assert_eq!(aliases.remove(&key(number), direction(out)), exists);
                        naive.remove(&(number, out));
                    }
                }
                prop_assert_eq!(aliases.len() as usize, naive.len());
                for number in 0..24 {
                    for out in [false, true] {
                        let expected = naive.get(&(number, out)).copied();
                        prop_assert_eq!(aliases.find(&key(number), direction(out)), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn memory_needed_is_what_the_hooks_allocate() {
        let allocator = RecordingAllocator::default();
        let aliases = AliasTable::new(1000, [5, 6, 7, 8], &allocator.memory(), 2).unwrap();
        assert_eq!(allocator.allocated_bytes(), AliasTable::memory_needed(aliases.capacity()));
        drop(aliases);
        assert!(allocator.all_freed());
    }

    #[test]
    fn capacities_out_of_range_are_refused() {
        for capacity in [0, u32::MAX] {
            assert!(AliasTable::new(capacity, [1; 4], &Memory::SYSTEM, -1).is_err());
        }
    }
}
