//! A node: an engine with its lanes, driven by hand in virtual time.

use crate::flow::{Flow, Segment};
use pfplane::StatisticKind;
use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{Action, BurstInfo, Lane, PacketView, Reason, STATISTICS, StateView, Verdict};
use pfplane::internals::packet::{Direction, Key, Link, parse};
use pfplane::internals::state::{Options, Peer, StateId};
use std::collections::HashMap;

/// The clock of a node: it may be ahead of the world's, and run faster.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// World time when the clock started.
    pub started: u64,
    /// What the clock showed then.
    pub offset: u64,
    /// Millionths by which it is fast.
    pub drift: u64,
}

impl Clock {
    /// Returns what the clock shows at a time of the world.
    #[must_use]
    pub const fn at(&self, now: u64) -> u64 {
        let since = now - self.started;
        self.offset + since + since / 1_000_000 * self.drift
    }
}

/// What a node did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Forwarded.
    Passed,
    /// Dropped, or without a state.
    Refused(Reason),
    /// Held until a peer has the state; the number is the handle.
    Held(u64),
    /// The node or the lane is not polling.
    Stalled,
}

/// What a node knows of one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its identity.
    pub id: StateId,
    /// State numbers of both sides.
    pub peer_state: [u8; 2],
    /// Its timeout class.
    pub class: u8,
    /// First sequence number not yet acknowledged, of both sides.
    pub seqlo: [u32; 2],
    /// The window scale of both sides is known.
    pub is_scaled: bool,
}

/// An engine and its lanes.
pub struct Node {
    /// The engine, as its control thread sees it.
    pub engine: Engine,
    /// The lanes of the engine.
    pub lanes: Vec<Lane>,
    /// The settings of the engine.
    pub config: Config,
    /// The clock of the node.
    pub clock: Clock,
    /// The options of new states, for IPv4 and IPv6.
    pub options: [Options; 2],
    handles: u64,
    buffer: Vec<u8>,
}

impl Node {
    /// Builds a node.
    ///
    /// # Panics
    /// When the configuration is refused.
    #[must_use]
    pub fn new(config: Config, clock: Clock) -> Self {
        let (engine, lanes) = Engine::new(config.clone()).expect("settings within their ranges");
        let buffer = vec![0; lanes[0].max_frame_bytes()];
        Self { engine, lanes, config, clock, options: <[Options; 2]>::default(), handles: 0, buffer }
    }

    /// Replaces the engine by a new, empty one.
    ///
    /// # Panics
    /// When the configuration is refused.
    pub fn restart(&mut self, config: Config) {
        let options = core::mem::take(&mut self.options);
        *self = Self { handles: self.handles, options, ..Self::new(config, self.clock) };
    }

    /// Returns what the node's clock shows.
    #[must_use]
    pub const fn clock(&self, now: u64) -> u64 {
        self.clock.at(now)
    }

    /// Looks a packet up on a lane, and on its owner if it is handed off. Returns the lane of the verdict.
    ///
    /// # Panics
    /// When the packet is handed off twice.
    pub fn lookup(&mut self, lane: usize, segment: &Segment, now: u64) -> (usize, Verdict) {
        let verdict = self.lookup_on(lane, segment, now);
        if verdict.action != Action::HandOff {
            return (lane, verdict);
        }
        let owner = usize::from(verdict.lane);
        let verdict = self.lookup_on(owner, segment, now);
        assert_ne!(verdict.action, Action::HandOff, "handed off twice");
        (owner, verdict)
    }

    fn lookup_on(&mut self, lane: usize, segment: &Segment, now: u64) -> Verdict {
        let burst = self.burst(segment, now);
        self.lanes[lane].lookup(&burst, &view(segment))
    }

    const fn burst(&self, segment: &Segment, now: u64) -> BurstInfo {
        let direction = if segment.forward { Direction::In } else { Direction::Out };
        BurstInfo { direction, link: Link::Ip, rdomain: 0, trust_hash: false, now: self.clock.at(now) }
    }

    /// Creates the state of a packet on a lane.
    pub fn create(&mut self, lane: usize, segment: &Segment, now: u64) -> Verdict {
        let burst = self.burst(segment, now);
        let options = &self.options[usize::from(segment.bytes[0] >> 4 == 6)];
        self.lanes[lane].create(&burst, &view(segment), options)
    }

    /// Forwards a packet that arrives on a lane, creates its state if it may, and follows a hand-off.
    ///
    /// # Panics
    /// When the packet is handed off in circles.
    pub fn forward(
        &mut self,
        lane: usize,
        segment: &Segment,
        now: u64,
        is_stalled: impl Fn(usize) -> bool,
    ) -> Passage {
        let mut lane = lane;
        // A reply to a translated connection may reach the owner of its outside key first, which knows the owner of the state.
        for _ in 0..3 {
            if is_stalled(lane) {
                return Passage::Stalled;
            }
            let mut verdict = self.lookup_on(lane, segment, now);
            if verdict.action == Action::New && segment.may_create {
                verdict = self.create(lane, segment, now);
            }
            match verdict.action {
                Action::Pass => return Passage::Passed,
                Action::Held => {
                    let handle = self.handles;
                    self.handles += 1;
                    let held = self.lanes[lane].hold(verdict.slot, handle);
                    return if held.is_ok() { Passage::Held(handle) } else { Passage::Passed };
                }
                Action::HandOff => lane = usize::from(verdict.lane),
                _ => return Passage::Refused(verdict.reason),
            }
        }
        panic!("a packet is handed off in circles");
    }

    /// Polls a lane, and sends up to `max_frames` of its frames.
    ///
    /// # Panics
    /// When a frame is longer than the MTU, or the lane does not stop sending.
    pub fn poll(&mut self, lane: usize, now: u64, max_frames: usize, mut send: impl FnMut(&[u8])) {
        let clock = self.clock.at(now);
        let Self { engine, lanes, buffer, .. } = self;
        let lane = &mut lanes[lane];
        lane.poll(clock);
        let mut frames = 0;
        while frames < max_frames
            && let Some(range) = lane.flush(buffer, clock)
        {
            assert!(buffer[range.clone()].len() <= engine.mtu() as usize, "a frame longer than the MTU");
            send(&buffer[range]);
            frames += 1;
            assert!(frames < 100_000, "frames without end");
        }
    }

    /// Receives a frame on the sync lane.
    ///
    /// # Panics
    /// When the lane refuses to be the sync lane.
    pub fn receive(&mut self, frame: &[u8], now: u64) {
        let clock = self.clock.at(now);
        assert!(self.lanes[0].receive(frame, clock), "lane 0 is the sync lane");
    }

    /// Returns the handles of held packets that a lane releases now.
    pub fn released(&mut self, lane: usize, now: u64) -> Vec<u64> {
        let (clock, mut handles) = (self.clock.at(now), Vec::new());
        self.lanes[lane].take_released(clock, usize::MAX, |handle| handles.push(handle));
        handles
    }

    /// Returns a statistic, summed over all lanes.
    ///
    /// # Panics
    /// When there is no statistic of this name.
    #[must_use]
    pub fn stat(&self, name: &str) -> u64 {
        let index = STATISTICS.iter().position(|known| known.name.to_bytes() == name.as_bytes());
        let index = index.unwrap_or_else(|| panic!("there is no statistic {name}"));
        self.engine.stat(None, index).map_or(0, |(_, value)| value)
    }

    /// Returns the counters, summed over all lanes, with their names.
    #[must_use]
    pub fn counters(&self) -> Vec<(&'static core::ffi::CStr, u64)> {
        let all = (0..STATISTICS.len()).filter_map(|index| self.engine.stat(None, index));
        all.filter(|(statistic, _)| statistic.kind == StatisticKind::Counter)
            .map(|(statistic, value)| (statistic.name, value))
            .collect()
    }

    /// Returns how many connections break if the node dies now: states that were sent to no peer. Asks the lanes: statistics
    /// are up to a millisecond old.
    #[must_use]
    pub fn exposed_creations(&self, now: u64) -> u64 {
        self.lanes.iter().map(|lane| u64::from(lane.exposure(self.clock.at(now)).creations)).sum()
    }

    /// Returns the number of slots.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        u64::from(self.config.lanes) * u64::from(self.config.states_per_lane)
    }

    /// Visits every state, also those that have expired but are not yet freed, with the index of its lane.
    pub fn for_each_state(&self, now: u64, mut visit: impl FnMut(usize, &StateView<'_>)) {
        for (index, lane) in self.lanes.iter().enumerate() {
            let mut from = 0;
            while let Some(view) = lane.state_from(from, self.clock.at(now)) {
                from = view.slot.0 + 1;
                visit(index, &view);
            }
        }
    }

    /// Returns the number of states.
    #[must_use]
    pub fn states(&self, now: u64) -> usize {
        let mut count = 0;
        self.for_each_state(now, |_, _| count += 1);
        count
    }

    /// Returns every state that has not expired, by its key.
    ///
    /// # Panics
    /// When two states have one key.
    #[must_use]
    pub fn known(&self, now: u64) -> HashMap<Key, Known> {
        let mut all = HashMap::new();
        self.for_each_state(now, |_, view| {
            if view.expires_s == 0 {
                return;
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
        });
        all
    }

    /// Deletes up to `max` states, as an operator does. Returns how many.
    pub fn delete_states(&mut self, now: u64, max: usize) -> usize {
        let clock = self.clock.at(now);
        let mut ids = Vec::new();
        self.for_each_state(now, |_, view| ids.push(view.cold.id));
        ids.sort();
        let mut delete = |id: &StateId| self.lanes.iter_mut().any(|lane| lane.delete_id(*id, clock));
        ids.iter().take(max).filter(|id| delete(id)).count()
    }

    /// Deletes the state of an identity, as an operator does. Returns whether there was one.
    pub fn delete_id(&mut self, id: StateId, now: u64) -> bool {
        let clock = self.clock.at(now);
        self.lanes.iter_mut().any(|lane| lane.delete_id(id, clock))
    }

    /// Describes the states of a key for a failure message.
    #[must_use]
    pub fn describe(&self, key: &Key, now: u64) -> String {
        let mut found = String::new();
        self.for_each_state(now, |lane, view| {
            if view.hot.key == *key {
                found += &format!(
                    "lane {lane}: {:?} states {:?} class {} flags {:#06x} src {:?} dst {:?} expires in {} s; ",
                    view.cold.id,
                    view.hot.peer_state,
                    view.hot.timeout,
                    view.hot.local.0,
                    window(&view.track.src),
                    window(&view.track.dst),
                    view.expires_s,
                );
            }
        });
        if found.is_empty() { "no state".into() } else { found }
    }
}

/// Returns `seqlo`, `seqhi`, `max_win` and `wscale` of a side.
const fn window(peer: &Peer) -> (u32, u32, u16, u8) {
    (peer.seqlo, peer.seqhi, peer.max_win, peer.wscale)
}

fn view(segment: &Segment) -> PacketView<'_> {
    PacketView::new(&segment.bytes)
}

/// Returns the key of a flow on the client's interface.
///
/// # Panics
/// When the flow's packet cannot be parsed.
#[must_use]
pub fn key_of(flow: &Flow) -> Key {
    let first = flow.first_packet();
    parse(&first, first.len() as u32, Link::Ip, Direction::In).expect("a sound packet").key
}
