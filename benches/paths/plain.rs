//! What one would write first: for each packet the same parsing, a look into hashbrown, the same tracking, and a note of
//! what the peer is to be told. The states lie in the map itself, which saves this contender a line.

use super::Path;
use super::traffic::{Flow, Frames};
use hashbrown::HashMap;
use pfplane::internals::packet::{Direction, Key, Link, parse};
use pfplane::internals::state::{Hot, Options, StateId, Timeouts, Track, create, track};
use pfplane::internals::time::{NANOS_PER_SECOND, Nanos, Tick};
use std::collections::VecDeque;

/// The loop's states, and those with a change that the peer was not told yet, oldest first.
pub struct Plain {
    states: HashMap<[u64; 5], (Hot, Track)>,
    changed: VecDeque<(Nanos, [u64; 5])>,
    timeouts: Timeouts,
}

fn words(key: &Key) -> [u64; 5] {
    zerocopy::transmute!(*key)
}

impl Plain {
    pub fn new(size: u32) -> Self {
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
        for place in 0..frames.count {
            let view = frames.view(place);
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
        for place in 0..frames.count {
            let view = frames.view(place);
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
