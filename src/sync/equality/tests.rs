//! Nodes that create, change and end states, and a link that loses, doubles and reorders frames.

use super::Origin;
use crate::memory::{Heap, Memory, Owned};
use crate::state::{Hot, LocalFlags, Record, StateId};
use crate::sync::fixture::{Delivery, HOST, MS, Node, settings, state};
use crate::sync::{Arrival, Ends, Exporter, Ids, Importer, Numbers, PeerSettings, Removal, SyncSettings};
use crate::table::Slot;
use pfsync::Profile;
use pfsync::envelope::Address;
use std::collections::{BTreeMap, BTreeSet};

const CAPACITY: u32 = 8192;

fn address(node: usize) -> Address {
    Address::V4([192, 0, 2, node as u8 + 1])
}

/// A node that receives too.
struct Peer {
    node: Node,
    importer: Owned<Importer>,
    /// States that it created.
    own: Vec<StateId>,
}

/// Some nodes, each with all others as peers.
struct Cluster {
    peers: Vec<Peer>,
    random: u64,
    /// In a thousand frames.
    lost: u64,
    doubled: u64,
    late: u64,
    /// Milliseconds in which a frame arrives.
    delay: u64,
    /// The receiver, the sender, the frame and when it arrives, in milliseconds.
    in_flight: Vec<(usize, Vec<u8>, u64)>,
    ms: u64,
    next: u32,
    bytes: usize,
}

impl Cluster {
    fn new(nodes: usize, seed: u64, change: impl Fn(&mut SyncSettings)) -> Self {
        let peers = (0..nodes).map(|number| {
            let mut settings =
                SyncSettings { host_id: HOST + number as u32, table_capacity: CAPACITY, ..settings(&[]) };
            for other in (0..nodes).filter(|&other| other != number) {
                let profile = [Profile::FreeBsd1400, Profile::OpenBsd6][(number + other) % 2];
                let peer = PeerSettings::new(profile, address(number), address(other));
                settings.peers.push(PeerSettings { extensions: true, ..peer });
            }
            change(&mut settings);
            let mut importer = Importer::new(&settings, Heap::SYSTEM).unwrap();
            importer.bulk.skip();
            let ids = Ids::new(settings.host_id, 0, 1);
            let ends = Ends::new(&settings, ids, 1 << 16, 7, (&Memory::SYSTEM, -1)).unwrap();
            let mut exporter = Exporter::new(settings.try_clone().unwrap()).unwrap();
            exporter.ends = ends;
            exporter.set_numbers(Numbers::new(1000 * seed + number as u64 + 1, 0));
            let mut node = Node::new(settings);
            node.table = crate::sync::fixture::table(node.exporter.settings().table_capacity);
            node.exporter = exporter;
            Peer { node, importer, own: Vec::new() }
        });
        Self {
            peers: peers.collect(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            lost: 0,
            doubled: 0,
            late: 0,
            delay: 1,
            in_flight: Vec::new(),
            ms: 0,
            next: 0,
            bytes: 0,
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below
    }

    fn step(&mut self) {
        self.ms += 1;
        let now = self.ms * MS;
        let (due, later) =
            core::mem::take(&mut self.in_flight).into_iter().partition(|frame| frame.2 <= self.ms);
        self.in_flight = later;
        self.peers.iter_mut().for_each(|peer| peer.node.now = now);
        let due: Vec<_> = due;
        for (to, frame, _) in due {
            let Peer { node, importer, .. } = &mut self.peers[to];
            importer.receive(&frame, Arrival::SyncPort, now, Delivery { node });
        }
        for Peer { node, importer, .. } in &mut self.peers {
            importer.step_streams(&mut node.exporter, false, now);
            node.exporter.step_comparison(&mut node.table);
            importer.step_comparison(&mut node.exporter, |_| Some(0), now);
        }
        for from in 0..self.peers.len() {
            let mut buffer = [0; 1500];
            while let Some(flushed) = self.peers[from].node.flush_into(&mut buffer) {
                let to = usize::from(flushed.peer) + usize::from(usize::from(flushed.peer) >= from);
                let frame = buffer[..flushed.length].to_vec();
                self.bytes += frame.len();
                let delay = self.delay + if self.draw(1000) < self.late { self.draw(20) } else { 0 };
                if self.draw(1000) < self.doubled {
                    let at = self.ms + 1 + self.draw(10);
                    self.in_flight.push((to, frame.clone(), at));
                }
                if self.draw(1000) >= self.lost {
                    self.in_flight.push((to, frame, self.ms + delay));
                }
            }
        }
    }

    fn run(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step());
    }

    fn create(&mut self, at: usize) -> StateId {
        let mut record = state(self.next);
        self.next += 1;
        let Peer { node, own, .. } = &mut self.peers[at];
        record.cold.id.creator = HOST + at as u32;
        record.cold.creation = crate::time::Tick::from_nanos(node.now);
        record.hot.last_activity = record.cold.creation;
        let slot = node.put(&record);
        node.exporter.inserted(&mut node.table, slot, node.now);
        own.push(record.cold.id);
        record.cold.id
    }

    fn slot(&self, at: usize, id: StateId) -> Option<Slot> {
        self.peers[at].node.table.find_id(id)
    }

    /// Ends a state at a node; without a message if `why` is [`Removal::Replaced`].
    fn end(&mut self, at: usize, id: StateId, why: Removal) {
        if let Some(slot) = self.slot(at, id) {
            self.peers[at].node.remove(slot, why);
        }
    }

    /// Creates, changes and ends states everywhere for some milliseconds, at most `live` at each node.
    fn churn(&mut self, ms: u64, live: usize) {
        for _ in 0..ms {
            for at in 0..self.peers.len() {
                for _ in 0..self.draw(5) {
                    self.create(at);
                }
                self.change_one(at);
                while self.peers[at].own.len() > live {
                    let index = self.draw(self.peers[at].own.len() as u64) as usize;
                    let id = self.peers[at].own.swap_remove(index);
                    // One in four ends at another node, perhaps at both.
                    let other = self.draw(self.peers.len() as u64 * 4) as usize;
                    if other < self.peers.len() && self.slot(other, id).is_some() {
                        self.end(other, id, Removal::Ended);
                        if self.draw(2) == 0 {
                            self.end(at, id, Removal::Ended);
                        }
                    } else {
                        self.end(at, id, Removal::Ended);
                    }
                }
            }
            self.step();
        }
    }

    /// A packet of a state, at its creator or at another node.
    fn change_one(&mut self, creator: usize) {
        if self.peers[creator].own.is_empty() {
            return;
        }
        let index = self.draw(self.peers[creator].own.len() as u64) as usize;
        let id = self.peers[creator].own[index];
        let at = if self.draw(8) == 0 { self.draw(self.peers.len() as u64) as usize } else { creator };
        if let Some(slot) = self.slot(at, id) {
            let node = &mut self.peers[at].node;
            let hot = node.table.hot_mut(slot);
            hot.peer_state[0] = (hot.peer_state[0] + 1).min(9);
            hot.local.set(LocalFlags::LOCAL_TRAFFIC);
            node.update(slot);
        }
    }

    fn states(&self, at: usize) -> BTreeSet<(u32, u64)> {
        let table = &self.peers[at].node.table;
        let slots = std::iter::successors(table.next_live_before(0, u32::MAX), |slot| {
            table.next_live_before(slot.0 + 1, u32::MAX)
        });
        slots.map(|slot| (table.cold(slot).id.creator, table.cold(slot).id.id)).collect()
    }

    /// Differences that each node found for certain.
    fn certain(&self) -> Vec<(u64, u64)> {
        let counts = self.peers.iter().map(|peer| peer.importer.comparison_counts());
        counts.map(|counts| (counts.missing, counts.ghosts)).collect()
    }

    /// How long ago each node was last found equal to all others, in milliseconds.
    fn equal_since(&self) -> Vec<Option<u64>> {
        let now = self.ms * MS;
        let oldest = |peer: &Peer| {
            let others = 0..self.peers.len() as u8 - 1;
            let ages =
                others.map(|other| peer.importer.equality(other, now).equal_at.map(|at| (now - at) / MS));
            ages.collect::<Option<Vec<_>>>().and_then(|ages| ages.into_iter().max())
        };
        self.peers.iter().map(oldest).collect()
    }

    fn expect_same_states(&self, why: &str) {
        for at in 1..self.peers.len() {
            let (here, there) = (self.states(0), self.states(at));
            let only = |one: &BTreeSet<_>, other: &BTreeSet<_>| {
                one.difference(other).copied().take(5).collect::<Vec<_>>()
            };
            assert_eq!((only(&here, &there), only(&there, &here)), (vec![], vec![]), "{why}: 0 and {at}");
        }
    }

    /// As [`Self::expect_equal`], where the second node has sent no state, so that the first one has nothing to compare.
    fn expect_held_by_the_second(&self, why: &str) {
        self.expect_same_states(why);
        let age = self.equal_since()[1];
        assert!(age.is_some_and(|ms| ms <= 600), "{why}: it was last equal {age:?} ms ago");
    }

    fn expect_equal(&self, why: &str) {
        self.expect_same_states(why);
        for (at, age) in self.equal_since().into_iter().enumerate() {
            assert!(age.is_some_and(|ms| ms <= 600), "{why}: node {at} was last equal {age:?} ms ago");
        }
    }
}

/// How many seeds to try: `PFPLANE_SEEDS`, or a few.
fn seeds() -> u64 {
    std::env::var("PFPLANE_SEEDS").map_or(6, |seeds| seeds.parse().expect("PFPLANE_SEEDS is a number"))
}

#[test]
fn under_churn_and_faults_of_the_link_nothing_is_found_to_differ_that_does_not() {
    let mut skipped = BTreeMap::new();
    for seed in 1..=seeds() {
        let nodes = 2 + seed as usize % 2;
        let mut cluster = Cluster::new(nodes, seed, |_| {});
        (cluster.lost, cluster.doubled, cluster.late) = (seed % 5 * 10, seed % 3 * 10, seed % 7 * 5);
        cluster.churn(3000, 300);
        let why = format!("seed {seed}");
        assert_eq!(cluster.certain(), vec![(0, 0); nodes], "{why}");
        let ages = cluster.equal_since();
        for (at, age) in ages.iter().enumerate() {
            *skipped.entry(age.is_none_or(|ms| ms > 2000)).or_insert(0) += 1;
            assert!(age.is_some_and(|ms| ms <= 2000) || cluster.lost > 0, "{why}: node {at}, {age:?}");
        }
        (cluster.lost, cluster.doubled, cluster.late) = (0, 0, 0);
        cluster.run(2000);
        cluster.expect_equal(&why);
        assert_eq!(cluster.certain(), vec![(0, 0); nodes], "{why}");
    }
    println!("nodes without a recent comparison at the end of the churn: {skipped:?}");
}

#[test]
fn states_that_vanish_in_silence_are_found_and_mended_under_churn() {
    for seed in 1..=seeds() {
        let nodes = 2 + seed as usize % 2;
        let mut cluster = Cluster::new(nodes, seed + 500, |_| {});
        (cluster.lost, cluster.late) = (seed % 5 * 10, seed % 7 * 5);
        cluster.churn(500, 200);
        let (mut missing, mut ghosts) = (Vec::new(), Vec::new());
        for n in 0..20 {
            let at = n % nodes;
            // A state of another node is lost here; one of this node, which others hold, is forgotten.
            let other = (at + 1) % nodes;
            let fresh: Vec<_> = (0..2).map(|_| cluster.create(other)).collect();
            cluster.peers[other].own.retain(|id| !fresh.contains(id));
            cluster.run(60);
            cluster.end(at, fresh[0], Removal::Replaced);
            cluster.end(other, fresh[1], Removal::Replaced);
            missing.push((at, fresh[0]));
            ghosts.push(fresh[1]);
            cluster.churn(20, 200);
        }
        (cluster.lost, cluster.late) = (0, 0);
        cluster.run(2200);
        let why = format!("seed {seed}");
        cluster.expect_same_states(&why);
        cluster.run(1500);
        cluster.expect_equal(&why);
        for (at, id) in missing {
            assert!(cluster.slot(at, id).is_some(), "{why}: the state is back");
        }
        for id in ghosts {
            assert!((0..nodes).all(|at| cluster.slot(at, id).is_none()), "{why}: the ghost is gone");
        }
        let (found, _) = cluster.certain().iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        assert!(found >= 20, "{why}: {found}");
    }
}

#[test]
fn messages_that_the_link_swallows_cost_little_more_than_themselves() {
    // The whole measure: PFPLANE_STATES=1000000, in release.
    let states =
        std::env::var("PFPLANE_STATES").map_or(20_000, |n| n.parse().expect("PFPLANE_STATES is a number"));
    let swallowed = (states / 100).min(10_000);
    let mut cluster = Cluster::new(2, 1, |settings| settings.table_capacity = states + states / 50);
    for _ in 0..states.div_ceil(200) {
        (0..200).for_each(|_| _ = cluster.create(0));
        cluster.run(2);
    }
    cluster.run(1000);
    cluster.expect_held_by_the_second("before");
    // In turn: a change, an end, and a creation are lost, with what the link doubles and reorders.
    cluster.lost = 1000;
    for n in 0..swallowed {
        let index = cluster.draw(cluster.peers[0].own.len() as u64) as usize;
        match n % 3 {
            0 => _ = cluster.create(0),
            1 => {
                let id = cluster.peers[0].own.swap_remove(index);
                cluster.end(0, id, Removal::Ended);
            }
            _ => {
                let id = cluster.peers[0].own[index];
                let slot = cluster.slot(0, id).expect("it lives");
                let node = &mut cluster.peers[0].node;
                node.table.hot_mut(slot).peer_state = [9, 9];
                node.update(slot);
            }
        }
        if n % 100 == 99 {
            cluster.run(1);
        }
    }
    cluster.run(1100);
    (cluster.lost, cluster.doubled, cluster.late) = (0, 100, 100);
    let before = cluster.bytes;
    cluster.run(2000);
    cluster.expect_same_states("after");
    let record = Profile::OpenBsd6.state_bytes();
    let bytes = cluster.bytes - before;
    assert!(bytes <= 3 * swallowed as usize * record + (64 << 10), "{bytes} bytes for {swallowed} messages");
    assert_eq!(cluster.certain(), [(0, 0); 2]);
}

#[test]
fn a_node_that_restarts_is_compared_anew() {
    let mut cluster = Cluster::new(2, 3, |_| {});
    cluster.churn(600, 100);
    cluster.run(1000);
    cluster.expect_equal("at first");
    // The second node loses everything, and has another epoch. The first one tells it all again.
    let mut other = Cluster::new(2, 77, |_| {});
    other.peers[1].node.now = cluster.ms * MS;
    cluster.peers[1] = other.peers.pop().expect("two nodes");
    let Peer { node, own, .. } = &mut cluster.peers[0];
    own.retain(|id| node.table.find_id(*id).is_some());
    let Node { table, exporter, .. } = &mut cluster.peers[0].node;
    exporter.begin_walk(table, crate::sync::WalkOrder { peer: 0, generation: 1 });
    cluster.run(1500);
    cluster.expect_held_by_the_second("after the restart");
    assert_eq!(cluster.certain(), [(0, 0); 2]);
    cluster.churn(600, 100);
    cluster.run(1500);
    cluster.expect_equal("at last");
    assert_eq!(cluster.certain(), [(0, 0); 2]);
}

#[test]
fn what_is_in_flight_on_a_slow_link_is_no_difference() {
    let mut cluster = Cluster::new(2, 3, |_| {});
    cluster.delay = 250;
    cluster.churn(6000, 300);
    assert_eq!(cluster.certain(), [(0, 0); 2]);
    let sketches = cluster.peers.iter().map(|peer| peer.importer.comparison_counts().sketches);
    assert!(sketches.min() > Some(3), "the sums differed");
}

/// A peer says that it does not have a state. It must not end one that this node has for another reason, whatever the peer says.
#[test]
fn only_a_state_that_nothing_else_speaks_for_ends_with_its_sender() {
    const IMPORTED: LocalFlags = LocalFlags(LocalFlags::IMPORTED);
    const WITH_TRAFFIC: LocalFlags = LocalFlags(LocalFlags::IMPORTED | LocalFlags::LOCAL_TRAFFIC);
    const CREATED_HERE: LocalFlags = LocalFlags(0);
    let [first, second] = [0, 1].map(|source| Origin { source, lane: 0, generation: 0 });
    let cases: [(LocalFlags, &[Origin], bool); 5] = [
        (IMPORTED, &[first], true),
        (IMPORTED, &[], true),
        (IMPORTED, &[first, second], false),
        (WITH_TRAFFIC, &[first], false),
        (CREATED_HERE, &[first], false),
    ];
    for (local, senders, ends) in cases {
        let mut cluster = Cluster::new(3, 1, |_| {});
        let Node { table, exporter, now } = &mut cluster.peers[0].node;
        let mut record = state(1);
        record.hot.local = local;
        let slot = table.insert(&record).unwrap();
        senders.iter().for_each(|&origin| exporter.note_taken(table, origin, slot));
        let case = format!("{local:?}, sent by {}", senders.len());
        assert_eq!(exporter.handle_gone(table, first, record.cold.id, *now), ends, "{case}");
        assert_eq!(table.is_live(slot), !ends, "{case}");
    }
    // A peer that is not compared may be where the state came from.
    let mut cluster = Cluster::new(3, 1, |settings| settings.peers[1].extensions = false);
    let Node { table, exporter, now } = &mut cluster.peers[0].node;
    let record = Record { hot: Hot { local: IMPORTED, ..state(1).hot }, ..state(1) };
    let slot = table.insert(&record).unwrap();
    exporter.note_taken(table, first, slot);
    assert!(!exporter.handle_gone(table, first, record.cold.id, *now) && table.is_live(slot));
}
