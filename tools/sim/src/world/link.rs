//! The sync link: the wire, its partition, and an attacker on it.

use super::attack::Attack;
use super::forgery;
use pfplane_testkit::Random;
use pfplane_testkit::wire::{Delivery, Impairment, Wire};
use pfsync::Identity;
use std::collections::VecDeque;
use std::rc::Rc;

/// Frames to replay, and identities to forge, that an attacker knows.
const REMEMBERED: usize = 64;

/// The link.
#[derive(Default)]
pub struct Link {
    /// The frames in flight, and what happens to them.
    pub wire: Wire,
    /// Frames in a thousand that arrive with a broken or forged one.
    pub hostile_per_mille: u64,
    /// Nodes of different sides cannot reach each other.
    pub side: [u8; 5],
    /// Frames from the first node do not reach the second.
    pub is_blocked: [[bool; 5]; 5],
    /// The attacker forges messages that pass every check.
    pub forges: bool,
    /// Messages that he has forged.
    pub forged: u64,
    /// He forges at most this.
    pub max_forged: u64,
    old: VecDeque<Rc<[u8]>>,
    /// Identities seen lately.
    pub seen: VecDeque<Identity>,
}

/// What happened to a frame sent to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameOutcome {
    /// The wire treated it like this.
    Sent(Delivery),
    /// The receiver is behind the partition.
    Partitioned,
    /// A hostile frame arrives with it or instead of it.
    Attacked(&'static str),
}

impl Link {
    /// Returns whether two nodes can reach each other.
    #[must_use]
    pub const fn joins(&self, one: usize, other: usize) -> bool {
        self.side[one] == self.side[other]
    }

    /// Ends the partition, also one in one direction.
    pub const fn join_all(&mut self) {
        self.side = [0; 5];
        self.is_blocked = [[false; 5]; 5];
    }

    /// Ends all impairments but the partition.
    pub fn repair(&mut self) {
        self.wire.impairment = Impairment::default();
        self.hostile_per_mille = 0;
    }

    /// Keeps what an attacker could know.
    pub fn remember(&mut self, bytes: &Rc<[u8]>) {
        self.old.push_back(Rc::clone(bytes));
        if self.old.len() > REMEMBERED {
            self.old.pop_front();
        }
        while self.seen.len() > REMEMBERED {
            self.seen.pop_front();
        }
    }

    /// Sends a frame from one node to another.
    pub fn send(
        &mut self,
        [from, to]: [usize; 2],
        bytes: &Rc<[u8]>,
        now: u64,
        random: &mut Random,
    ) -> FrameOutcome {
        if !self.joins(from, to) || self.is_blocked[from][to] {
            return FrameOutcome::Partitioned;
        }
        let is_done = self.forges && self.forged >= self.max_forged;
        if self.hostile_per_mille > 0 && !is_done && random.chance(self.hostile_per_mille) {
            return FrameOutcome::Attacked(self.attack(to, bytes, now, random));
        }
        FrameOutcome::Sent(self.wire.send(to, bytes, now, random))
    }

    fn attack(&mut self, to: usize, bytes: &Rc<[u8]>, now: u64, random: &mut Random) -> &'static str {
        if self.forges {
            let (frame, count) = forgery::frame(bytes, self.old.make_contiguous(), random);
            self.forged += count;
            self.wire.deliver(to, frame.into(), now, random);
            self.wire.deliver(to, Rc::clone(bytes), now, random);
            return "with a forged frame";
        }
        let attack = Attack::draw(random);
        let frame = attack.frame(bytes, self.old.make_contiguous(), self.seen.make_contiguous(), random);
        self.wire.deliver(to, frame.into(), now, random);
        if !attack.replaces() {
            self.wire.deliver(to, Rc::clone(bytes), now, random);
        }
        attack.name()
    }
}
