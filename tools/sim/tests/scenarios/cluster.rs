//! A small cluster with given settings, on the simulator's world.

use core::ops::{Deref, DerefMut};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::Action;
use pfplane::internals::packet::Key;
use pfplane::internals::state::StateId;
use pfplane::internals::sync::{PeerSettings, SyncSettings};
use pfplane_sim::world::connection::Connection;
use pfplane_sim::world::node::Node;
use pfplane_sim::{MS, World};
use pfplane_testkit::Flow;
use pfplane_testkit::flow::{Intent, Kind, Phase};
use pfplane_testkit::node::Passage;
use pfsync::Profile;
use pfsync::envelope::Address;
use std::collections::BTreeMap;

/// Lanes of both nodes of a pair.
pub(crate) const LANES: [[u32; 2]; 4] = [[1, 1], [1, 3], [4, 2], [8, 1]];
pub(crate) const OPENBSD: [Profile; 1] = [Profile::OpenBsd6];

/// Returns the settings of node `n`, counted from 0, which speaks these dialects on the link.
pub(crate) fn config(n: usize, lanes: u32, states_per_lane: u32, profiles: &[Profile]) -> Config {
    let number = n as u8 + 1;
    let mut sync = SyncSettings { host_id: 0xfeed_0000 | u32::from(number), ..SyncSettings::default() };
    for &profile in profiles {
        sync.peers.push(PeerSettings::group(profile, Address::V4([192, 0, 2, number])));
    }
    Config {
        lanes,
        states_per_lane,
        sync,
        start_unix_s: 1_700_000_000,
        random_seed: Some([number; 32]),
        ..Config::default()
    }
}

/// What two nodes must agree on: key, state numbers, sequence numbers, timeout class.
type View = BTreeMap<StateId, (Key, [u8; 2], [u32; 2], u8)>;

/// A world whose connections all pass the node that the test names.
pub(crate) struct Cluster(World);

impl Deref for Cluster {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.0
    }
}

impl Cluster {
    /// Builds a cluster of nodes with these settings.
    pub(crate) fn new(seed: u64, configs: Vec<Config>) -> Self {
        println!("seed {seed}, lanes {:?}", configs.iter().map(|config| config.lanes).collect::<Vec<_>>());
        let mut world = World::with_nodes(seed, configs);
        world.link.wire.latency_ns = 0;
        Self(world)
    }

    /// Builds two nodes that speak OpenBSD's dialect and are ready.
    pub(crate) fn pair(seed: u64, lanes: [u32; 2], states_per_lane: u32) -> Self {
        let host = |n: usize| config(n, lanes[n], states_per_lane, &OPENBSD);
        let mut pair = Self::new(seed, vec![host(0), host(1)]);
        pair.run(100 * MS, MS);
        assert!(pair.host(0).engine.ready() && pair.host(1).engine.ready());
        pair
    }

    pub(crate) fn host(&mut self, n: usize) -> &mut Node {
        &mut self.0.nodes[n]
    }

    pub(crate) fn states(&self, n: usize) -> usize {
        self.0.nodes[n].states(self.now)
    }

    pub(crate) fn stat(&self, n: usize, name: &str) -> u64 {
        self.0.nodes[n].stat(name)
    }

    /// Kills a node, with the frames in flight to it.
    pub(crate) fn kill(&mut self, n: usize) {
        self.0.kill(n);
        self.link.wire.clear(n);
    }

    /// Starts a killed node with these settings, empty.
    pub(crate) fn boot(&mut self, n: usize, config: Config) {
        self.link.wire.clear(n);
        self.host(n).restart_with(config);
    }

    /// Adds connections that have not started.
    pub(crate) fn open(&mut self, flows: impl IntoIterator<Item = Flow>) {
        self.connections.extend(flows.into_iter().map(|flow| Connection::new(flow, [0; 2])));
    }

    /// Adds the next `count` connections of the fixed series.
    pub(crate) fn open_next(&mut self, count: u32) {
        let first = self.connections.len() as u32;
        self.open((first..first + count).map(Flow::numbered));
    }

    /// Sends the next packet of a connection through a node.
    pub(crate) fn send(&mut self, n: usize, through: usize) -> bool {
        self.send_through(n, Intent::Talk, Some(through))
    }

    /// Sends `rounds` packets of every connection through a node; returns how many were dropped.
    pub(crate) fn talk(&mut self, through: usize, rounds: usize, pause: u64) -> usize {
        let mut dropped = 0;
        for _ in 0..rounds {
            for n in 0..self.connections.len() {
                let is_over = self.connections[n].is_over();
                dropped += usize::from(!is_over && !self.send(n, through));
            }
            self.run(pause, MS);
        }
        dropped
    }

    /// Sends a keep-alive of every open connection through a node; it must pass.
    pub(crate) fn keep_alive(&mut self, through: usize) {
        for n in (0..self.connections.len()).filter(|&n| is_open(&self.0.connections[n])).collect::<Vec<_>>()
        {
            let (probe, now) = (self.connections[n].probe(true), self.now);
            let World { nodes, random, .. } = &mut self.0;
            assert_eq!(nodes[through].forward(&probe, now, random), Passage::Passed, "connection {n}");
        }
    }

    /// Closes open TCP connections through a node.
    pub(crate) fn close(&mut self, through: usize, which: impl Fn(usize) -> bool) {
        for n in (0..self.connections.len()).filter(|&n| which(n)) {
            if !self.connections[n].is_open_tcp() {
                continue;
            }
            for intent in [Intent::Close, Intent::Talk, Intent::Talk] {
                assert!(self.send_through(n, intent, Some(through)), "{:?}", self.connections[n]);
            }
            assert_eq!(self.connections[n].phase, Phase::Over);
        }
    }

    /// Expects that a packet of every open connection passes a node in both directions, on whatever lane it arrives.
    pub(crate) fn assert_all_pass(&mut self, through: usize) {
        let now = self.now;
        for n in 0..self.connections.len() {
            let connection = self.connections[n].clone();
            for forward in [true, false].into_iter().filter(|_| is_open(&connection)) {
                let segment = connection.probe(forward);
                for lane in 0..self.host(through).lanes.len() {
                    let (_, verdict) = self.host(through).lookup(lane, &segment, now);
                    assert_eq!(verdict.action, Action::Pass, "{connection:?} forward {forward} lane {lane}");
                    assert_eq!(verdict.reverse, !forward);
                }
            }
        }
    }

    /// Collects all states of a node, each on the lane that its packets are looked up on.
    fn view(&self, n: usize) -> View {
        let (node, mut all) = (&self.0.nodes[n], View::new());
        node.for_each_state(self.now, |lane, state| {
            let (hot, track) = (state.hot, state.track);
            assert_eq!(usize::from(node.engine.steering().lane_of(&hot.key)), lane, "owner lane");
            let seqlo = if hot.key.proto == 6 { [track.src.seqlo, track.dst.seqlo] } else { [0; 2] };
            let twin = all.insert(state.cold.id, (hot.key, hot.peer_state, seqlo, hot.timeout));
            assert!(twin.is_none(), "a state on two lanes");
        });
        all
    }

    /// Expects that two nodes have the same states.
    pub(crate) fn assert_equal(&self, a: usize, b: usize) {
        let (left, right) = (self.view(a), self.view(b));
        for (id, state) in &left {
            assert_eq!(Some(state), right.get(id), "{id:?} of node {a} on node {b}");
        }
        for id in right.keys() {
            assert!(left.contains_key(id), "{id:?} of node {b} is not on node {a}");
        }
    }
}

/// Returns whether both ends of a connection may send; UDP and echo need no handshake.
pub(crate) fn is_open(connection: &Connection) -> bool {
    connection.phase == Phase::Open || connection.kind != Kind::Tcp
}
