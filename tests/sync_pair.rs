//! Two nodes and a wire between them that loses, doubles, delays and reorders: they must end up equal, and the one that is
//! left must carry every connection on. A failing test prints its seed.

#[expect(dead_code, reason = "other tests use more of it")]
mod sync_node;

use pfplane::internals::state::StateId;
use pfplane::internals::sync::{Arrival, Phase as BulkPhase, SyncSettings};
use pfplane_testkit::Random;
use pfsync::Profile;
use std::collections::BTreeMap;
use sync_node::traffic::{Connection, Phase};
use sync_node::{MS, Node, S, settings};

/// Faults of the wire, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    lose: u64,
    double: u64,
    delay_ms: u64,
}

const CLEAN: Faults = Faults { lose: 0, double: 0, delay_ms: 0 };
const BAD: Faults = Faults { lose: 250, double: 100, delay_ms: 30 };

/// State numbers, sequence numbers and class of every state.
type View = BTreeMap<StateId, ([u8; 2], [u32; 2], u8)>;

struct Pair {
    nodes: [Node; 2],
    /// Arrival, receiver, packet.
    wire: Vec<(u64, usize, Vec<u8>)>,
    faults: Faults,
    random: Random,
    connections: Vec<Connection>,
    frames: u64,
    now: u64,
}

impl Pair {
    fn new(seed: u64, profile: Profile) -> Self {
        println!("seed {seed}, {profile:?}");
        let now = 1000 * S;
        let node = |n| Node::new(settings(n, profile), 4096, now);
        Self {
            nodes: [node(1), node(2)],
            wire: Vec::new(),
            faults: CLEAN,
            random: Random::new(seed),
            connections: Vec::new(),
            frames: 0,
            now,
        }
    }

    fn begin(&mut self, count: u32) {
        let first = self.connections.len() as u32;
        for n in first..first + count {
            self.connections.push(Connection::new(n, &mut self.random));
        }
    }

    fn send(&mut self, from: usize) {
        for (_, packet) in self.nodes[from].flush() {
            self.frames += 1;
            if self.random.chance(self.faults.lose) {
                continue;
            }
            let copies = 1 + u64::from(self.random.chance(self.faults.double));
            for _ in 0..copies {
                let delay = self.random.below(self.faults.delay_ms + 1) * MS;
                self.wire.push((self.now + delay, 1 - from, packet.clone()));
            }
        }
    }

    /// `time` goes by in steps of a millisecond, or of `step`.
    fn run(&mut self, time: u64, step: u64) {
        let end = self.now + time;
        while self.now < end {
            self.now += step;
            self.nodes.iter_mut().for_each(|node| node.now = self.now);
            for from in 0..2 {
                self.send(from);
            }
            let (due, later) =
                std::mem::take(&mut self.wire).into_iter().partition(|&(at, ..)| at <= self.now);
            self.wire = later;
            let mut due: Vec<(u64, usize, Vec<u8>)> = due;
            due.sort_by_key(|&(at, ..)| at);
            for (_, to, packet) in due {
                self.nodes[to].receive(&packet, Arrival::SyncPort);
            }
        }
    }

    /// One packet of a connection through the node that `path` says for its direction.
    fn step(&mut self, n: usize, path: [usize; 2], closing: bool) -> bool {
        let connection = &mut self.connections[n];
        let (facts, forward) = connection.next_packet(closing);
        let passes = self.nodes[path[usize::from(!forward)]].forwards(connection, &facts, forward);
        if passes {
            connection.passed(&facts, forward);
        } else if connection.phase == Phase::SynAck {
            let syn = connection.syn_again();
            self.nodes[path[0]].forwards(connection, &syn, true);
        }
        passes
    }

    /// Every connection says something in both directions, for `rounds` times `pause`.
    fn talk(&mut self, rounds: u32, pause: u64, path: [usize; 2]) -> u32 {
        let mut refused = 0;
        for _ in 0..rounds {
            for n in 0..self.connections.len() {
                if self.connections[n].phase != Phase::Closed {
                    refused += u32::from(!self.step(n, path, false));
                }
            }
            self.run(pause, MS);
        }
        refused
    }

    fn sweep(&mut self) {
        self.nodes.iter_mut().for_each(|node| _ = node.sweep());
    }

    /// What both nodes must agree on.
    fn views(&self) -> [View; 2] {
        [0, 1].map(|n| {
            let node = &self.nodes[n];
            let view = |slot| {
                let (hot, track) = (node.table.hot(slot), node.table.track(slot));
                let seqlo = [track.src.seqlo, track.dst.seqlo];
                (node.table.cold(slot).id, (hot.peer_state, seqlo, hot.timeout))
            };
            node.slots().into_iter().map(view).collect()
        })
    }

    /// Time in which live connections are kept alive and dead states run out, then silence: both nodes are equal, and
    /// neither has anything to say.
    fn settle(&mut self, days: u32, keeper: usize) {
        self.faults = CLEAN;
        for round in 0..days * 864 {
            for n in 0..self.connections.len() {
                let connection = &self.connections[n];
                if connection.is_tcp && connection.phase == Phase::Data {
                    let facts = connection.probe(round % 2 == 0);
                    let passes = self.nodes[keeper].forwards(connection, &facts, round % 2 == 0);
                    assert!(passes, "keep-alive of {connection:?}");
                }
            }
            self.run(100 * S, 25 * S);
            self.sweep();
        }
        self.run(5 * S, 10 * MS);
        let frames = self.frames;
        self.run(10 * S, 10 * MS);
        assert_eq!(self.frames, frames, "somebody goes on talking about nothing");
        let [one, other] = self.views();
        assert_eq!(one, other);
    }
}

fn noisy(seed: u64, profile: Profile, path: [usize; 2]) -> Pair {
    let mut pair = Pair::new(seed, profile);
    pair.faults = BAD;
    for _ in 0..20 {
        pair.begin(5);
        for _ in 0..40 {
            let n = pair.random.below(pair.connections.len() as u64) as usize;
            let closing = pair.connections[n].is_tcp && pair.random.chance(30);
            pair.step(n, path, closing);
            let pause = pair.random.below(40) * MS;
            pair.run(pause, MS);
        }
        pair.sweep();
    }
    pair
}

#[test]
fn two_nodes_over_a_bad_wire_end_up_equal() {
    for seed in 0..12 {
        let profile = Profile::ALL[seed as usize % 4];
        let mut pair = noisy(seed, profile, [0, 0]);
        pair.settle(2, 0);
        let live =
            pair.connections.iter().filter(|connection| connection.is_tcp && connection.phase == Phase::Data);
        let live = live.count() as u32;
        assert!(live > 10, "the traffic is worth the test");
        assert_eq!(pair.nodes[1].table.len(), live);
    }
}

#[test]
fn the_node_that_is_left_carries_every_connection_on() {
    for seed in 0..12 {
        let mut pair = Pair::new(seed, Profile::ALL[seed as usize % 4]);
        pair.begin(200);
        pair.talk(12, 7 * MS, [0, 0]);
        pair.run(20 * MS, MS);
        // Node 0 is gone. What the connections say now is up to a second newer than what node 1 was told.
        let refused = pair.talk(20, 3 * MS, [1, 1]);
        assert_eq!(refused, 0);
    }
}

#[test]
fn with_each_direction_through_another_node_no_connection_stalls() {
    for seed in 0..6 {
        let mut pair = Pair::new(seed, Profile::OpenBsd6);
        pair.faults = Faults { lose: 50, double: 50, delay_ms: 3 };
        pair.begin(50);
        pair.talk(60, 20 * MS, [0, 1]);
        for connection in &pair.connections {
            assert!(!connection.is_tcp || connection.phase == Phase::Data, "{connection:?}");
        }
        // Whole seconds in which everything passes.
        pair.faults = CLEAN;
        pair.run(3 * S, MS);
        assert_eq!(pair.talk(20, 50 * MS, [0, 1]), 0);
    }
}

#[test]
fn a_node_that_comes_back_empty_is_told_everything_and_takes_over() {
    for (seed, profile) in (0..).zip(Profile::ALL) {
        let mut pair = Pair::new(seed, profile);
        pair.begin(300);
        pair.talk(8, 5 * MS, [0, 0]);
        pair.nodes[1] = Node::new(settings(2, profile), 4096, pair.now);
        pair.nodes[1].importer.bulk.start(pair.now, false);
        pair.run(S, MS);
        let bulk = &pair.nodes[1].importer.bulk;
        assert_eq!((bulk.phase(), bulk.states(), bulk.attempts()), (BulkPhase::Done, 300, 1));
        assert_eq!(pair.talk(10, 3 * MS, [1, 1]), 0);
    }
}

#[test]
fn a_bulk_transfer_over_a_bad_wire_ends_and_traffic_repairs_what_it_lost() {
    for seed in 0..8 {
        let mut pair = Pair::new(seed, Profile::OpenBsd6);
        pair.begin(300);
        pair.talk(8, 5 * MS, [0, 0]);
        pair.faults = BAD;
        pair.nodes[1] = Node::new(settings(2, Profile::OpenBsd6), 4096, pair.now);
        pair.nodes[1].importer.bulk.start(pair.now, false);
        pair.run(120 * S, 5 * MS);
        assert!(pair.nodes[1].importer.bulk.is_ready());
        pair.faults = CLEAN;
        pair.talk(2, 10 * MS, [0, 0]);
        pair.run(4 * S, 5 * MS);
        for connection in pair.connections.clone() {
            let slot = pair.nodes[1].state_of(&connection);
            assert!(slot.is_some() || pair.nodes[0].state_of(&connection).is_none(), "{connection:?}");
        }
        assert_eq!(pair.talk(6, 3 * MS, [1, 1]), 0);
    }
}

#[test]
fn a_returning_node_takes_over_again_without_losing_a_connection() {
    for seed in 0..8 {
        let profile = Profile::FreeBsd1400;
        let mut pair = Pair::new(seed, profile);
        pair.begin(100);
        pair.talk(8, 5 * MS, [0, 0]);
        pair.run(20 * MS, MS);
        // Node 0 dies, node 1 serves, node 0 comes back empty, loads, and serves again.
        pair.nodes[0] = Node::new(settings(1, profile), 4096, pair.now);
        pair.nodes[0].next_id = 1_000_000;
        assert_eq!(pair.talk(8, 5 * MS, [1, 1]), 0);
        pair.nodes[0].importer.bulk.start(pair.now, false);
        pair.run(S, MS);
        assert!(pair.nodes[0].importer.bulk.is_ready());
        assert_eq!(pair.talk(8, 5 * MS, [0, 0]), 0);
        pair.run(2 * S, MS);
        assert_eq!(pair.talk(8, 5 * MS, [1, 1]), 0);
        pair.settle(1, 1);
    }
}

#[test]
fn a_state_that_ends_is_not_told_by_a_node_that_saw_none_of_its_traffic() {
    let mut pair = Pair::new(1, Profile::OpenBsd6);
    pair.begin(10);
    pair.talk(8, 5 * MS, [0, 0]);
    pair.run(2 * S, MS);
    // Node 1 hears nothing for two days, and its copies run out.
    pair.faults = Faults { lose: 1000, ..CLEAN };
    for _ in 0..2 * 864 {
        for n in 0..10 {
            let connection = &pair.connections[n];
            let facts = connection.probe(true);
            pair.nodes[0].forwards(connection, &facts, true);
        }
        pair.run(100 * S, 50 * S);
        pair.sweep();
    }
    pair.faults = CLEAN;
    assert_eq!(pair.nodes[1].table.len(), 0);
    pair.run(5 * S, 10 * MS);
    assert_eq!(pair.nodes[0].table.len(), 8, "eight of ten are TCP and alive");
    pair.settle(1, 0);
}

#[test]
fn a_link_that_cannot_keep_up_wedges_nothing() {
    let mut pair = Pair::new(3, Profile::OpenBsd6);
    let tight = SyncSettings { max_deletes: 8, max_requests: 4, ..settings(1, Profile::OpenBsd6) };
    pair.nodes[0] = Node::new(tight, 4096, pair.now);
    pair.begin(500);
    for round in 0..30 {
        for n in 0..pair.connections.len() {
            pair.step(n, [0, 0], round > 20);
        }
        // The host flushes one frame a round.
        let mut buffer = [0; 1500];
        pair.now += 5 * MS;
        let node = &mut pair.nodes[0];
        node.now = pair.now;
        let _ = node.exporter.flush(&mut node.table, &node.timeouts, node.now, &mut buffer);
    }
    for slot in pair.nodes[0].slots() {
        pair.nodes[0].remove(slot, pfplane::internals::sync::Removal::Ended);
    }
    assert!(pair.nodes[0].exporter.counters.deletes_lost > 0);
    pair.connections.clear();
    pair.settle(2, 0);
    assert_eq!(pair.nodes[1].table.len(), 0);
}
