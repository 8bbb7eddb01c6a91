//! Two nodes and a link. The simulator's plan `seal` adds restarts and an attacker.

use super::*;
use crate::memory::{Counted, Heap};
use crate::time::{NANOS_PER_SECOND, Nanos};
use arrayvec::ArrayVec;
use pfsync::{TAG_BYTES, TrailerFields};
use std::collections::HashSet;

const S: Nanos = NANOS_PER_SECOND;
const MS: Nanos = 1_000_000;
const LANES: usize = 2;

/// A frame on the link.
#[derive(Clone)]
struct Frame {
    from: u8,
    to: u8,
    /// A number that no other frame has.
    id: u64,
    fields: TrailerFields,
    hello: Option<SealHello>,
    echoes: ArrayVec<u64, 2>,
    tag: [u8; TAG_BYTES],
}

impl Frame {
    fn covered(&self) -> Vec<u8> {
        let hello = self.hello.map(|hello| hello.to_bytes());
        format!("{} {} {} {:?} {hello:?} {:?}", self.from, self.to, self.id, self.fields, self.echoes).into()
    }
}

/// A node with one peer.
struct Node {
    number: u8,
    shared: Counted<SealShared>,
    lanes: Vec<Sealer>,
    sequences: [u64; LANES],
    opener: Opener,
}

fn numbered(sequence: u64) -> TrailerFields {
    TrailerFields { sequence, ..TrailerFields::default() }
}

fn key(id: u8) -> SealKey {
    SealKey::new(id, &[id; 32]).unwrap()
}

fn keys(ids: &[u8]) -> SealKeys {
    let mut keys = SealKeys::default();
    ids.iter().for_each(|&id| keys.push(key(id)).unwrap());
    keys
}

fn shared(random: u64, creator: u32, mode: SealMode, ids: &[u8]) -> Counted<SealShared> {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&random.to_be_bytes());
    let peers = [(mode, keys(ids))].into_iter();
    let shared = SealShared::new((Some(seed), None, 1), creator, peers, Heap::SYSTEM).unwrap();
    Counted::new(Heap::SYSTEM, "seals", shared).unwrap()
}

impl Node {
    fn new(number: u8, random: u64, mode: SealMode, ids: &[u8], now: Nanos) -> Self {
        let shared = shared(random, number.into(), mode, ids);
        let sealer = |lane| Sealer::new(shared.clone(), lane, Heap::SYSTEM).unwrap();
        let lanes = (0..LANES as u8).map(sealer).collect();
        let mut opener = Opener::new(shared.clone(), Heap::SYSTEM).unwrap();
        opener.step(now);
        Self { number, shared, lanes, sequences: [0; LANES], opener }
    }

    fn seal(&mut self, lane: usize, id: u64, handshake: bool, now: Nanos) -> Frame {
        let sealer = &mut self.lanes[lane];
        let Handshake { hello, echoes, flags } = match handshake {
            true => sealer.handshake(0, now),
            false => Handshake { hello: None, echoes: ArrayVec::new(), flags: 0 },
        };
        self.sequences[lane] += 1;
        let fields = sealer.fields(0, numbered(self.sequences[lane]), now).unwrap();
        let fields = TrailerFields { flags, ..fields };
        let (from, to) = (self.number, 3 - self.number);
        let mut frame = Frame { from, to, id, fields, hello, echoes, tag: [0; TAG_BYTES] };
        frame.tag = sealer.seal(0, &fields, &frame.covered(), &mut []).unwrap();
        frame
    }

    fn open(&mut self, frame: &Frame, now: Nanos) -> Result<(), Refusal> {
        let covered = frame.covered();
        let Frame { fields, tag, hello, echoes, .. } = frame;
        let sealed = SealedFrame { fields: *fields, covered: &covered, tag, hello: *hello, echoes };
        self.opener.open(0, &sealed, &mut [], now)
    }

    /// Sends what is due of the handshake.
    fn handshakes(&mut self, ids: &mut u64, now: Nanos) -> Vec<Frame> {
        self.opener.step(now);
        let mut frames = Vec::new();
        for lane in 0..LANES {
            while self.lanes[lane].due(now).is_some() {
                *ids += 1;
                frames.push(self.seal(lane, *ids, true, now));
            }
        }
        frames
    }
}

/// Two nodes that exchange what is due. Returns how many data frames of every lane were refused.
fn run(nodes: &mut [Node; 2], ids: &mut u64, from: Nanos, until: Nanos) -> u64 {
    let (mut now, mut refused) = (from, 0);
    while now < until {
        for at in 0..2 {
            for frame in nodes[at].handshakes(ids, now) {
                let _ = nodes[1 - at].open(&frame, now);
            }
            for lane in 0..LANES {
                *ids += 1;
                let frame = nodes[at].seal(lane, *ids, false, now);
                refused += u64::from(nodes[1 - at].open(&frame, now).is_err());
            }
        }
        // Step by step while the handshake may run.
        now += if now < from + 50 * MS { MS } else { 25 * MS };
    }
    refused
}

fn pair(ids: [&[u8]; 2]) -> [Node; 2] {
    let node =
        |number: u8| Node::new(number, number.into(), SealMode::Require, ids[usize::from(number - 1)], 0);
    [node(1), node(2)]
}

#[test]
fn two_nodes_accept_each_others_frames_after_three_messages() {
    let mut nodes = pair([&[1], &[1]]);
    let refused = run(&mut nodes, &mut 0, 0, 10 * MS);
    assert!(refused <= 4, "{refused}");
    for node in &mut nodes {
        let status = node.shared.status(0).unwrap();
        assert!(status.is_proven && status.is_accepted, "{status:?}");
        assert_eq!((status.key_sent, status.key_received, status.peer_keys), (1, 1, [1, 0, 0, 0]));
        assert!(node.opener.take_established() && !node.opener.take_established());
    }
    assert_eq!(run(&mut nodes, &mut 1000, 10 * MS, 30 * S), 0);
}

#[test]
fn a_node_that_restarts_is_accepted_again_and_its_old_frames_never() {
    let (mut nodes, mut ids) = (pair([&[1], &[1]]), 0);
    run(&mut nodes, &mut ids, 0, S);
    let old: Vec<_> = (0..3).map(|n| nodes[0].seal(n % LANES, n as u64 + 1_000_000, false, S)).collect();
    nodes[0] = Node::new(1, 77, SealMode::Require, &[1], S);
    assert!(run(&mut nodes, &mut ids, S, S + 10 * MS) <= 4);
    assert_eq!(run(&mut nodes, &mut ids, S + 10 * MS, 20 * S), 0);
    for frame in &old {
        assert_eq!(nodes[1].open(frame, 20 * S), Err(Refusal::Unproven));
    }
    assert!(!nodes[1].opener.take_established() || !nodes[1].opener.take_established());
}

#[test]
fn every_refusal_has_its_cause() {
    let (mut nodes, mut ids) = (pair([&[1, 2], &[1]]), 0);
    run(&mut nodes, &mut ids, 0, S);
    let frame = nodes[0].seal(0, 1_000_000, false, S);
    let with = |change: &dyn Fn(&mut Frame)| {
        let mut changed = frame.clone();
        change(&mut changed);
        changed
    };
    let causes = [
        (with(&|frame| frame.tag[3] ^= 1), Refusal::Tag),
        (with(&|frame| frame.to = 9), Refusal::Tag),
        (with(&|frame| frame.echoes.push(5)), Refusal::Tag),
        (with(&|frame| frame.fields.sequence += 1), Refusal::Tag),
        (with(&|frame| frame.fields.clock += 1), Refusal::Tag),
        (with(&|frame| frame.fields.lane = 1), Refusal::Tag),
        (with(&|frame| frame.fields.key = 9), Refusal::Key),
        (with(&|frame| frame.fields.epoch += 1), Refusal::Unproven),
        (with(&|frame| frame.fields.sequence = 0), Refusal::Replayed),
        (with(&|frame| frame.fields.sequence = u64::MAX), Refusal::Replayed),
    ];
    for (changed, cause) in causes {
        assert_eq!(nodes[1].open(&changed, S), Err(cause), "{:?}", changed.fields);
    }
    assert_eq!(nodes[0].open(&frame, S), Err(Refusal::Looped), "reflected");
    assert_eq!(nodes[1].open(&frame, S), Ok(()));
    assert_eq!(nodes[1].open(&frame, S), Err(Refusal::Replayed));
    let mut twin = Node::new(2, 5, SealMode::Require, &[1], S);
    let mut hello = twin.seal(0, 1_000_001, true, S);
    hello.to = 2;
    hello.tag = Sealer::new(twin.shared.clone(), 0, Heap::SYSTEM)
        .map(|mut sealer| {
            sealer.fields(0, numbered(1), S);
            sealer.seal(0, &hello.fields, &hello.covered(), &mut []).unwrap()
        })
        .unwrap();
    assert_eq!(nodes[1].open(&hello, S), Err(Refusal::DuplicateId));
}

#[test]
fn frames_without_a_seal_are_judged_by_the_mode() {
    let opener = |mode| Node::new(2, 2, mode, &[1], 0);
    assert_eq!(opener(SealMode::Require).opener.accept_unsealed(0, S), Err(Refusal::Unsealed));
    assert_eq!(opener(SealMode::Off).opener.accept_unsealed(0, S), Ok(()));
    let mut nodes = pair([&[1], &[1]]);
    nodes[1] = opener(SealMode::Sign);
    assert_eq!(nodes[1].opener.accept_unsealed(0, 0), Ok(()));
    run(&mut nodes, &mut 0, 0, S);
    assert_eq!(nodes[1].opener.accept_unsealed(0, 1800 * S), Err(Refusal::Stripped));
    assert_eq!(nodes[1].opener.accept_unsealed(0, 3602 * S), Ok(()));
}

#[test]
fn keys_are_rotated_without_a_refused_frame() {
    let (mut nodes, mut ids) = (pair([&[1], &[1]]), 0);
    run(&mut nodes, &mut ids, 0, S);
    assert!(nodes[0].shared.remove_key(0, 1).is_err(), "the last one");
    nodes[0].shared.add_key(0, key(2)).unwrap();
    assert_eq!(run(&mut nodes, &mut ids, S, 4 * S), 0);
    assert_eq!(nodes[0].shared.status(0).unwrap().key_sent, 1, "the peer does not have it yet");
    let why = nodes[0].shared.remove_key(0, 1).unwrap_err().to_string();
    assert!(why.contains("still sends with this key"), "{why}");
    nodes[1].shared.add_key(0, key(2)).unwrap();
    assert_eq!(run(&mut nodes, &mut ids, 4 * S, 8 * S), 0);
    for node in &nodes {
        let status = node.shared.status(0).unwrap();
        assert_eq!((status.key_sent, status.key_received), (2, 2));
        node.shared.remove_key(0, 1).unwrap();
    }
    assert_eq!(run(&mut nodes, &mut ids, 8 * S, 12 * S), 0);
    assert_eq!(nodes[0].shared.status(0).unwrap().peer_keys, [2, 0, 0, 0]);
}

#[test]
fn a_node_that_starts_during_a_rotation_finds_the_common_key() {
    let (mut nodes, mut ids) = (pair([&[2, 1], &[1]]), 0);
    run(&mut nodes, &mut ids, 0, S);
    assert_eq!(run(&mut nodes, &mut ids, S, 5 * S), 0);
    assert_eq!(nodes[0].shared.status(0).unwrap().key_sent, 1);
}

#[test]
fn a_stream_that_proves_nothing_for_ten_seconds_is_refused_until_it_does() {
    let (mut nodes, mut ids) = (pair([&[1], &[1]]), 0);
    run(&mut nodes, &mut ids, 0, S);
    let [sender, receiver] = &mut nodes;
    let held: Vec<_> = (0..4).map(|n| sender.seal(1, 1_000_000 + n, false, S)).collect();
    assert_eq!(receiver.open(&held[0], 10 * S), Ok(()));
    assert_eq!(receiver.open(&held[1], 12 * S), Err(Refusal::Unproven), "held back by an attacker");
    assert!(run(&mut nodes, &mut ids, 12 * S, 13 * S) < 8);
    assert_eq!(run(&mut nodes, &mut ids, 13 * S, 20 * S), 0);
    assert_eq!(nodes[1].open(&held[2], 20 * S), Err(Refusal::Replayed));
}

#[test]
fn random_bits_are_needed_and_differ_between_runs() {
    let make = |system, seed, run| {
        let peers = [(SealMode::Sign, keys(&[1]))].into_iter();
        SealShared::new((system, seed, run), 1, peers, Heap::SYSTEM)
    };
    let why = make(None, None, 1).unwrap_err().to_string();
    assert!(why.contains("no random bits for the seal"), "{why}");
    let epoch = |system, seed, run| make(system, seed, run).unwrap().epoch();
    let (a, b) = (Some([1; 32]), Some([2; 32]));
    let epochs = [epoch(a, None, 1), epoch(None, a, 1), epoch(a, b, 1), epoch(a, b, 2), epoch(b, a, 1)];
    assert_eq!(epochs.iter().collect::<HashSet<_>>().len(), 5);
    let without_key = [(SealMode::Require, SealKeys::default())].into_iter();
    let why = SealShared::new((a, None, 1), 1, without_key, Heap::SYSTEM).unwrap_err().to_string();
    assert!(why.contains("needs at least one key"), "{why}");
    assert!(!format!("{:?}", make(a, b, 1)).contains("secret: ["));
}

#[test]
fn a_number_is_sealed_once() {
    let mut node = Node::new(1, 1, SealMode::Require, &[1], 0);
    let sealer = &mut node.lanes[0];
    let fields = sealer.fields(0, numbered(5), 0).unwrap();
    assert!(sealer.seal(0, &fields, b"one", &mut []).is_some());
    assert_eq!(sealer.seal(0, &fields, b"two", &mut []), None);
    assert_eq!(sealer.seal(0, &TrailerFields { sequence: 4, ..fields }, b"two", &mut []), None);
}
