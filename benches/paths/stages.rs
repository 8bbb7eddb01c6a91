//! The first stages of a burst alone, with the same code that the lane calls.

use super::Path;
use super::traffic::{BURST, Flow, Frames};
use pfplane::internals::memory::Memory;
use pfplane::internals::packet::{Direction, Facts, Key, Link, parse};
use pfplane::internals::state::{Options, StateId, create, track};
use pfplane::internals::table::{Slot, Table};
use pfplane::internals::time::{Nanos, Tick};
use std::cell::RefCell;

/// The table that the stages share.
pub(crate) struct Stages {
    table: Table,
    next_id: u64,
}

impl Stages {
    pub(crate) fn new(size: u32) -> Self {
        let secret = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a];
        Self { table: Table::new(size, secret, &Memory::SYSTEM, -1).expect("memory"), next_id: 1 }
    }
}

/// The first `depth` stages.
pub(crate) struct Stage<'a> {
    stages: &'a RefCell<Stages>,
    name: &'static str,
    depth: u8,
}

impl<'a> Stage<'a> {
    pub(crate) const PARSE: u8 = 1;
    pub(crate) const MATCH: u8 = 2;
    pub(crate) const TRACK: u8 = 3;

    pub(crate) const fn new(stages: &'a RefCell<Stages>, name: &'static str, depth: u8) -> Self {
        Self { stages, name, depth }
    }
}

/// The packets of one burst.
struct Parsed {
    facts: Vec<Facts>,
    keys: Vec<Key>,
}

impl Parsed {
    fn parse(&mut self, frames: &Frames, range: core::ops::Range<usize>, direction: Direction) {
        self.facts.clear();
        self.keys.clear();
        for index in range {
            let view = frames.view(index);
            if let Ok(facts) = parse(view.data, view.packet_length, Link::Ethernet, direction) {
                self.keys.push(facts.key);
                self.facts.push(facts);
            }
        }
    }
}

impl Path for Stage<'_> {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    /// All stages share the states, which the first of them creates.
    fn begin(&mut self, frames: &Frames, now: Nanos) {
        let mut stages = self.stages.borrow_mut();
        for index in 0..frames.count {
            let view = frames.view(index);
            let facts = parse(view.data, view.packet_length, Link::Ethernet, Direction::In).expect("a SYN");
            if stages.table.find(&facts.key, Direction::In).is_some() {
                continue;
            }
            let id = StateId { id: stages.next_id, creator: 1 };
            stages.next_id += 1;
            let record = create(&facts, &Options::default(), id, Tick::from_nanos(now));
            stages.table.insert(&record).expect("the capacity fits");
        }
    }

    #[inline(never)]
    fn pass(&mut self, frames: &Frames, flow: Flow, now: Nanos) -> usize {
        let table = &mut self.stages.borrow_mut().table;
        let tick = Tick::from_nanos(now);
        let mut parsed = Parsed { facts: Vec::with_capacity(BURST), keys: Vec::with_capacity(BURST) };
        let mut slots = [Slot::NONE; BURST];
        let mut passed = 0;
        for first in (0..frames.count).step_by(BURST) {
            parsed.parse(frames, first..frames.count.min(first + BURST), flow.direction());
            if self.depth < Self::MATCH {
                passed += std::hint::black_box(&parsed.keys).len();
                continue;
            }
            let slots = &mut slots[..parsed.keys.len()];
            table.lookup_burst(&parsed.keys, flow.direction(), slots);
            if self.depth < Self::TRACK {
                passed += slots.iter().filter(|slot| **slot != Slot::NONE).count();
                continue;
            }
            slots.iter().for_each(|slot| table.prefetch_track(*slot));
            for (facts, slot) in parsed.facts.iter().zip(slots) {
                let (hot, line) = table.hot_and_track_mut(*slot);
                passed += usize::from(track(hot, line, facts, tick).passes());
            }
        }
        passed
    }

    fn rest(&mut self, _now: Nanos) {}
}
