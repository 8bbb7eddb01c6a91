//! Packets whose RSS hash covers other fields than their key reach their lane by one hand-off and stay there.

use crate::node::{Node, SECOND, info, lookup_all, view};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::{Action, BurstInfo, Packet as Given, PacketView, Verdict};
use pfplane::internals::packet::{Direction, Facts, Key, Link, parse};
use pfplane::internals::state::{Options, pf_flags};
use pfplane_testkit::Packet;

const LANES: u32 = 3;

/// Returns a packet with an empty destination options header between the IPv6 header and its payload.
fn with_extension_header(mut packet: Vec<u8>) -> Vec<u8> {
    let proto = core::mem::replace(&mut packet[6], 60);
    let length = u16::from_be_bytes([packet[4], packet[5]]) + 8;
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    packet.splice(40..40, [proto, 0, 1, 4, 0, 0, 0, 0]);
    packet
}

/// Both directions of connections that a NIC hashes by addresses only, whose ports it should have hashed too.
fn connections() -> impl Iterator<Item = [Vec<u8>; 2]> {
    (0..60).flat_map(|id| {
        let syn = |v6| Packet::syn(v6, id, id % 5, [id as u16 + 1024, 80]);
        let both = |packet: Packet, build: fn(&Packet) -> Vec<u8>| [build(&packet), build(&packet.syn_ack())];
        [
            both(syn(false), Packet::udp),
            both(syn(true), Packet::udp),
            both(syn(true), Packet::tcp).map(with_extension_header),
            both(Packet { ports: [id as u16 + 1024, 81], ..syn(true) }, Packet::udp)
                .map(with_extension_header),
        ]
    })
}

/// In which form packets are given to the lanes.
#[derive(Clone, Copy)]
enum Form {
    Bytes,
    Facts,
}

struct Nic<'a> {
    node: &'a mut Node,
    form: Form,
    mismatches: u64,
}

impl Nic<'_> {
    /// Returns the RSS hash of a NIC that reads the addresses only.
    fn hash(&self, facts: &Facts) -> u32 {
        self.node.engine.steering().hash_of(&Key { proto: 255, ..facts.key })
    }

    /// Delivers a packet to the lane of its hash, and hands it off as the verdicts say, at most once.
    fn deliver(&mut self, info: &BurstInfo, bytes: &[u8]) -> (usize, Verdict) {
        let facts = parse(bytes, bytes.len() as u32, Link::Ip, info.direction).unwrap();
        let hash = Some(self.hash(&facts));
        let steering = self.node.engine.steering();
        let owner = usize::from(steering.lane_of(&facts.key));
        let mut at = usize::from(steering.lane_of_hash(self.hash(&facts)));
        // Both lanes count: the one that hands the packet off, and its owner.
        self.mismatches += if at == owner { 0 } else { 2 };
        let given = match self.form {
            Form::Bytes => Given::Bytes(PacketView { hash, ..view(bytes) }),
            Form::Facts => Given::Facts { facts, hash },
        };
        for _ in 0..2 {
            let verdict = lookup_all(&mut self.node.lanes[at], info, [given])[0];
            match verdict.action {
                Action::HandOff => at = verdict.lane.into(),
                _ => return (at, verdict),
            }
        }
        panic!("handed off twice");
    }
}

fn check(form: Form, translated_per_lane: u32) {
    let mut node = Node::new(Config { lanes: LANES, translated_per_lane, ..Config::default() });
    let mut nic = Nic { node: &mut node, form, mismatches: 0 };
    let [near, far] = [Direction::In, Direction::Out]
        .map(|direction| BurstInfo { trust_hash: true, ..info(direction, SECOND) });
    for [request, reply] in connections() {
        let (owner, verdict) = nic.deliver(&near, &request);
        assert_eq!(verdict.action, Action::New);
        let options = Options { pf_flags: pf_flags::ALLOW_OPTIONS, ..Options::default() };
        // A lane that the hash leads to, but not the key, creates no state.
        let facts = parse(&request, request.len() as u32, Link::Ip, Direction::In).unwrap();
        let hash = Some(nic.hash(&facts));
        for (index, lane) in nic.node.lanes.iter_mut().enumerate() {
            let packet = PacketView { hash, ..view(&request) };
            let created = lane.create(&near, &packet, &options).action;
            assert_eq!(created, if index == owner { Action::Pass } else { Action::HandOff });
        }
        for (info, bytes) in [(&near, &request), (&far, &reply)] {
            let (at, verdict) = nic.deliver(info, bytes);
            assert_eq!((at, verdict.action), (owner, Action::Pass));
        }
    }
    // The calls that create states count mismatches too.
    let mismatches = nic.mismatches;
    assert!(mismatches > 100 && node.stat(2 * SECOND, "hash_mismatch") >= mismatches);
    assert_eq!(node.states(), connections().count());
}

#[test]
fn packets_hashed_by_addresses_only_are_handed_off_once() {
    for form in [Form::Bytes, Form::Facts] {
        for translated_per_lane in [0, u32::MAX] {
            check(form, translated_per_lane);
        }
    }
}

#[test]
fn a_right_hash_is_trusted_and_no_mismatch_is_counted() {
    let mut node = Node::new(Config { lanes: LANES, ..Config::default() });
    let info = BurstInfo { trust_hash: true, ..info(Direction::In, SECOND) };
    for [request, _] in connections() {
        let facts = parse(&request, request.len() as u32, Link::Ip, Direction::In).unwrap();
        let hash = node.engine.steering().hash_of(&facts.key);
        let owner = node.engine.steering().lane_of(&facts.key);
        let packet = Given::Bytes(PacketView { hash: Some(hash), ..view(&request) });
        for (index, lane) in node.lanes.iter_mut().enumerate() {
            let verdict = lookup_all(lane, &info, [packet])[0];
            let expected = if index == usize::from(owner) { Action::New } else { Action::HandOff };
            assert_eq!(verdict.action, expected);
        }
    }
    assert_eq!(node.stat(2 * SECOND, "hash_mismatch"), 0);
}
