//! A node with the host around it: it may be down, pause, or let a lane stall.

use super::setup::Setup;
use crate::S;
use crate::traffic_counts::{STATISTICS, TrafficCounts};
use core::ops::{Deref, DerefMut};
use pfplane::internals::engine::Config;
use pfplane::internals::state::StateId;
use pfplane_testkit::Random;
use pfplane_testkit::flow::Segment;
use pfplane_testkit::node::{self, Clock, Passage};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// Frames that wait at a node that does not poll; more are lost, as in a NIC's ring.
const MAX_INBOX: usize = 512;
/// Time in which the sweep frees an expired state. It visits each slot every ten seconds; the states of a silent peer are
/// kept for a minute of grace, and a peer that sends now and then can restart that.
const SWEPT_WITHIN: u64 = (15 + 4 * 60) * S;

/// One node.
pub struct Node {
    node: node::Node,
    /// How often it has started again.
    pub runs: u32,
    /// It has not been killed.
    pub is_up: bool,
    /// What it has sent since it started.
    pub sent: TrafficCounts,
    received: u64,
    number: usize,
    paused_until: u64,
    lane_stalled_until: Vec<u64>,
    inbox: VecDeque<Rc<[u8]>>,
    /// Frames that found the inbox full, which the host reports when it polls again.
    missed: u64,
    reports_missed: bool,
    /// When each expired state was first seen so, by its lane.
    expired_since: HashMap<(usize, StateId), u64>,
}

impl Deref for Node {
    type Target = node::Node;

    fn deref(&self) -> &node::Node {
        &self.node
    }
}

impl DerefMut for Node {
    fn deref_mut(&mut self) -> &mut node::Node {
        &mut self.node
    }
}

impl Node {
    /// Builds node `number` of a cluster, with a drawn configuration and clock.
    pub fn draw(number: usize, setup: &Setup, now: u64, random: &mut Random) -> Self {
        let config = setup.draw_config(number, now, random);
        let drift = if setup.drifts { random.below(500) } else { 0 };
        let offset = random.below(1000 * S);
        let mut node = Self::new(number, config, Clock { started: now, offset, drift });
        node.options = setup.options();
        node.reports_missed = setup.detects_pauses;
        node
    }

    /// Builds node `number` of a cluster.
    #[must_use]
    pub fn new(number: usize, config: Config, clock: Clock) -> Self {
        let node = node::Node::new(config, clock);
        Self {
            lane_stalled_until: vec![0; node.lanes.len()],
            node,
            runs: 0,
            is_up: true,
            sent: TrafficCounts::default(),
            received: 0,
            number,
            paused_until: 0,
            inbox: VecDeque::new(),
            missed: 0,
            reports_missed: false,
            expired_since: HashMap::new(),
        }
    }

    /// Starts it again, empty, with drawn settings and maybe another number of lanes.
    pub fn restart(&mut self, setup: &Setup, now: u64, random: &mut Random) {
        let earlier = self.config.start_unix_s;
        let mut config = setup.draw_config(self.number, now, random);
        // State ids must differ from those of the earlier run.
        config.start_unix_s = config.start_unix_s.max(earlier + 1);
        self.restart_with(config);
    }

    /// Starts it again, empty, with these settings.
    pub fn restart_with(&mut self, config: Config) {
        self.node.restart(config);
        self.is_up = true;
        self.runs += 1;
        self.sent = TrafficCounts::default();
        self.received = 0;
        self.inbox.clear();
        self.missed = 0;
        self.expired_since.clear();
        self.lane_stalled_until = vec![0; self.lanes.len()];
        self.resume();
    }

    /// Pauses the node.
    pub const fn pause(&mut self, until: u64) {
        self.paused_until = until;
    }

    /// Stalls one lane.
    pub fn stall(&mut self, lane: usize, until: u64) {
        self.lane_stalled_until[lane] = until;
    }

    /// Ends every pause and stall.
    pub fn resume(&mut self) {
        self.paused_until = 0;
        self.lane_stalled_until.fill(0);
    }

    /// Returns whether it runs now.
    #[must_use]
    pub const fn is_running(&self, now: u64) -> bool {
        self.is_up && now >= self.paused_until
    }

    fn is_stalled(&self, lane: usize, now: u64) -> bool {
        now < self.lane_stalled_until[lane]
    }

    /// Runs every lane once: receives waiting frames, polls, and sends up to `max_frames` of each lane.
    pub fn run(&mut self, now: u64, max_frames: usize, mut send: impl FnMut(usize, &[u8])) {
        if !self.is_running(now) {
            return;
        }
        let missed = core::mem::take(&mut self.missed);
        if missed > 0 && self.reports_missed {
            self.engine.frames_missed(missed);
        }
        if !self.is_stalled(0, now) {
            while let Some(frame) = self.inbox.pop_front() {
                self.receive_now(&frame, now);
            }
        }
        for lane in 0..self.lanes.len() {
            if !self.is_stalled(lane, now) {
                self.node.poll(lane, now, max_frames, |packet| send(lane, packet));
            }
        }
    }

    fn receive_now(&mut self, frame: &[u8], now: u64) {
        self.received += 1;
        self.node.receive(frame, now);
    }

    /// Receives a frame now, or keeps it until the sync lane runs.
    pub fn receive(&mut self, frame: Rc<[u8]>, now: u64) {
        if !self.is_up {
            return;
        }
        if self.is_running(now) && !self.is_stalled(0, now) {
            self.receive_now(&frame, now);
        } else if self.inbox.len() < MAX_INBOX {
            self.inbox.push_back(frame);
        } else {
            self.missed += 1;
        }
    }

    /// Forwards a packet that arrives on a random lane.
    pub fn forward(&mut self, segment: &Segment, now: u64, random: &mut Random) -> Passage {
        if !self.is_running(now) {
            return Passage::Stalled;
        }
        let lane = random.index(self.lanes.len());
        let Self { node, lane_stalled_until, .. } = self;
        node.forward(lane, segment, now, |lane| now < lane_stalled_until[lane])
    }

    /// Returns the handles of held packets that are released now.
    pub fn released(&mut self, now: u64) -> Vec<u64> {
        let lanes = if self.is_running(now) { self.lanes.len() } else { 0 };
        let running: Vec<_> = (0..lanes).filter(|&lane| !self.is_stalled(lane, now)).collect();
        running.into_iter().flat_map(|lane| self.node.released(lane, now)).collect()
    }

    /// Returns the maximum number of deletes to send to a peer: one for each state that ended on this node by itself,
    /// one for each message about a state that has ended, and one for each peer's state of a connection that has ours.
    #[must_use]
    pub fn max_deletes(&self) -> u64 {
        let ended = self.stat("states_expired") + self.stat("states_retired") - self.stat("ends_silent");
        ended + self.stat("imports_refused_ended") + self.stat("twins_ended")
    }

    /// Returns the number of peers that get frames of their own.
    #[must_use]
    pub fn peers(&self) -> u64 {
        self.config.sync.peers.len() as u64
    }

    /// Finds a statistic that differs from what the link saw; returns both values.
    #[must_use]
    pub fn miscounted(&self) -> Option<(&'static str, u64, u64)> {
        let counted = |name: &str| match name {
            "opackets" => self.stat("opackets") + self.stat("opackets6"),
            _ => self.stat(name),
        };
        let sent = STATISTICS.iter().zip(self.sent.values()).map(|(name, sent)| (*name, counted(name), sent));
        let received = ("ipackets", self.stat("ipackets") + self.stat("ipackets6"), self.received);
        sent.chain([received]).find(|(_, counted, seen)| counted != seen)
    }

    /// Returns the number of states that should have been swept: those that were seen expired long ago.
    #[must_use]
    pub fn overdue(&mut self, now: u64) -> usize {
        let mut expired = HashMap::new();
        self.node.for_each_state(now, |lane, view| {
            if view.expires_s == 0 {
                let key = (lane, view.cold.id);
                expired.insert(key, self.expired_since.get(&key).copied().unwrap_or(now));
            }
        });
        self.expired_since = expired;
        self.expired_since.values().filter(|&&since| now - since > SWEPT_WITHIN).count()
    }
}
