//! Finding expired states: compares the lanes' sweep in memory order with a hashed timer wheel.
//!
//! `cargo bench -p pfplane-bench --bench expiry`; see `benches/README.md` for the method.

#[expect(dead_code, reason = "other benches use more of it")]
mod harness;

use harness::options::Options;
use harness::report::{Measure, Report};
use harness::rounds::{self, Turn};
use harness::streams;
use pfplane::internals::memory::Memory;
use pfplane::internals::packet::Family;
use pfplane::internals::state::{Cold, Hot, Record, StateId, Timeouts, Track, timeout_class};
use pfplane::internals::table::{Plan, Slot, Table};
use pfplane::internals::time::Tick;
use pfplane_testkit::Random;
use std::cell::RefCell;

#[global_allocator]
static PAGES: harness::pages::HugePages = harness::pages::HugePages;

/// Packets per clock reading.
const BLOCK: usize = 2048;
/// Slots that a lane sweeps per housekeeping call.
const SWEEP: u32 = 256;
/// Slots of the wheel, one per second.
const SPOKES: usize = 1024;
const NONE: u32 = u32::MAX;
const TIMEOUT_S: u32 = 60;

fn main() -> std::io::Result<()> {
    let options = Options::from_arguments("expiry");
    let mut report = Report::new("expiry");
    let usual = if options.smoke { vec![3000] } else { vec![10_000, 100_000, 1_000_000] };
    for size in options.sizes.clone().unwrap_or(usual) {
        measure(size, &options, &mut report);
    }
    if options.smoke { Ok(()) } else { report.write(&options.json) }
}

fn measure(size: u32, options: &Options, report: &mut Report) {
    let count = options.rounds.unwrap_or(if options.smoke { 1 } else { 9 });
    let states = RefCell::new(States::new(size));
    let eager = RefCell::new(Wheel::new(size));
    let lazy = RefCell::new(Wheel::new(size));
    let packets: Vec<(String, Turn<'_>)> = vec![
        ("sweep: write the time".to_owned(), Box::new(|| states.borrow_mut().packets(None))),
        (
            "wheel: and move the state".to_owned(),
            Box::new(|| states.borrow_mut().packets(Some(&mut eager.borrow_mut()))),
        ),
    ];
    let timings = rounds::run(packets, count);
    report.measure(Measure { name: "expiry: ns per packet".to_owned(), size, timings });
    let passes: Vec<(String, Turn<'_>)> = vec![
        ("sweep: check all states".to_owned(), Box::new(|| states.borrow_mut().sweep())),
        (
            "wheel: fire and reinsert all states".to_owned(),
            Box::new(|| states.borrow_mut().turn(&mut lazy.borrow_mut())),
        ),
    ];
    let timings = rounds::run(passes, count);
    report.measure(Measure { name: "expiry: ns per state".to_owned(), size, timings });
}

/// States with one timeout, and packets that keep them alive.
struct States {
    table: Table,
    slots: Vec<Slot>,
    timeouts: Timeouts,
    random: Random,
    now: Tick,
}

impl States {
    fn new(size: u32) -> Self {
        let plan = Plan { states: size, translated: 0, extras: 0 };
        let mut table = Table::new(plan, [1, 2, 3, 4], &Memory::SYSTEM, -1).expect("memory");
        let insert = |flow| {
            let mut record = Record { hot: Hot::EMPTY, track: Track::default(), cold: Cold::EMPTY };
            record.hot.key = streams::key(flow, Family::V4);
            record.hot.timeout = timeout_class::UDP_MULTIPLE;
            record.cold.id = StateId { id: flow.into(), creator: 1 };
            table.insert(&record).expect("the capacity fits")
        };
        let slots = (0..size).map(insert).collect();
        Self { table, slots, timeouts: Timeouts::default(), random: Random::new(0x5eed), now: Tick(0) }
    }

    /// Times what a packet does for expiry. Its hot line is in the cache, as in the lane.
    fn packets(&mut self, mut wheel: Option<&mut Wheel>) -> f64 {
        let count = self.slots.len() as u32;
        let flows: Vec<u32> = (0..BLOCK).map(|_| self.random.below_u32(count)).collect();
        self.now = self.now.plus_seconds(1);
        for flow in &flows {
            std::hint::black_box(self.table.hot(Slot(*flow)).timeout);
        }
        let (ns, ()) = rounds::time(|| {
            for &flow in &flows {
                self.table.hot_mut(Slot(flow)).last_activity = self.now;
                if let Some(wheel) = &mut wheel {
                    wheel.unlink(flow);
                    wheel.link(flow, TIMEOUT_S);
                }
            }
        });
        if let Some(wheel) = wheel {
            wheel.at = (wheel.at + 1) % SPOKES;
        }
        ns / BLOCK as f64
    }

    /// Times a sweep over live states in memory order, in steps as a lane does it.
    fn sweep(&mut self) -> f64 {
        self.slots.iter().for_each(|slot| self.table.hot_mut(*slot).last_activity = self.now);
        let (ns, expired) = rounds::time(|| {
            let (mut at, mut expired) = (0, 0);
            while at < self.table.end() {
                let end = (at + SWEEP).min(self.table.end());
                while let Some(slot) = self.table.next_live_before(at, end) {
                    expired += u32::from(self.is_expired(slot));
                    at = slot.0 + 1;
                }
                at = end;
            }
            expired
        });
        assert_eq!(expired, 0, "all live");
        ns / self.slots.len() as f64
    }

    /// Times one turn of the wheel: every state fires, is found alive, and is reinserted.
    fn turn(&mut self, wheel: &mut Wheel) -> f64 {
        self.slots.iter().for_each(|slot| self.table.hot_mut(*slot).last_activity = self.now);
        let (ns, fired) = rounds::time(|| {
            let mut fired = 0;
            for _ in 0..SPOKES {
                let mut slot = std::mem::replace(&mut wheel.heads[wheel.at], NONE);
                while slot != NONE {
                    let next = wheel.next[slot as usize];
                    assert!(!self.is_expired(Slot(slot)), "all live");
                    wheel.link(slot, SPOKES as u32 / 2 + slot % TIMEOUT_S);
                    fired += 1;
                    slot = next;
                }
                wheel.at = (wheel.at + 1) % SPOKES;
            }
            fired
        });
        assert!(fired >= self.slots.len(), "every state fires");
        ns / fired as f64
    }

    fn is_expired(&self, slot: Slot) -> bool {
        self.timeouts.expired(self.table.hot(slot), None, self.now, 0)
    }
}

/// A doubly linked list of states for each second.
struct Wheel {
    heads: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    spoke: Vec<u16>,
    at: usize,
}

impl Wheel {
    /// Builds a wheel of all states in random order.
    fn new(size: u32) -> Self {
        let links = || vec![NONE; size as usize];
        let (heads, spoke) = (vec![NONE; SPOKES], vec![0; size as usize]);
        let mut wheel = Self { heads, next: links(), previous: links(), spoke, at: 0 };
        let mut order: Vec<u32> = (0..size).collect();
        let mut random = Random::new(1);
        for n in (1..size).rev() {
            order.swap(n as usize, random.below_u32(n + 1) as usize);
        }
        order.iter().for_each(|&slot| wheel.link(slot, random.below_u32(SPOKES as u32)));
        wheel
    }

    fn link(&mut self, slot: u32, seconds: u32) {
        let spoke = (self.at + seconds as usize) % SPOKES;
        let next = std::mem::replace(&mut self.heads[spoke], slot);
        (self.next[slot as usize], self.previous[slot as usize]) = (next, NONE);
        self.spoke[slot as usize] = spoke as u16;
        if let Some(previous) = self.previous.get_mut(next as usize) {
            *previous = slot;
        }
    }

    fn unlink(&mut self, slot: u32) {
        let (next, previous) = (self.next[slot as usize], self.previous[slot as usize]);
        match self.next.get_mut(previous as usize) {
            Some(link) => *link = next,
            None => self.heads[usize::from(self.spoke[slot as usize])] = next,
        }
        if let Some(link) = self.previous.get_mut(next as usize) {
            *link = previous;
        }
    }
}
