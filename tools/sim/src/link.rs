//! The sync link: what it does to frames, and those that are on their way.

use crate::{MS, hostile};
use pfplane_testkit::Random;
use pfsync::Identity;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;

/// How the link treats frames, in thousandths and nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Frames lost.
    pub lose: u64,
    /// Frames that come twice.
    pub double: u64,
    /// What every frame takes.
    pub delay: u64,
    /// What a frame may take besides: frames overtake each other.
    pub jitter: u64,
    /// Frames that come with a broken or forged one.
    pub hostile: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    at: u64,
    number: u64,
    to: usize,
    bytes: Rc<[u8]>,
}

/// Frames that may be sent again, and identities that a forger knows of.
const REMEMBERED: usize = 64;

/// The link.
#[derive(Default)]
pub struct Link {
    /// What it does now.
    pub weather: Weather,
    /// Nodes of different sides do not hear each other.
    pub side: [u8; 5],
    in_flight: BinaryHeap<Reverse<InFlight>>,
    number: u64,
    old: VecDeque<Rc<[u8]>>,
    /// Identities seen lately.
    pub seen: VecDeque<Identity>,
}

/// What became of a frame on its way to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Comes after so many nanoseconds.
    Comes(u64),
    /// Comes twice.
    Doubled,
    /// Lost.
    Lost,
    /// Behind the partition.
    Cut,
    /// A hostile frame comes with it or in its place.
    Attacked(&'static str),
}

impl Link {
    /// Frames on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether two nodes hear each other.
    #[must_use]
    pub const fn joins(&self, one: usize, other: usize) -> bool {
        self.side[one] == self.side[other]
    }

    /// Keeps what a forger could know.
    pub fn remember(&mut self, bytes: &Rc<[u8]>) {
        self.old.push_back(Rc::clone(bytes));
        if self.old.len() > REMEMBERED {
            self.old.pop_front();
        }
        while self.seen.len() > REMEMBERED {
            self.seen.pop_front();
        }
    }

    /// A frame leaves node `from` for node `to`.
    pub fn send(&mut self, way: [usize; 2], bytes: &Rc<[u8]>, now: u64, random: &mut Random) -> Fate {
        let [from, to] = way;
        let weather = self.weather;
        if !self.joins(from, to) {
            return Fate::Cut;
        }
        if weather.hostile > 0 && random.chance(weather.hostile) {
            let attack = hostile::Attack::draw(random);
            let frame = attack.frame(bytes, self.old.make_contiguous(), self.seen.make_contiguous(), random);
            self.post(to, frame.into(), now, random);
            if attack.replaces() {
                return Fate::Attacked(attack.name());
            }
            self.post(to, Rc::clone(bytes), now, random);
            return Fate::Attacked(attack.name());
        }
        if weather.lose > 0 && random.chance(weather.lose) {
            return Fate::Lost;
        }
        let after = self.post(to, Rc::clone(bytes), now, random);
        if weather.double > 0 && random.chance(weather.double) {
            self.post(to, Rc::clone(bytes), now, random);
            return Fate::Doubled;
        }
        Fate::Comes(after)
    }

    fn post(&mut self, to: usize, bytes: Rc<[u8]>, now: u64, random: &mut Random) -> u64 {
        let jitter = if self.weather.jitter > 0 { random.below(self.weather.jitter) } else { 0 };
        let after = MS / 10 + self.weather.delay + jitter;
        self.number += 1;
        self.in_flight.push(Reverse(InFlight { at: now + after, number: self.number, to, bytes }));
        after
    }

    /// The next frame that has arrived by `now`.
    pub fn arrived(&mut self, now: u64) -> Option<(usize, Rc<[u8]>)> {
        if self.in_flight.peek()?.0.at > now {
            return None;
        }
        self.in_flight.pop().map(|Reverse(frame)| (frame.to, frame.bytes))
    }
}
