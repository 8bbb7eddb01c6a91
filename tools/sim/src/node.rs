//! One engine with its lanes, and the host around it.

use crate::S;
use crate::connection::Sent;
use crate::plan::Plan;
use crate::tally::{NAMES, Tally};
use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{Action, BurstInfo, Lane, PacketView, Reason, STATISTICS};
use pfplane::internals::packet::{Direction, Key, Link};
use pfplane::internals::state::{Options, Peer, StateId};
use pfplane_testkit::Random;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// Frames that wait at a node that does not look; more are lost, as in a card's ring.
const INBOX: usize = 512;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It goes on.
    Passed,
    /// It was dropped, or found no state.
    Refused(Reason),
    /// It waits until a peer has its state; the number is its handle.
    Held(u64),
    /// The node or the lane does not look at packets now.
    Unseen,
}

/// What is known of one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its identity.
    pub id: StateId,
    /// State numbers of both sides.
    pub peer_state: [u8; 2],
    /// Its timeout class.
    pub class: u8,
    /// Where both sides are in sequence space.
    pub seqlo: [u32; 2],
    /// Whether the window scale of both sides is known.
    pub is_scaled: bool,
}

/// One node.
pub struct Node {
    /// Its engine, as its control thread sees it.
    pub engine: Engine,
    /// The lanes of the engine.
    pub lanes: Vec<Lane>,
    /// Not dead.
    pub is_up: bool,
    /// What it has sent since it came up.
    pub sent: Tally,
    /// Frames that it took in.
    pub received: u64,
    config: Config,
    number: usize,
    /// This node's clock is off by so much, and runs faster by so many millionths.
    offset: u64,
    drift: u64,
    born: u64,
    /// It does nothing before this.
    paused_until: u64,
    lane_stalled_until: Vec<u64>,
    handles: u64,
    inbox: VecDeque<Rc<[u8]>>,
    buffer: Vec<u8>,
}

impl Node {
    /// Node `number` of a cluster.
    pub fn new(number: usize, plan: &Plan, now: u64, random: &mut Random) -> Self {
        let config = config(number, plan, now, random);
        let (engine, lanes) = Engine::new(config.clone()).expect("settings within their ranges");
        let drift = if plan.drifts { random.below(500) } else { 0 };
        let mut node = Self {
            engine,
            lanes,
            is_up: true,
            sent: Tally::default(),
            received: 0,
            config,
            number,
            offset: random.below(1000 * S),
            drift,
            born: now,
            paused_until: 0,
            lane_stalled_until: Vec::new(),
            handles: 0,
            inbox: VecDeque::new(),
            buffer: Vec::new(),
        };
        node.begin();
        node
    }

    fn begin(&mut self) {
        self.is_up = true;
        self.sent = Tally::default();
        self.received = 0;
        self.paused_until = 0;
        self.lane_stalled_until = vec![0; self.lanes.len()];
        self.inbox.clear();
        self.buffer = vec![0; self.lanes[0].max_frame_bytes()];
    }

    /// The clock of this node.
    #[must_use]
    pub fn clock(&self, now: u64) -> u64 {
        let since = now - self.born;
        self.offset + since + since / 1_000_000 * self.drift
    }

    /// How many millionths its clock is fast.
    #[must_use]
    pub const fn drift(&self) -> u64 {
        self.drift
    }

    /// Comes back empty, with other settings and maybe more or fewer lanes.
    pub fn restart(&mut self, plan: &Plan, now: u64, random: &mut Random) {
        let earlier = self.config.start_unix_s;
        self.config = config(self.number, plan, now, random);
        // No two runs number their states alike.
        self.config.start_unix_s = self.config.start_unix_s.max(earlier + 1);
        (self.engine, self.lanes) = Engine::new(self.config.clone()).expect("settings within their ranges");
        self.begin();
    }

    /// Stands still.
    pub fn pause(&mut self, until: u64) {
        self.paused_until = until;
    }

    /// One lane falls behind.
    pub fn stall(&mut self, lane: usize, until: u64) {
        self.lane_stalled_until[lane] = until;
    }

    /// Whether it does anything now.
    #[must_use]
    pub const fn is_awake(&self, now: u64) -> bool {
        self.is_up && now >= self.paused_until
    }

    fn lane_is_awake(&self, lane: usize, now: u64) -> bool {
        now >= self.lane_stalled_until[lane]
    }

    /// Housekeeping of every lane, and up to `most` frames of each.
    pub fn turn(&mut self, now: u64, most: usize, mut send: impl FnMut(usize, &[u8])) {
        if !self.is_awake(now) {
            return;
        }
        let clock = self.clock(now);
        if self.lane_is_awake(0, now) {
            for _ in 0..self.inbox.len() {
                let Some(frame) = self.inbox.pop_front() else { break };
                self.take(&frame, clock);
            }
        }
        for at in 0..self.lanes.len() {
            if !self.lane_is_awake(at, now) {
                continue;
            }
            let lane = &mut self.lanes[at];
            lane.poll(clock);
            let mut frames = 0;
            while frames < most
                && let Some(place) = lane.flush(&mut self.buffer, clock)
            {
                let packet = &self.buffer[place];
                assert!(packet.len() <= self.engine.mtu() as usize, "a frame longer than the MTU");
                send(at, packet);
                frames += 1;
                assert!(frames < 100_000, "frames without end");
            }
        }
    }

    fn take(&mut self, frame: &[u8], clock: u64) {
        self.received += 1;
        assert!(self.lanes[0].receive(frame, clock), "lane 0 is the sync lane");
    }

    /// A frame has arrived.
    pub fn receive(&mut self, frame: Rc<[u8]>, now: u64) {
        if !self.is_up {
            return;
        }
        if self.is_awake(now) && self.lane_is_awake(0, now) {
            let clock = self.clock(now);
            self.take(&frame, clock);
        } else if self.inbox.len() < INBOX {
            self.inbox.push_back(frame);
        }
    }

    /// A packet comes to any lane of this node.
    pub fn forward(&mut self, sent: &Sent, now: u64, random: &mut Random) -> Passage {
        if !self.is_awake(now) {
            return Passage::Unseen;
        }
        let direction = if sent.forward { Direction::In } else { Direction::Out };
        let burst = BurstInfo { direction, link: Link::Ip, trust_hash: false, now: self.clock(now) };
        let view = PacketView { data: &sent.bytes, packet_length: sent.bytes.len() as u32, hash: None };
        let mut at = random.index(self.lanes.len());
        for _ in 0..2 {
            if !self.lane_is_awake(at, now) {
                return Passage::Unseen;
            }
            let mut verdict = self.lanes[at].lookup(&burst, &view);
            if verdict.action == Action::New && sent.begins {
                verdict = self.lanes[at].create(&burst, &view, &Options::default());
            }
            match verdict.action {
                Action::Pass => return Passage::Passed,
                Action::Held => {
                    let handle = self.handles;
                    self.handles += 1;
                    let held = self.lanes[at].hold(verdict.slot, handle);
                    return if held.is_ok() { Passage::Held(handle) } else { Passage::Passed };
                }
                Action::HandOff => at = usize::from(verdict.lane),
                _ => return Passage::Refused(verdict.reason),
            }
        }
        panic!("a packet was handed off twice");
    }

    /// Handles of held packets that go now.
    pub fn released(&mut self, now: u64) -> Vec<u64> {
        let mut handles = Vec::new();
        if self.is_awake(now) {
            let clock = self.clock(now);
            for at in 0..self.lanes.len() {
                if self.lane_is_awake(at, now) {
                    self.lanes[at].take_released(clock, usize::MAX, |handle| handles.push(handle));
                }
            }
        }
        handles
    }

    /// Deletes that this node had reason to send: of states that ended here and by themselves.
    #[must_use]
    pub fn ends_aloud(&self) -> u64 {
        self.stat("expired") + self.stat("retired") - self.stat("silent_ends")
    }

    /// How many others it speaks to, each with its own frames.
    #[must_use]
    pub fn peers(&self) -> u64 {
        self.config.sync.peers.len() as u64
    }

    /// Stands still no more, and no lane lags.
    pub fn wake(&mut self) {
        self.paused_until = 0;
        self.lane_stalled_until.fill(0);
    }

    /// The value of a statistic as it is shown now, summed over all lanes.
    #[must_use]
    pub fn stat(&self, name: &str) -> u64 {
        let index = STATISTICS.iter().position(|known| known.name.to_bytes() == name.as_bytes());
        let index = index.unwrap_or_else(|| panic!("there is no statistic {name}"));
        self.engine.stat(None, index).map_or(0, |(_, value)| value)
    }

    /// Connections that break if this node dies now, as its lanes say: the statistics would be up to a millisecond late.
    #[must_use]
    pub fn exposed(&self, now: u64) -> u64 {
        let clock = self.clock(now);
        let exposures = self.lanes.iter().map(|lane| lane.exposure(clock));
        exposures.map(|exposure| u64::from(exposure.creations) + u64::from(exposure.changes)).sum()
    }

    /// What the engine says that it has sent: the counters that are to be equal to [`Node::sent`], and both values.
    #[must_use]
    pub fn miscounted(&self) -> Option<(&'static str, u64, u64)> {
        let counted = NAMES.iter().zip(self.sent.values());
        let own = |name: &str| match name {
            "opackets" => self.stat("opackets") + self.stat("opackets6"),
            _ => self.stat(name),
        };
        let sent = counted.map(|(name, sent)| (*name, own(name), sent));
        let received = ("ipackets", self.stat("ipackets") + self.stat("ipackets6"), self.received);
        sent.chain([received]).find(|(_, own, seen)| own != seen)
    }

    /// Every state that has not expired, by its key.
    #[must_use]
    pub fn known(&self, now: u64) -> HashMap<Key, Known> {
        let clock = self.clock(now);
        let mut all = HashMap::new();
        for lane in &self.lanes {
            let mut from = 0;
            while let Some(view) = lane.state_from(from, clock) {
                from = view.slot.0 + 1;
                if view.expires_s == 0 {
                    continue;
                }
                let (hot, track) = (view.hot, view.track);
                let known = Known {
                    id: view.cold.id,
                    peer_state: hot.peer_state,
                    class: hot.timeout,
                    seqlo: [track.src.seqlo, track.dst.seqlo],
                    is_scaled: track.src.wscale & 0x80 != 0 && track.dst.wscale & 0x80 != 0,
                };
                let twin = all.insert(hot.key, known);
                assert!(twin.is_none(), "two states with one key: {known:?} and {twin:?}");
            }
        }
        all
    }

    /// States that should have been swept long ago.
    #[must_use]
    pub fn overdue(&self, now: u64) -> usize {
        let clock = self.clock(now);
        // The sweep comes by every ten seconds; the states of a peer that is silent are kept for a grace of a minute, and
        // one that says a word now and then is silent again before the sweep has been everywhere.
        let sweep = (15 + 4 * 60) * S;
        let is_over = |lane: &&Lane| {
            let mut from = 0;
            let mut count = 0;
            while let Some(view) = lane.state_from(from, clock) {
                from = view.slot.0 + 1;
                // Counted from the end of the interval in which the sweep must have come by.
                let early = lane.state_from(view.slot.0, clock.saturating_sub(sweep));
                count += usize::from(early.is_some_and(|view| view.expires_s == 0));
            }
            count > 0
        };
        self.lanes.iter().filter(is_over).count()
    }

    /// Every state with this key, for whoever reads a failure.
    #[must_use]
    pub fn describe(&self, key: &Key, now: u64) -> String {
        let clock = self.clock(now);
        let mut found = String::new();
        for (n, lane) in self.lanes.iter().enumerate() {
            let mut from = 0;
            while let Some(view) = lane.state_from(from, clock) {
                from = view.slot.0 + 1;
                let (hot, cold) = (view.hot, view.cold);
                if hot.key == *key {
                    found += &format!(
                        "lane {n}: {:?} states {:?} class {} flags {:#06x} src {:?} dst {:?} expires in {} s; ",
                        cold.id,
                        hot.peer_state,
                        hot.timeout,
                        hot.local.0,
                        in_short(&view.track.src),
                        in_short(&view.track.dst),
                        view.expires_s,
                    );
                }
            }
        }
        if found.is_empty() { "no state".into() } else { found }
    }
}

/// `seqlo`, `seqhi`, `max_win` and `wscale` of a side.
const fn in_short(peer: &Peer) -> (u32, u32, u16, u8) {
    (peer.seqlo, peer.seqhi, peer.max_win, peer.wscale)
}

fn config(number: usize, plan: &Plan, now: u64, random: &mut Random) -> Config {
    let lanes = plan.lanes.unwrap_or_else(|| random.between(1, 4) as u32);
    let sync = plan.sync_of(number, random);
    Config {
        lanes,
        states_per_lane: plan.states,
        translated_per_lane: 0,
        start_unix_s: now / S,
        sync,
        sweep_per_poll: 4096,
        adaptive_by_capacity: false,
        redirection: Some(core::array::from_fn(|_| random.below(lanes.into()) as u8)),
        ..Config::default()
    }
}
