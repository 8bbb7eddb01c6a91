//! A lane with a peer, as a host uses it.

use super::Path;
use super::traffic::{Flow, Frames};
use crate::harness::rounds;
use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{Action, Burst, BurstInfo, Lane, Packet, Verdict};
use pfplane::internals::packet::{Direction, Link};
use pfplane::internals::state::Options;
use pfplane::internals::sync::{PeerSettings, SyncSettings};
use pfplane::internals::time::Nanos;
use pfsync::Profile;
use pfsync::envelope::Address;

/// The lane, and the time of its frames to the peer.
pub(crate) struct Ours {
    lane: Lane,
    engine: Engine,
    buffer: Vec<u8>,
    packets: u64,
    flush_ns: f64,
    updates_before: u64,
    burst: usize,
}

/// Builds an engine with one lane for `size` states and a peer that uses OpenBSD's dialect.
pub(super) fn engine(size: u32) -> (Engine, Lane) {
    let mut sync = SyncSettings { host_id: 1, ..SyncSettings::default() };
    sync.peers.push(PeerSettings::group(Profile::OpenBsd6, Address::V4([192, 0, 2, 1])));
    let config = Config {
        states_per_lane: size,
        sync,
        timeouts: super::timeouts(),
        adaptive_by_capacity: false,
        ..Config::default()
    };
    let (engine, mut lanes) = Engine::new(config).expect("memory");
    (engine, lanes.remove(0))
}

impl Ours {
    pub(crate) fn new(size: u32, burst: usize) -> Self {
        let (engine, lane) = engine(size);
        Self { lane, engine, buffer: vec![0; 2048], packets: 0, flush_ns: 0.0, updates_before: 0, burst }
    }

    /// Returns the time of all flushes, per packet.
    pub(crate) fn flush_ns_per_packet(&self) -> f64 {
        self.flush_ns / self.packets as f64
    }

    /// Returns how many updates were sent to the peer, per packet.
    pub(crate) fn updates_per_packet(&self) -> f64 {
        let updates = self.engine.stat_named("compressed_sent").unwrap_or(0) - self.updates_before;
        updates as f64 / self.packets as f64
    }
}

fn burst(direction: Direction, now: Nanos) -> BurstInfo {
    BurstInfo { direction, link: Link::Ethernet, rdomain: 0, trust_hash: false, now }
}

/// A burst of frames, and how many of them pass.
struct Part<'a> {
    frames: &'a Frames,
    first: usize,
    count: usize,
    passed: usize,
}

impl Burst for Part<'_> {
    #[inline]
    fn count(&self) -> usize {
        self.count
    }

    #[inline]
    fn packet(&self, index: usize) -> Packet<'_> {
        Packet::Bytes(self.frames.view(self.first + index))
    }

    #[inline]
    fn verdict(&mut self, _: usize, verdict: Verdict) {
        self.passed += usize::from(verdict.action == Action::Pass);
    }
}

impl Path for Ours {
    fn name(&self) -> String {
        format!("pfplane lane, bursts of {}", self.burst)
    }

    fn begin(&mut self, frames: &Frames, now: Nanos) {
        let burst = burst(Direction::In, now);
        for index in 0..frames.count {
            let verdict = self.lane.create(&burst, &frames.view(index), &Options::default());
            assert_eq!(verdict.action, Action::Pass);
        }
    }

    #[inline(never)]
    fn pass(&mut self, frames: &Frames, flow: Flow, now: Nanos) -> usize {
        let burst = burst(flow.direction(), now);
        let mut passed = 0;
        for first in (0..frames.count).step_by(self.burst) {
            let count = self.burst.min(frames.count - first);
            let mut part = Part { frames, first, count, passed };
            self.lane.lookup_burst(&burst, &mut part);
            passed = part.passed;
        }
        self.packets += frames.count as u64;
        passed
    }

    fn rest(&mut self, now: Nanos) {
        self.lane.poll(now);
        let (lane, buffer) = (&mut self.lane, &mut self.buffer);
        let (ns, ()) = rounds::time(|| while lane.flush(buffer, now).is_some() {});
        self.flush_ns += ns;
    }
}
