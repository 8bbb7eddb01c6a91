//! Two nodes on a wire that loses, duplicates, delays and reorders frames: they must become equal, and the remaining one
//! must continue every connection. A failing test prints its seed.

use crate::node::traffic::{Connection, Phase};
use crate::node::{MS, Node, S, settings};
use pfplane::internals::state::StateId;
use pfplane::internals::sync::{Arrival, Ids, Phase as BulkPhase, SyncSettings};
use pfplane_testkit::Random;
use pfsync::Profile;
use std::collections::BTreeMap;

/// Faults of the wire, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    loss: u64,
    duplicate: u64,
    delay_ms: u64,
}

const CLEAN: Faults = Faults { loss: 0, duplicate: 0, delay_ms: 0 };
const BAD: Faults = Faults { loss: 250, duplicate: 100, delay_ms: 30 };

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
    /// The frame that is lost, counted from 1 on.
    lost: u64,
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
            lost: 0,
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
            if self.random.chance(self.faults.loss) || self.frames == self.lost {
                continue;
            }
            let copies = 1 + u64::from(self.random.chance(self.faults.duplicate));
            for _ in 0..copies {
                let delay = self.random.below(self.faults.delay_ms + 1) * MS;
                self.wire.push((self.now + delay, 1 - from, packet.clone()));
            }
        }
    }

    /// Runs both nodes for `time` in steps of `step`.
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

    /// Sends a packet of a connection through the node of its direction in `path`.
    fn step(&mut self, n: usize, path: [usize; 2], closing: bool) -> bool {
        let connection = &mut self.connections[n];
        let (facts, forward) = connection.next_packet(closing);
        let passes = self.nodes[path[usize::from(!forward)]].forwards(connection, &facts, forward);
        if passes {
            connection.delivered(&facts, forward);
        } else if connection.phase == Phase::SynAck {
            let syn = connection.repeated_syn();
            self.nodes[path[0]].forwards(connection, &syn, true);
        }
        passes
    }

    /// Sends a packet of every connection in each of `rounds` rounds of length `pause`. Returns how many were refused.
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

    /// Returns what both nodes must agree on.
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

    /// Keeps live connections alive while dead states expire, then checks that both nodes are equal and send nothing.
    fn settle(&mut self, days: u32, keeper: usize) {
        self.faults = CLEAN;
        for round in 0..days * 864 {
            for n in 0..self.connections.len() {
                let connection = &self.connections[n];
                if connection.is_tcp && connection.phase == Phase::Data {
                    let facts = connection.keepalive(round % 2 == 0);
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
        assert_eq!(self.frames, frames, "a node still sends frames");
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
fn two_nodes_on_an_impaired_wire_become_equal() {
    for seed in 0..12 {
        let profile = Profile::ALL[seed as usize % 4];
        let mut pair = noisy(seed, profile, [0, 0]);
        pair.settle(2, 0);
        let live =
            pair.connections.iter().filter(|connection| connection.is_tcp && connection.phase == Phase::Data);
        let live = live.count() as u32;
        assert!(live > 10, "there is enough traffic for the test");
        assert_eq!(pair.nodes[1].table.len(), live);
    }
}

#[test]
fn the_remaining_node_continues_every_connection() {
    for seed in 0..12 {
        let mut pair = Pair::new(seed, Profile::ALL[seed as usize % 4]);
        pair.begin(200);
        pair.talk(12, 7 * MS, [0, 0]);
        pair.run(20 * MS, MS);
        // Node 0 is gone. The connections are up to a second ahead of node 1's view.
        let refused = pair.talk(20, 3 * MS, [1, 1]);
        assert_eq!(refused, 0);
    }
}

#[test]
fn no_connection_stalls_with_each_direction_through_another_node() {
    for seed in 0..6 {
        let mut pair = Pair::new(seed, Profile::OpenBsd6);
        pair.faults = Faults { loss: 50, duplicate: 50, delay_ms: 3 };
        pair.begin(50);
        // Two updates of a connection whose insert was lost.
        pair.talk(120, 20 * MS, [0, 1]);
        for connection in &pair.connections {
            assert!(!connection.is_tcp || connection.phase == Phase::Data, "{connection:?}");
        }
        // Whole seconds without loss.
        pair.faults = CLEAN;
        pair.run(3 * S, MS);
        assert_eq!(pair.talk(20, 50 * MS, [0, 1]), 0);
    }
}

#[test]
fn a_node_that_returns_empty_receives_every_state_and_takes_over() {
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
fn a_bulk_transfer_on_an_impaired_wire_ends_and_traffic_repairs_its_losses() {
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
        // Node 0 fails, node 1 takes over, node 0 returns empty, loads, and takes over again.
        pair.nodes[0] = Node::new(settings(1, profile), 4096, pair.now);
        pair.nodes[0].exporter.ends.ids = Ids::new(pair.nodes[0].exporter.settings().host_id, 0, 1_000_000);
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
fn a_node_without_traffic_of_a_state_sends_no_delete_when_it_expires() {
    let mut pair = Pair::new(1, Profile::OpenBsd6);
    pair.begin(10);
    pair.talk(8, 5 * MS, [0, 0]);
    pair.run(2 * S, MS);
    // Node 1 receives nothing for two days, and its copies expire.
    pair.faults = Faults { loss: 1000, ..CLEAN };
    for _ in 0..2 * 864 {
        for n in 0..10 {
            let connection = &pair.connections[n];
            let facts = connection.keepalive(true);
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
fn a_link_that_is_too_slow_blocks_nothing() {
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

/// Connections that are opened and then idle, with what is sent of a state repeated up to `repeat_age`. Returns how many the
/// peer does not know as they are, the whole and the compressed messages sent, and the frames.
fn idle_connections(
    seed: u64,
    count: u32,
    repeat_age: u64,
    faults: impl FnOnce(&mut Pair),
) -> (usize, u64, u64, u64) {
    let mut pair = Pair::new(seed, Profile::OpenBsd6);
    for (n, node) in (1..).zip(&mut pair.nodes) {
        *node = Node::new(SyncSettings { repeat_age, ..settings(n, Profile::OpenBsd6) }, 4096, pair.now);
    }
    faults(&mut pair);
    for _ in 0..20 {
        pair.begin(count / 20);
        assert_eq!(pair.talk(1, 5 * MS, [0, 0]), 0);
    }
    assert_eq!(pair.talk(3, 5 * MS, [0, 0]), 0);
    pair.run(20 * S, MS);
    let [ours, theirs] = pair.views();
    let unknown = ours.iter().filter(|(id, view)| theirs.get(id) != Some(view)).count();
    let sent = &pair.nodes[0].exporter.counters;
    (unknown, sent.inserts_sent + sent.updates_sent, sent.compressed_sent, pair.frames)
}

#[test]
fn no_single_lost_frame_leaves_a_peer_with_an_old_view_of_a_connection() {
    let unknown_after = |repeat_age, lost| idle_connections(1, 40, repeat_age, |pair| pair.lost = lost).0;
    let frames = |repeat_age| idle_connections(1, 40, repeat_age, |_| {}).3;
    let all = frames(10 * S);
    for lost in (1..=20).chain(all - 20..=all) {
        assert_eq!(unknown_after(10 * S, lost), 0, "frame {lost} of {all}");
    }
    let all = frames(0);
    let without = (all - 10..=all).map(|lost| unknown_after(0, lost));
    assert!(without.sum::<usize>() > 0, "without repeats some frame matters");
}

#[test]
fn idle_connections_survive_a_lossy_wire_by_one_more_record_each() {
    let lossy = |pair: &mut Pair| pair.faults = Faults { loss: 50, ..CLEAN };
    let (before, whole, compressed, _) = idle_connections(7, 3000, 0, lossy);
    let (after, whole_after, compressed_after, _) = idle_connections(7, 3000, 10 * S, lossy);
    println!(
        "{before} to {after} of 3000; {whole} to {whole_after} whole, {compressed} to {compressed_after} compressed"
    );
    assert!(before >= 30 && after * 5 <= before, "{before} {after}");
    assert!(compressed_after <= compressed + 3200 && whole_after <= whole + 100);
}
