//! Tests of the whole table, first against a model of hash maps.

mod flood;

use super::{InsertError, LookupBatch, Plan, Slot, Table};
use crate::cpu::Level;
use crate::memory::Memory;
use crate::memory::recording::RecordingAllocator;
use crate::packet::{Be16, Direction, Family, Key};
use crate::state::{Cold, Hot, LocalFlags, Record, StateId, Track};
use proptest::prelude::*;
use std::collections::HashMap;

const SECRET: [u64; 4] =
    [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0x0f1e_2d3c_4b5a_6978, 0x8877_6655_4433_2211];

/// Returns the key with this number: IPv4 for even numbers, IPv6 for odd ones.
fn key(number: u32) -> Key {
    let mut key = Key { port: [Be16::new(80), Be16::new(number as u16)], proto: 6, ..Key::EMPTY };
    let bytes = number.to_be_bytes();
    if number.is_multiple_of(2) {
        key.family = Family::V4;
        key.addr[0][..4].copy_from_slice(&[10, 0, 0, 1]);
        key.addr[1][..4].copy_from_slice(&bytes);
    } else {
        key.family = Family::V6;
        key.addr[0] = [0xfd; 16];
        key.addr[1][12..].copy_from_slice(&bytes);
    }
    key
}

fn id(number: u32) -> StateId {
    StateId { id: number.into(), creator: 1 + number % 3 }
}

fn record(wire: u32, stack: Option<u32>, id_number: u32) -> Record {
    let mut record = Record { hot: Hot::EMPTY, track: Track::default(), cold: Cold::EMPTY };
    record.hot.key = key(wire);
    record.hot.timeout = wire as u8;
    record.track.src.seqlo = wire;
    record.cold.id = id(id_number);
    if let Some(stack) = stack {
        record.hot.local.set(LocalFlags::TRANSLATED);
        record.cold.stack_key = key(stack);
    }
    record
}

fn untranslated(number: u32) -> Record {
    record(number, None, number)
}

/// A table as maps: (key, direction) to identity, identity to the keys.
#[derive(Default)]
struct Model {
    keys: HashMap<(u32, Direction), u32>,
    states: HashMap<u32, (u32, Option<u32>)>,
}

impl Model {
    fn insert(&mut self, wire: u32, stack: Option<u32>, id: u32, plan: Plan) -> Result<(), &'static str> {
        let stack_key = stack.unwrap_or(wire);
        let translated = self.states.values().filter(|(_, stack)| stack.is_some()).count() as u32;
        if self.keys.contains_key(&(wire, Direction::In))
            || self.keys.contains_key(&(stack_key, Direction::Out))
        {
            return Err("key");
        }
        if self.states.contains_key(&id) {
            return Err("id");
        }
        if self.states.len() as u32 == plan.states || (stack.is_some() && translated == plan.translated) {
            return Err("full");
        }
        self.keys.insert((wire, Direction::In), id);
        self.keys.insert((stack_key, Direction::Out), id);
        self.states.insert(id, (wire, stack));
        Ok(())
    }

    fn remove(&mut self, id: u32) {
        let (wire, stack) = self.states.remove(&id).unwrap();
        self.keys.remove(&(wire, Direction::In));
        self.keys.remove(&(stack.unwrap_or(wire), Direction::Out));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert { wire: u32, stack: Option<u32>, id: u32 },
    Remove(usize),
    RemoveSlot(u32),
    Find(u32),
    Burst(Vec<u32>),
    Walk,
}

const KEYS: u32 = 96;

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..KEYS, proptest::option::weighted(0.3, 0..KEYS), 0..KEYS)
            .prop_map(|(wire, stack, id)| Step::Insert { wire, stack, id }),
        3 => any::<usize>().prop_map(Step::Remove),
        2 => (0u32..70).prop_map(Step::RemoveSlot),
        1 => (0..KEYS).prop_map(Step::Find),
        2 => proptest::collection::vec(0..KEYS, 0..80).prop_map(Step::Burst),
        1 => Just(Step::Walk),
    ]
}

/// A table and its model.
struct Pair {
    table: Table,
    model: Model,
    plan: Plan,
    slots: HashMap<u32, Slot>,
}

impl Pair {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Insert { wire, stack, id } => {
                let answer = self.table.insert(&record(*wire, *stack, *id));
                self.check_insert((*wire, *stack, *id), answer);
            }
            Step::Remove(nth) => self.remove(*nth),
            Step::RemoveSlot(slot) => self.remove_slot(Slot(*slot)),
            Step::Find(number) => {
                for direction in [Direction::In, Direction::Out] {
                    assert_eq!(self.table.find(&key(*number), direction), self.expected(*number, direction));
                }
                assert_eq!(self.table.find_id(id(*number)), self.slots.get(number).copied());
            }
            Step::Burst(numbers) => self.burst(numbers),
            Step::Walk => self.walk(),
        }
        assert_eq!(self.table.len() as usize, self.model.states.len());
    }

    fn expected(&self, number: u32, direction: Direction) -> Option<Slot> {
        self.model.keys.get(&(number, direction)).map(|id| self.slots[id])
    }

    fn check_insert(
        &mut self,
        (wire, stack, id): (u32, Option<u32>, u32),
        answer: Result<Slot, InsertError>,
    ) {
        let duplicates =
            [self.expected(wire, Direction::In), self.expected(stack.unwrap_or(wire), Direction::Out)];
        match self.model.insert(wire, stack, id, self.plan) {
            Ok(()) => {
                let slot = answer.unwrap();
                assert!(self.slots.values().all(|&other| other != slot));
                self.slots.insert(id, slot);
            }
            Err("key") => {
                let any = duplicates.into_iter().flatten().any(|slot| answer == Err(InsertError::Key(slot)));
                assert!(any, "{answer:?} but {duplicates:?}");
            }
            Err("id") => assert_eq!(answer, Err(InsertError::Id(self.slots[&id]))),
            Err(_) => assert_eq!(answer, Err(InsertError::Full)),
        }
    }

    fn remove(&mut self, nth: usize) {
        let mut ids: Vec<u32> = self.model.states.keys().copied().collect();
        ids.sort_unstable();
        if ids.is_empty() {
            return;
        }
        let id = ids[nth % ids.len()];
        self.model.remove(id);
        let slot = self.slots.remove(&id).unwrap();
        self.table.remove(slot);
        assert!(!self.table.is_live(slot));
        self.table.remove(slot);
    }

    /// The slot may hold no state, or not exist.
    fn remove_slot(&mut self, slot: Slot) {
        self.table.remove(slot);
        let removed = self.slots.iter().find(|(_, other)| **other == slot).map(|(&id, _)| id);
        if let Some(id) = removed {
            self.model.remove(id);
            self.slots.remove(&id);
        }
    }

    fn burst(&self, numbers: &[u32]) {
        let keys: Vec<Key> = numbers.iter().map(|&number| key(number)).collect();
        for direction in [Direction::In, Direction::Out] {
            let mut slots = vec![Slot(12345); keys.len()];
            self.table.lookup_burst(&keys, direction, &mut slots);
            for (&number, &slot) in numbers.iter().zip(&slots) {
                assert_eq!(slot.some(), self.expected(number, direction), "key {number} {direction:?}");
            }
            self.burst_in_stages(&keys, direction, &slots);
        }
    }

    /// The stages, with several short bursts in flight, give the same result.
    fn burst_in_stages(&self, keys: &[Key], direction: Direction, expected: &[Slot]) {
        const SHORT: usize = 5;
        let bursts: Vec<&[Key]> = keys.chunks(SHORT).collect();
        let mut batches = [LookupBatch::new(), LookupBatch::new(), LookupBatch::new()];
        let mut found = vec![Slot(12345); keys.len()];
        for n in 0..bursts.len() + 2 {
            if let Some(keys) = bursts.get(n) {
                self.table.lookup_begin(keys, &mut batches[n % 3]);
            }
            if n >= 1 && n - 1 < bursts.len() {
                self.table.lookup_probe(direction, &mut batches[(n - 1) % 3]);
            }
            if n >= 2 {
                let (keys, slots) = (bursts[n - 2], &mut found[(n - 2) * SHORT..]);
                self.table.lookup_finish(keys, direction, &mut batches[(n - 2) % 3], slots);
            }
        }
        assert_eq!(found, expected);
    }

    fn walk(&self) {
        let mut walked = Vec::new();
        let mut from = 0;
        while let Some(slot) = self.table.next_live(from) {
            walked.push(slot);
            from = slot.0 + 1;
        }
        let mut expected: Vec<Slot> = self.slots.values().copied().collect();
        expected.sort_unstable();
        assert_eq!(walked, expected);
        for (number, &slot) in &self.slots {
            let (wire, _) = self.model.states[number];
            assert_eq!(self.table.hot(slot).key, key(wire));
            assert_eq!(self.table.track(slot).src.seqlo, wire);
            assert_eq!(self.table.cold(slot).id, id(*number));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 200 }))]

    #[test]
    fn any_history_matches_the_model(
        states in 1u32..=64,
        translated in 0u32..=64,
        history in proptest::collection::vec(any_step(), 1..200),
    ) {
        let plan = Plan { states, translated: translated.min(states), extras: 0 };
        for level in Level::all() {
            let table = Table::with_level(plan, SECRET, &Memory::SYSTEM, -1, level).unwrap();
            let mut pair = Pair { table, model: Model::default(), plan, slots: HashMap::new() };
            for step in &history {
                pair.step(step);
            }
            pair.walk();
        }
    }
}

#[test]
fn a_state_removed_between_two_stages_is_not_live_or_not_found() {
    let mut table = Table::new(10, SECRET, &Memory::SYSTEM, -1).unwrap();
    let slots: Vec<Slot> = (0..3).map(|n| table.insert(&untranslated(n)).unwrap()).collect();
    let keys = [key(0), key(1), key(2)];
    let mut batch = LookupBatch::new();
    table.lookup_begin(&keys, &mut batch);
    table.lookup_probe(Direction::In, &mut batch);
    table.remove(slots[0]);
    table.remove(slots[1]);
    let reused = table.insert(&untranslated(7)).unwrap();
    assert_eq!(reused, slots[1]);
    let mut found = [Slot::NONE; 3];
    table.lookup_finish(&keys, Direction::In, &mut batch, &mut found);
    assert!(!table.is_live(found[0]));
    assert_eq!(found[1..], [Slot::NONE, slots[2]]);
}

#[test]
fn a_key_may_be_the_wire_key_of_one_state_and_the_stack_key_of_another() {
    let mut table = Table::new(10, SECRET, &Memory::SYSTEM, -1).unwrap();
    let first = table.insert(&record(1, Some(2), 1)).unwrap();
    let second = table.insert(&record(2, Some(1), 2)).unwrap();
    for _ in 0..2 {
        let mut slots = [Slot(0); 3];
        let keys = [key(1), key(2), key(3)];
        table.lookup_burst(&keys, Direction::In, &mut slots);
        assert_eq!(slots, [first, second, Slot::NONE]);
        table.lookup_burst(&keys, Direction::Out, &mut slots);
        assert_eq!(slots, [second, first, Slot::NONE]);
    }
    assert_eq!(table.insert(&untranslated(1)), Err(InsertError::Key(first)));
    table.remove(first);
    assert_eq!(table.find(&key(2), Direction::Out), None);
    assert_eq!(table.find(&key(1), Direction::Out), Some(second));
}

#[test]
fn the_whole_capacity_fits_and_one_more_state_is_refused() {
    for capacity in [1, 2, 5, 7, 10, 33, 64, 100, 1000, 4096, 30_000] {
        for translated in [0, capacity / 2, capacity] {
            let plan = Plan { states: capacity, translated, extras: 0 };
            let mut table = Table::new(plan, SECRET, &Memory::SYSTEM, -1).unwrap();
            for number in 0..capacity {
                let stack = (number < translated).then_some(number + 1_000_000);
                table.insert(&record(number, stack, number)).unwrap();
            }
            assert_eq!(table.insert(&untranslated(capacity)), Err(InsertError::Full));
            assert_eq!(table.len(), capacity);
            table.remove(Slot(capacity / 2));
            assert_eq!(table.insert(&untranslated(capacity)), Ok(Slot(capacity / 2)));
        }
    }
}

/// The keyed hash spreads a hundred thousand consecutive addresses like random ones.
#[test]
fn sequential_addresses_do_not_overflow_their_buckets() {
    for level in Level::all() {
        let plan = Plan { states: 100_000, translated: 0, extras: 0 };
        let mut table = Table::with_level(plan, SECRET, &Memory::SYSTEM, -1, level).unwrap();
        for number in 0..100_000 {
            table.insert(&untranslated(2 * number)).unwrap();
        }
        let statistics = table.statistics();
        assert!(statistics.overflowed < 3_000, "{level:?}: {statistics:?}");
        assert_eq!(statistics.spilled, 0, "{level:?}: {statistics:?}");
        assert!(statistics.deepest <= 4, "{level:?}: {statistics:?}");
    }
}

#[test]
fn memory_needed_is_what_the_hooks_allocate_and_all_of_it_is_freed() {
    for plan in [Plan::from(1), Plan::from(5000), Plan { states: 777, translated: 3, extras: 9 }] {
        let allocator = RecordingAllocator::default();
        let mut table = Table::new(plan, SECRET, &allocator.memory(), 1).unwrap();
        table.insert(&untranslated(1)).unwrap();
        assert_eq!(allocator.allocated_bytes(), Table::memory_needed(plan));
        assert_eq!(table.statistics().bytes, Table::memory_needed(plan));
        assert!(allocator.allocations().iter().all(|allocation| allocation.3 == 1));
        drop(table);
        assert!(allocator.all_freed());
    }
}

#[test]
fn memory_is_freed_when_an_allocation_fails() {
    for allowed in 0..8 {
        let allocator = RecordingAllocator::failing_after(allowed);
        assert!(Table::new(100, SECRET, &allocator.memory(), 0).is_err());
        assert!(allocator.all_freed());
        assert_eq!(allocator.allocations().len(), allowed);
    }
}

#[test]
fn plans_out_of_range_are_refused() {
    for plan in [
        Plan { states: 0, translated: 0, extras: 0 },
        Plan { states: Plan::MAX_STATES + 1, translated: 0, extras: 0 },
        Plan { states: 10, translated: 11, extras: 0 },
        Plan { states: 10, translated: 0, extras: 11 },
    ] {
        assert!(Table::new(plan, SECRET, &Memory::SYSTEM, -1).is_err());
    }
}

#[test]
fn the_empty_key_is_never_found() {
    let table = Table::new(10, SECRET, &Memory::SYSTEM, -1).unwrap();
    let mut slots = [Slot(0); 1];
    table.lookup_burst(&[Key::EMPTY], Direction::In, &mut slots);
    assert_eq!(slots, [Slot::NONE]);
    assert_eq!(table.find(&Key::EMPTY, Direction::Out), None);
}

#[test]
fn elements_beyond_the_shorter_slice_are_unchanged() {
    let mut table = Table::new(10, SECRET, &Memory::SYSTEM, -1).unwrap();
    let slot = table.insert(&untranslated(1)).unwrap();
    for keys in [0, 1, 5, 40, 70] {
        for length in [0, 3, 33, 100] {
            let mut slots = vec![Slot(77); length];
            table.lookup_burst(&vec![key(1); keys], Direction::In, &mut slots);
            let looked_up = keys.min(length);
            assert!(slots[..looked_up].iter().all(|&found| found == slot));
            assert!(slots[looked_up..].iter().all(|&untouched| untouched == Slot(77)), "{keys} {length}");
        }
    }
}

#[test]
fn slots_that_hold_no_state_are_not_live_and_removing_them_does_nothing() {
    let mut table = Table::new(10, SECRET, &Memory::SYSTEM, -1).unwrap();
    let slot = table.insert(&untranslated(1)).unwrap();
    for foreign in [Slot(1), Slot(10), Slot(11), Slot::NONE] {
        assert!(!table.is_live(foreign));
        table.remove(foreign);
        table.prefetch_track(foreign);
        table.prefetch_cold(foreign);
    }
    assert_eq!(table.next_live(0), Some(slot));
    assert_eq!(table.next_live_before(0, 0), None);
    assert_eq!(table.next_live(1), None);
}
