//! Two pfplane nodes and a link that loses frames.

use crate::memory::{Heap, Owned};
use crate::state::StateId;
use crate::sync::fixture::{Delivery, HOST, MS, Node, settings, state};
use crate::sync::{Arrival, Exporter, Importer, Numbers, PeerSettings, Removal, SyncSettings, WalkOrder};
use crate::table::Slot;
use pfsync::envelope::{Address, Envelope};
use pfsync::{FrameRange, FrameReader, Profile, StreamName, StreamOption, Trailer};
use std::collections::BTreeMap;

pub(super) const HERE: Address = Address::V4([192, 0, 2, 1]);
pub(super) const THERE: Address = Address::V4([192, 0, 2, 2]);

/// A node that receives too.
pub(super) struct Peer {
    pub node: Node,
    pub importer: Owned<Importer>,
}

impl Peer {
    pub(super) fn new(number: u32, own: Address, other: Address, change: impl Fn(&mut SyncSettings)) -> Self {
        let mut settings = SyncSettings { host_id: HOST + number, table_capacity: 4096, ..settings(&[]) };
        let peer = PeerSettings::new(Profile::FreeBsd1400, own, other);
        settings.peers.push(PeerSettings { extensions: true, ..peer });
        change(&mut settings);
        let importer = Importer::new(&settings, Heap::SYSTEM).unwrap();
        let mut node = Node::new(settings);
        node.exporter = Exporter::new(node.exporter.settings().try_clone().unwrap()).unwrap();
        node.exporter.set_numbers(Numbers::new(100 + u64::from(number), 0));
        Self { node, importer }
    }

    fn frames(&mut self) -> Vec<Vec<u8>> {
        let (mut buffer, mut frames) = ([0; 2000], Vec::new());
        while let Some(flushed) = self.node.flush_into(&mut buffer) {
            frames.push(buffer[..flushed.length].to_vec());
            assert!(frames.len() < 10_000);
        }
        frames
    }

    fn receive(&mut self, frame: &[u8]) {
        self.importer.receive(frame, Arrival::SyncPort, self.node.now, Delivery { node: &mut self.node });
    }

    fn poll(&mut self) {
        self.importer.step_streams(&mut self.node.exporter, false, self.node.now);
        self.node.exporter.step_taken(self.node.now);
    }

    pub(super) fn states(&self) -> BTreeMap<u64, [u8; 2]> {
        let table = &self.node.table;
        let next = |from| table.next_live_before(from, u32::MAX);
        let slots = std::iter::successors(next(0), |slot| next(slot.0 + 1));
        slots.map(|slot| (table.cold(slot).id.id, table.hot(slot).peer_state)).collect()
    }
}

fn trailer(frame: &[u8]) -> Trailer<'_> {
    FrameReader::new(&frame[Envelope::parse(frame).unwrap().payload]).unwrap().trailer().unwrap().unwrap()
}

/// Two nodes. Frames arrive a millisecond later, or never.
pub(super) struct Pair {
    pub peers: [Peer; 2],
    /// Frames in a thousand that are lost.
    pub loss: u32,
    random: u32,
    bytes: usize,
    /// More frames are lost.
    max_in_flight: usize,
    /// The second node's frames are lost.
    pub is_mute: bool,
    in_flight: [Vec<Vec<u8>>; 2],
}

impl Pair {
    pub(super) fn new(seed: u32) -> Self {
        Self::with(seed, |_| {})
    }

    /// Two nodes at these addresses.
    pub(super) fn between(addresses: [Address; 2]) -> Self {
        let mut pair = Self::new(1);
        let [here, there] = addresses;
        pair.peers = [Peer::new(0, here, there, |_| {}), Peer::new(1, there, here, |_| {})];
        pair.peers.iter_mut().for_each(|peer| peer.importer.bulk.skip());
        pair
    }

    fn with(seed: u32, change: impl Fn(&mut SyncSettings)) -> Self {
        let peers = [Peer::new(0, HERE, THERE, &change), Peer::new(1, THERE, HERE, &change)];
        let mut pair = Self {
            peers,
            loss: 0,
            random: seed | 1,
            bytes: 0,
            max_in_flight: usize::MAX,
            is_mute: false,
            in_flight: Default::default(),
        };
        // Both nodes hold all states of each other: none.
        pair.peers.iter_mut().for_each(|peer| peer.importer.bulk.skip());
        pair
    }

    fn draw(&mut self, below: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random % below
    }

    pub(super) fn step(&mut self) {
        for (peer, frames) in self.peers.iter_mut().zip(core::mem::take(&mut self.in_flight)) {
            peer.node.now += MS;
            frames.iter().for_each(|frame| peer.receive(frame));
            peer.poll();
        }
        for from in 0..2 {
            for frame in self.peers[from].frames() {
                self.bytes += frame.len();
                let is_lost = self.draw(1000) < self.loss
                    || self.is_mute && from == 1
                    || self.in_flight[1 - from].len() >= self.max_in_flight;
                if !is_lost {
                    self.in_flight[1 - from].push(frame);
                }
            }
        }
    }

    pub(super) fn run(&mut self, ms: u32) {
        (0..ms).for_each(|_| self.step());
    }

    /// Creates, changes and ends states here for some milliseconds.
    pub(super) fn churn(&mut self, ms: u32, live: &mut Vec<(u32, Slot)>, next: &mut u32) {
        for _ in 0..ms {
            for _ in 0..self.draw(6) {
                live.push((*next, self.peers[0].node.insert(*next)));
                *next += 1;
            }
            if !live.is_empty() && self.draw(2) == 0 {
                let (_, slot) = live[self.draw(live.len() as u32) as usize];
                self.peers[0].node.table.hot_mut(slot).peer_state = [9, 9];
                self.peers[0].node.update(slot);
            }
            while live.len() > 50 {
                let (_, slot) = live.swap_remove(self.draw(live.len() as u32) as usize);
                self.peers[0].node.remove(slot, Removal::Ended);
            }
            self.step();
        }
    }

    fn expect_equal(&self, why: &str) {
        assert_eq!(self.peers[0].states(), self.peers[1].states(), "{why}");
        for Peer { node, importer } in &self.peers {
            assert_eq!((importer.gaps_abandoned(), importer.unrepaired()), (0, 0), "{why}");
            assert!(!importer.has_old_gap(node.now), "{why}");
        }
    }

    fn ask(&mut self, first: u64, count: u32) {
        let stream = StreamName { epoch: 100, flow: 0, lane: 0 };
        let report = StreamOption::Lost { stream, frames: FrameRange { first, count } };
        let node = &mut self.peers[0].node;
        node.exporter.handle_report(&mut node.table, (0, 101), &report, node.now);
    }
}

#[test]
fn after_any_loss_both_tables_are_equal_within_two_quiet_seconds() {
    for seed in 1..=40 {
        let mut pair = Pair::new(seed * 7919);
        pair.loss = 10 + 5 * (seed % 40);
        let (mut live, mut next) = (Vec::new(), 0);
        pair.churn(400, &mut live, &mut next);
        pair.run(2000);
        assert_eq!(pair.peers[0].states(), pair.peers[1].states(), "seed {seed}");
        // The link lost frames until now, perhaps the last one, which is empty.
        pair.loss = 0;
        pair.run(1100);
        pair.expect_equal(&format!("seed {seed}"));
        assert!(pair.peers[1].importer.counters.frames_lost > 0, "seed {seed}");
    }
}

#[test]
fn what_a_dead_link_lost_is_repaired_within_a_second_of_its_return() {
    let mut pair = Pair::with(1, |settings| settings.table_capacity = 20_000);
    let (mut live, mut next) = (Vec::new(), 0);
    pair.churn(500, &mut live, &mut next);
    pair.loss = 1000;
    pair.churn(5000, &mut live, &mut next);
    pair.loss = 0;
    pair.run(1000);
    pair.expect_equal("after the return");
    let here = &pair.peers[0].node.exporter.counters;
    assert!(here.ids_repeated > 1000 && here.repairs_served > 0, "{here:?}");
}

#[test]
fn each_state_of_many_lost_frames_is_sent_once() {
    let mut pair = Pair::with(1, |settings| settings.update_age = MS);
    let slots: Vec<_> = (0..100).map(|n| pair.peers[0].node.insert(n)).collect();
    pair.run(100);
    pair.loss = 1000;
    for _ in 0..50 {
        slots[..20].iter().for_each(|&slot| pair.peers[0].node.update(slot));
        pair.run(3);
    }
    pair.loss = 0;
    pair.run(1200);
    pair.expect_equal("after the repair");
    assert_eq!(pair.peers[0].node.exporter.counters.states_repeated, 20);
}

#[test]
fn a_lost_whole_state_is_sent_again_though_a_compressed_update_followed() {
    let mut pair = Pair::with(1, |settings| settings.update_age = MS);
    let slot = pair.peers[0].node.insert(1);
    // The peer requests the state at the first update that arrives. The answer is lost, and the next one that arrives comes too
    // early for another request.
    for (loss, ms) in [(1000, 20), (0, 2), (1000, 20), (0, 500)] {
        pair.loss = loss;
        pair.peers[0].node.update(slot);
        pair.run(ms);
    }
    pair.expect_equal("after the repair");
}

#[test]
fn frames_too_old_for_the_memory_are_repaired_by_the_marks_and_the_peer_is_told_of_forgotten_deletes() {
    let mut pair = Pair::with(1, |settings| settings.table_capacity = 4000);
    let slots: Vec<_> = (0..3000).map(|n| pair.peers[0].node.insert(n)).collect();
    pair.run(50);
    pair.loss = 1000;
    pair.run(20);
    for n in 3000..3050 {
        pair.peers[0].node.insert(n);
    }
    for chunk in slots[..2500].chunks(100) {
        chunk.iter().for_each(|&slot| pair.peers[0].node.remove(slot, Removal::Ended));
        pair.run(10);
    }
    for n in 40..120 {
        let slots: Vec<_> = (0..100).map(|m| pair.peers[0].node.insert(100 * n + m)).collect();
        pair.run(11);
        slots.iter().for_each(|&slot| pair.peers[0].node.remove(slot, Removal::Ended));
        pair.run(11);
    }
    pair.loss = 0;
    pair.run(1500);
    let [here, there] = &pair.peers;
    let (here_states, there_states) = (here.states(), there.states());
    assert!(here_states.keys().all(|id| there_states.contains_key(id)), "no state is missing");
    let counters = &here.node.exporter.counters;
    assert!(counters.repairs_scanned > 0, "{counters:?}");
    let left_behind = there_states.len() - here_states.len();
    assert!(left_behind > 0 && left_behind <= 2500, "{left_behind} states whose deletes are forgotten");
    assert_eq!((counters.repairs_incomplete, there.importer.counters.gaps_incomplete), (1, 1));
}

#[test]
fn a_request_for_frames_that_were_never_sent_is_refused() {
    let mut pair = Pair::new(1);
    pair.peers[0].node.insert(1);
    pair.run(20);
    let sent = pair.peers[0].node.exporter.numbers_sent(0);
    let requests = [(0, 1), (sent + 1, 1), (1, u32::MAX), (u64::MAX, 1), (1, 0)];
    for (first, count) in requests {
        pair.ask(first, count);
    }
    assert_eq!(pair.peers[0].node.exporter.counters.repairs_refused, requests.len() as u64);
    (1..=20).for_each(|n| pair.ask(n % sent + 1, 1));
    pair.run(10);
    assert!(pair.peers[0].node.exporter.counters.repairs_served <= sent);
}

#[test]
fn repairs_of_a_whole_table_keep_a_pace_and_do_not_delay_other_messages() {
    let mut pair = Pair::with(1, |settings| settings.bulk_frames = 1);
    (0..2000).for_each(|n| _ = pair.peers[0].node.insert(n));
    pair.run(20);
    let sent = pair.peers[0].node.exporter.numbers_sent(0);
    // Frames that the peer has: the sender cannot know that.
    pair.ask(1, sent as u32);
    let urgent = pair.peers[0].node.insert(3000);
    let urgent = pair.peers[0].node.table.cold(urgent).id.id;
    for ms in 1..=12 {
        let before = pair.peers[0].node.exporter.numbers_sent(0);
        pair.step();
        let frames = pair.peers[0].node.exporter.numbers_sent(0) - before;
        assert!(frames <= 8 + 2, "{frames} in a millisecond");
        assert!(ms < 12 || pair.peers[1].states().contains_key(&urgent));
    }
    pair.run(200);
    assert_eq!(pair.peers[0].node.exporter.counters.states_repeated, 2000);
}

#[test]
fn a_node_that_loads_all_states_loses_none_on_a_bad_link_and_its_transfer_ends_complete() {
    for seed in 1..=10 {
        let mut pair = Pair::new(seed * 31);
        (0..3000).for_each(|n| _ = pair.peers[0].node.put(&state(n)));
        pair.loss = 100;
        let [here, there] = &mut pair.peers;
        let now = here.node.now;
        there.importer.bulk.start(now, true);
        assert!(there.importer.bulk.poll(now));
        here.node.exporter.begin_walk(&here.node.table, WalkOrder { peer: 0, generation: 1 });
        for _ in 0..2000 {
            pair.step();
            if pair.peers[0].node.exporter.take_finished_walk().is_some() {
                let now = pair.peers[0].node.now;
                pair.peers[0].node.exporter.bulk_end(0, now);
            }
            if pair.peers[1].importer.bulk.is_ready() {
                let missing = 3000 - pair.peers[1].states().len();
                assert_eq!(missing, 0, "seed {seed}: the end counts once nothing before it is missing");
            }
        }
        pair.expect_equal(&format!("seed {seed}"));
    }
}

/// Fills the first node, and returns the milliseconds that a bulk transfer takes.
fn transfer(pair: &mut Pair) -> u32 {
    (0..4000).for_each(|n| _ = pair.peers[0].node.put(&state(n)));
    let here = &mut pair.peers[0].node;
    here.exporter.begin_walk(&here.table, WalkOrder { peer: 0, generation: 1 });
    for ms in 1..1000 {
        pair.step();
        if pair.peers[0].node.exporter.take_finished_walk().is_some() {
            pair.run(300);
            return ms;
        }
    }
    panic!("it does not end");
}

#[test]
fn a_bulk_transfer_follows_the_reports_of_a_pfplane_node() {
    let mut pair = Pair::new(1);
    let ms = transfer(&mut pair);
    // 800 frames or more of five states, at 8 a millisecond 100 ms.
    assert!((10..50).contains(&ms), "{ms} ms");
    pair.expect_equal("after the transfer");
    assert_eq!(pair.peers[0].node.exporter.counters.states_repeated, 0);
}

#[test]
fn without_reports_a_bulk_transfer_keeps_the_fixed_pace() {
    let mut pair = Pair::new(1);
    pair.is_mute = true;
    let ms = transfer(&mut pair);
    assert!((95..200).contains(&ms), "{ms} ms");
    pair.expect_equal("after the transfer");
}

#[test]
fn a_window_loses_few_frames_where_the_link_holds_few() {
    let mut pair = Pair::new(1);
    pair.max_in_flight = 24;
    let ms = transfer(&mut pair);
    pair.run(1700);
    pair.expect_equal("after the transfer");
    let sent = pair.peers[0].node.exporter.numbers_sent(0);
    let lost = pair.peers[1].importer.counters.frames_lost;
    assert!(lost > 0 && lost < sent / 4, "{lost} of {sent} lost in {ms} ms");
}

#[test]
fn duplicates_and_late_frames_change_nothing() {
    let mut pair = Pair::new(1);
    let slot = pair.peers[0].node.insert(1);
    pair.run(9);
    let mut old = Vec::new();
    for _ in 0..4 {
        pair.step();
        old.extend(pair.in_flight[1].clone());
    }
    assert!(!old.is_empty());
    pair.peers[0].node.remove(slot, Removal::Ended);
    pair.run(50);
    assert!(pair.peers[1].states().is_empty());
    // Without a memory of ended states, a frame that is applied twice would bring the state back.
    pair.peers[1].node.exporter.ends = crate::sync::Ends::default();
    old.iter().for_each(|frame| pair.peers[1].receive(frame));
    pair.expect_equal("after the replay");
    assert_eq!(pair.peers[1].importer.counters.frames_late, old.len() as u64);
    assert_eq!(pair.peers[0].node.exporter.counters.repairs_asked, 0);
}

#[test]
fn a_quiet_node_shows_what_it_has_sent_with_ever_fewer_empty_frames() {
    let mut pair = Pair::new(1);
    pair.run(100);
    assert_eq!(pair.bytes, 0, "nothing was ever sent");
    pair.peers[0].node.insert(1);
    pair.run(11);
    let before = pair.peers[0].node.exporter.numbers_sent(0);
    let (mut beats, mut roots) = (Vec::new(), 0);
    for ms in 1..5000 {
        pair.step();
        // A frame with an option has a sum of what was sent, see `equality/`.
        let of_sums = pair.in_flight[1].iter().filter(|frame| trailer(frame).options().count() == 1).count();
        let empty = pair.in_flight[1].iter().filter(|frame| frame.len() <= 20 + 20 + 32).count();
        assert_eq!(of_sums + empty, pair.in_flight[1].len());
        roots += of_sums as u64;
        beats.extend((0..empty).map(|_| ms));
    }
    assert_eq!(beats[..7].iter().map(|ms| ms / 10).collect::<Vec<_>>(), [0, 2, 6, 14, 30, 62, 126]);
    assert!((9..=11).contains(&beats.len()), "then one each second: {beats:?}");
    assert_eq!(pair.peers[0].node.exporter.numbers_sent(0) - before, beats.len() as u64 + roots);
    assert_eq!(roots, 10, "two each second");
}

#[test]
fn acknowledgements_requests_and_bulk_marks_are_repeated_too() {
    let mut pair = Pair::new(1);
    pair.run(1);
    pair.loss = 1000;
    let here = &mut pair.peers[0].node;
    let slot = here.put(&state(7));
    here.exporter.acknowledge(&mut here.table, slot, here.now);
    here.exporter.request_state(0, StateId { id: 5, creator: 9 }, here.now);
    here.exporter.bulk_request();
    pair.run(5);
    pair.loss = 0;
    pair.run(100);
    let there = &pair.peers[1].importer.counters;
    assert_eq!((there.acks_received, there.requests_received, there.bulk_requests_received), (1, 1, 1));
    assert_eq!(pair.peers[0].node.exporter.counters.ids_repeated, 2);
}
