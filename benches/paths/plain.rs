//! The implementation that one would write first: for each packet the same parser, a hashbrown lookup, the same tracker, and
//! a list of changed states. The states are stored in the map itself, which saves a cache line.

use super::Path;
use super::traffic::{Flow, Frames};
use hashbrown::HashMap;
use pfplane::internals::packet::{Direction, Key, Link, parse};
use pfplane::internals::state::{Hot, Options, StateId, Timeouts, Track, create, track};
use pfplane::internals::time::{NANOS_PER_SECOND, Nanos, Tick};
use std::collections::VecDeque;

/// The states, and those with an update that was not sent to the peer yet, oldest first.
pub(crate) struct Plain {
    states: HashMap<[u64; 5], (Hot, Track)>,
    changed: VecDeque<(Nanos, [u64; 5])>,
    timeouts: Timeouts,
}

fn words(key: &Key) -> [u64; 5] {
    zerocopy::transmute!(*key)
}

impl Plain {
    pub(crate) fn new(size: u32) -> Self {
        Self {
            states: HashMap::with_capacity(size as usize),
            changed: VecDeque::with_capacity(size as usize),
            timeouts: super::timeouts(),
        }
    }
}

impl Path for Plain {
    fn name(&self) -> String {
        "plain loop, hashbrown".to_owned()
    }

    fn begin(&mut self, frames: &Frames, now: Nanos) {
        for index in 0..frames.count {
            let view = frames.view(index);
            let facts = parse(view.data, view.packet_length, Link::Ethernet, Direction::In).expect("a SYN");
            let id = StateId { id: 1, creator: 1 };
            let record = create(&facts, &Options::default(), id, Tick::from_nanos(now));
            self.states.insert(words(&facts.key), (record.hot, record.track));
        }
    }

    #[inline(never)]
    fn pass(&mut self, frames: &Frames, flow: Flow, now: Nanos) -> usize {
        let tick = Tick::from_nanos(now);
        let states_now = self.states.len() as u32;
        let mut passed = 0;
        for index in 0..frames.count {
            let view = frames.view(index);
            let Ok(facts) = parse(view.data, view.packet_length, Link::Ethernet, flow.direction()) else {
                continue;
            };
            let key = words(&facts.key);
            let Some((hot, line)) = self.states.get_mut(&key) else { continue };
            if self.timeouts.expired(hot, None, tick, states_now) || !track(hot, line, &facts, tick).passes()
            {
                continue;
            }
            if hot.counts_are_full() {
                (hot.packets, hot.bytes) = ([0; 2], [0; 2]);
            }
            if hot.updates == 0 {
                self.changed.push_back((now, key));
            }
            hot.updates = hot.updates.saturating_add(1);
            passed += 1;
        }
        passed
    }

    fn rest(&mut self, now: Nanos) {
        while let Some((since, key)) = self.changed.front() {
            if now - since < NANOS_PER_SECOND {
                break;
            }
            if let Some((hot, _)) = self.states.get_mut(key) {
                hot.updates = 0;
            }
            self.changed.pop_front();
        }
    }
}
