//! Keys that another lane owns.
//!
//! The two keys of a translated state may steer to two lanes. The owner is the lane that made the state; the other one
//! keeps an alias, key to owner, and answers packets of that key with a hand-off. An alias is looked for when a key has no
//! state here, and only while there are any.

use super::bucket::Hash;
use super::index::Index;
use crate::cpu::{Isa, Kernel, Level, Secret};
use crate::error::{Error, check_range};
use crate::memory::{FixedArray, Memory, bytes_of};
use crate::packet::{Direction, Key};

/// One alias, or a free place: then `key` is the empty key and `next` the free place behind it.
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

/// No free place.
const END: u32 = u32::MAX;

/// A lane's aliases. Fixed capacity, owned by one core, as a [`super::Table`] is.
pub struct AliasTable {
    aliases: FixedArray<Alias>,
    index: Index,
    free: u32,
    secret: Secret,
    level: Level,
}

impl AliasTable {
    /// Room for `capacity` aliases in memory of NUMA node `socket` (-1: any); `secret` as for a table.
    ///
    /// # Errors
    /// [`Error::Setting`] when the capacity is out of range, [`Error::OutOfMemory`].
    pub fn new(capacity: u32, secret: [u64; 4], memory: &Memory, socket: i32) -> Result<Self, Error> {
        check_range("aliases", capacity.into(), 1, 1 << 30)?;
        let nothing = Alias { key: Key::EMPTY, next: END, lane: 0, is_stack: false, reserved: 0 };
        let arrays = 1 + Index::ARRAYS;
        let mut arena = memory.arena("aliases", Self::memory_needed(capacity), arrays, socket)?;
        let mut aliases = arena.array("aliases", capacity as usize, nothing)?;
        for (place, next) in aliases.iter_mut().zip(1..capacity) {
            place.next = next;
        }
        let index = Index::new(capacity, &mut arena)?;
        Ok(Self { aliases, index, free: 0, secret: Secret(secret), level: Level::best() })
    }

    /// Bytes that so many aliases ask their memory for; mappings are rounded up to pages on top of that.
    #[must_use]
    pub const fn memory_needed(capacity: u32) -> usize {
        bytes_of::<Alias>(capacity as usize) + Index::bytes_needed(capacity)
    }

    /// Writes down that `lane` owns a key: a wire key for `In`, a stack key for `Out`. Replaces what was known of it. False
    /// when there is no room; then the packets of that key find no state here.
    pub fn insert(&mut self, key: &Key, direction: Direction, lane: u16) -> bool {
        self.level.run(Insert { aliases: self, key, direction, lane })
    }

    /// Forgets a key; false when it was not known.
    pub fn remove(&mut self, key: &Key, direction: Direction) -> bool {
        self.level.run(Remove { aliases: self, key, direction })
    }

    /// The lane that owns a key. Cost: nothing while there is no alias at all, else about one index line.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &Key, direction: Direction) -> Option<u16> {
        if self.is_empty() { None } else { self.level.run(Find { aliases: self, key, direction }) }
    }

    /// Aliases in it.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.index.entries()
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Aliases that fit.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.aliases.len() as u32
    }

    /// A key's hash, and the place of its alias.
    #[inline(always)]
    fn look<I: Isa>(&self, isa: I, key: &Key, direction: Direction) -> (Hash, Option<u32>) {
        let words = zerocopy::transmute_ref!(key);
        let hash = Hash::new(isa.hash(&self.secret, words));
        let is_stack = direction == Direction::Out;
        let place = self.index.find(isa, hash, |place| {
            let alias = &self.aliases[place as usize];
            alias.is_stack == is_stack && isa.differs(words, zerocopy::transmute_ref!(&alias.key)) == 0
        });
        (hash, place)
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
        let (hash, place) = aliases.look(isa, key, direction);
        if let Some(place) = place {
            aliases.aliases[place as usize].lane = lane;
            return true;
        }
        let place = aliases.free;
        if place == END || !aliases.index.insert(isa, hash, place) {
            return false;
        }
        let alias = &mut aliases.aliases[place as usize];
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
        let (hash, Some(place)) = aliases.look(isa, key, direction) else { return false };
        aliases.index.remove(isa, hash, place);
        let alias = &mut aliases.aliases[place as usize];
        alias.key = Key::EMPTY;
        alias.next = aliases.free;
        aliases.free = place;
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
        let (_, place) = self.aliases.look(isa, self.key, self.direction);
        place.map(|place| self.aliases.aliases[place as usize].lane)
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
        fn any_history_gives_what_a_plain_map_gives(
            capacity in 1u32..20,
            steps in proptest::collection::vec((0u8..24, any::<bool>(), proptest::option::of(0u16..128)), 0..300),
        ) {
            let mut aliases = AliasTable::new(capacity, [5, 6, 7, 8], &Memory::SYSTEM, -1).unwrap();
            let mut naive: HashMap<(u8, bool), u16> = HashMap::new();
            for (number, out, lane) in steps {
                let known = naive.contains_key(&(number, out));
                match lane {
                    Some(lane) => {
                        let room = known || naive.len() < capacity as usize;
                        prop_assert_eq!(aliases.insert(&key(number), direction(out), lane), room);
                        if room {
                            naive.insert((number, out), lane);
                        }
                    }
                    None => {
                        prop_assert_eq!(aliases.remove(&key(number), direction(out)), known);
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
    fn memory_needed_is_what_the_hooks_are_asked_for() {
        let allocator = RecordingAllocator::default();
        let aliases = AliasTable::new(1000, [5, 6, 7, 8], &allocator.memory(), 2).unwrap();
        let asked = allocator.allocated_bytes();
        assert_eq!(asked, AliasTable::memory_needed(aliases.capacity()));
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
