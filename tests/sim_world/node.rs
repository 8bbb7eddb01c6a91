//! One engine with its lanes, and the host around it.

use super::S;
use super::connection::Sent;
use crate::sync_node::traffic::Random;
use pfplane::engine::{Config, Engine};
use pfplane::lane::{Action, Burst, Lane, PacketView};
use pfplane::packet::{Direction, Link};
use pfplane::state::Options;
use pfplane::sync::{PeerSettings, SyncSettings};
use pfplane::wire::Profile;
use pfplane::wire::envelope::Address;

pub struct Node {
    pub engine: Engine,
    pub lanes: Vec<Lane>,
    pub lane_count: u32,
    pub is_up: bool,
    config: Config,
    /// This node's clock is off by so much, and runs faster by so many millionths.
    offset: u64,
    drift: u64,
    born: u64,
}

impl Node {
    pub fn new(n: u8, profile: Profile, lanes: u32, now: u64, random: &mut Random) -> Self {
        let mut sync = SyncSettings { host_id: 0xfeed_0000 | u32::from(n), ..SyncSettings::default() };
        sync.peers.push(PeerSettings::group(profile, Address::V4([192, 0, 2, n])));
        let config = Config {
            lanes,
            states_per_lane: 4096,
            start_unix_s: now / S,
            sync,
            sweep_per_poll: 4096,
            adaptive_by_capacity: false,
            ..Config::default()
        };
        let (engine, all) = Engine::new(config.clone()).unwrap();
        let (offset, drift) = (random.below(1000 * S), random.below(500));
        Self { engine, lanes: all, lane_count: lanes, is_up: true, config, offset, drift, born: now }
    }

    /// The clock of this node.
    fn clock(&self, now: u64) -> u64 {
        let since = now - self.born;
        self.offset + since + since / 1_000_000 * self.drift
    }

    /// Comes back empty, maybe with more or fewer lanes.
    pub fn restart(&mut self, now: u64, lanes: u32) {
        self.config.start_unix_s = now / S;
        self.config.lanes = lanes;
        self.lane_count = lanes;
        (self.engine, self.lanes) = Engine::new(self.config.clone()).unwrap();
        self.is_up = true;
    }

    /// Housekeeping of every lane; what they have to say.
    pub fn poll(&mut self, now: u64) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        if !self.is_up {
            return frames;
        }
        let clock = self.clock(now);
        let mut buffer = [0; 2048];
        for lane in &mut self.lanes {
            lane.poll(clock);
        }
        for lane in &mut self.lanes {
            lane.poll(clock);
            while let Some(place) = lane.flush(&mut buffer, clock) {
                frames.push(buffer[place].to_vec());
                assert!(frames.len() < 100_000, "frames without end");
            }
        }
        frames
    }

    pub fn receive(&mut self, packet: &[u8], now: u64) {
        if self.is_up {
            let clock = self.clock(now);
            assert!(self.lanes[0].receive(packet, clock));
        }
    }

    /// A packet comes to any lane of this node: whether it goes on.
    pub fn forwards(&mut self, sent: &Sent, forward: bool, now: u64, random: &mut Random) -> bool {
        if !self.is_up {
            return false;
        }
        let direction = if forward { Direction::In } else { Direction::Out };
        let burst = Burst { direction, link: Link::Ip, trust_hash: false, now: self.clock(now) };
        let view = PacketView { data: &sent.bytes, packet_length: sent.bytes.len() as u32, hash: None };
        let mut at = random.below(self.lanes.len() as u64) as usize;
        for _ in 0..2 {
            let mut verdict = None;
            self.lanes[at].lookup(&burst, 1, |_| view, |_, given| verdict = Some(given));
            let verdict = verdict.unwrap();
            match verdict.action {
                Action::Pass => return true,
                Action::HandOff => at = usize::from(verdict.lane),
                Action::New if sent.begins => {
                    return self.lanes[at].create(&burst, &view, &Options::default()).action == Action::Pass;
                }
                _ => return false,
            }
        }
        panic!("handed off twice");
    }

    /// Every state of a client's port, for whoever reads a failure.
    pub fn describe(&self, port: u16, now: u64) -> String {
        let clock = self.clock(now);
        let mut found = String::new();
        for (n, lane) in self.lanes.iter().enumerate() {
            let mut from = 0;
            while let Some(view) = lane.state_from(from, clock) {
                let (hot, cold) = (view.hot, view.cold);
                if hot.key.port.iter().any(|other| other.get() == port) {
                    found += &format!(
                        "  lane {n}: {:?} states {:?} class {} flags {:#06x} seqlo {:?} lane of key {}\n",
                        cold.id,
                        hot.peer_state,
                        hot.timeout,
                        hot.local.0,
                        [view.track.src.seqlo, view.track.dst.seqlo],
                        self.engine.steering().lane_of(&hot.key)
                    );
                }
                from = view.slot.0 + 1;
            }
        }
        found
    }

    /// What is known of every state, by identity: state numbers and class.
    pub fn states(&self, now: u64) -> std::collections::BTreeMap<(u32, u64), ([u8; 2], u8)> {
        let clock = self.clock(now);
        let mut states = std::collections::BTreeMap::new();
        for lane in &self.lanes {
            let mut from = 0;
            while let Some(view) = lane.state_from(from, clock) {
                let (hot, cold) = (view.hot, view.cold);
                let twin = states.insert((cold.id.creator, cold.id.id), (hot.peer_state, hot.timeout));
                assert!(twin.is_none(), "one identity on two lanes: {:?}", cold.id);
                from = view.slot.0 + 1;
            }
        }
        states
    }
}
