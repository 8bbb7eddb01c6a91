//! Whatever lane a packet comes in on, it ends at the one owner of its key, with the verdict of a single table.

mod support;

use pfplane::engine::{Config, Engine};
use pfplane::lane::{Action, Burst, Lane, PacketView, Verdict};
use pfplane::packet::{Direction, Link};
use pfplane::state::Options;
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::collections::HashMap;
use support::Packet;

fn lanes_of(count: u32, states: u32) -> Vec<Lane> {
    let config = Config { lanes: count, states_per_lane: states, ..Config::default() };
    Engine::new(config).expect("a plain configuration").1
}

fn burst(direction: Direction, now: u64) -> Burst {
    Burst { direction, link: Link::Ip, trust_hash: false, now }
}

fn view(packet: &[u8]) -> PacketView<'_> {
    PacketView { data: packet, packet_length: packet.len() as u32, hash: None }
}

fn ask(lane: &mut Lane, burst: &Burst, packets: &[Vec<u8>]) -> Vec<Verdict> {
    let mut verdicts = vec![None; packets.len()];
    lane.lookup(
        burst,
        packets.len(),
        |place| view(&packets[place]),
        |place, verdict| {
            assert!(verdicts[place].replace(verdict).is_none(), "one verdict a packet");
        },
    );
    verdicts.into_iter().map(|verdict| verdict.expect("a verdict for every packet")).collect()
}

#[test]
fn packets_that_the_host_has_read_get_the_verdicts_of_their_bytes() {
    for count in [1, 3] {
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[count as u8; 32]);
        let (mut read, mut given) = (lanes_of(count, 512), lanes_of(count, 512));
        let mut actions = HashMap::new();
        for step in 0..400u64 {
            let mut packets = Vec::new();
            let direction = if random.next_u32().is_multiple_of(2) { Direction::In } else { Direction::Out };
            for _ in 0..1 + random.next_u32() % 70 {
                let (id, kind) = (random.next_u32() % 60, random.next_u32() % 5);
                let syn = Packet::syn(id % 2 == 0, id, id % 7, [id as u16 + 1024, 80]);
                let near = if direction == Direction::In { syn } else { syn.syn_ack() };
                packets.push(match kind {
                    0 | 1 => near.tcp(),
                    2 => near.data(near.seq + 1, near.ack, 10).tcp(),
                    3 => near.udp(),
                    _ => near.echo(direction == Direction::Out),
                });
            }
            let burst = burst(direction, step * 100_000_000);
            let facts: Vec<_> = packets
                .iter()
                .map(|packet| {
                    pfplane::packet::parse(packet, packet.len() as u32, Link::Ip, direction).unwrap()
                })
                .collect();
            for at in 0..count as usize {
                let expected = ask(&mut read[at], &burst, &packets);
                let mut verdicts = vec![None; facts.len()];
                let backwards = |place: usize| (facts[place], None);
                given[at].lookup_facts(&burst, facts.len(), backwards, |place, verdict| {
                    assert!(verdicts[place].replace(verdict).is_none(), "one verdict a packet");
                });
                for (place, expected) in expected.iter().enumerate() {
                    assert_eq!(verdicts[place], Some(*expected), "lanes {count} step {step} packet {place}");
                    *actions.entry(expected.action).or_insert(0) += 1;
                    if expected.action == Action::New && place % 2 == 0 {
                        let options = Options::default();
                        let made = read[at].create(&burst, &view(&packets[place]), &options);
                        let likewise = given[at].create_from_facts(&burst, &facts[place], None, &options);
                        assert_eq!(likewise, made, "lanes {count} step {step} packet {place}");
                    }
                }
                read[at].poll(burst.now);
                given[at].poll(burst.now);
            }
        }
        assert_eq!(actions.len(), if count == 1 { 3 } else { 4 }, "{actions:?}");
    }
}

/// What one table without lanes knows of a connection.
#[derive(Default)]
struct Known {
    owner: Option<usize>,
    created: bool,
}

#[test]
fn every_packet_ends_at_the_one_owner_whatever_lane_it_came_in_on() {
    for count in [1, 2, 3, 8] {
        let seed = [count as u8; 32];
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut lanes = lanes_of(count, 4096);
        let mut oracle: HashMap<(bool, u32, u8), Known> = HashMap::new();
        for step in 0..6000u64 {
            let id = random.next_u32() % 500;
            let v6 = random.next_u32().is_multiple_of(2);
            let kind = (random.next_u32() % 3) as u8;
            let known = oracle.entry((v6, id, kind)).or_default();
            let reply = known.created && random.next_u32().is_multiple_of(2);
            let client = Packet { payload: 20, ..Packet::syn(v6, id, id % 7, [id as u16 + 1024, 80]) };
            let server = client.syn_ack();
            let (packet, direction) = match (kind, reply) {
                (0, false) => (Packet { payload: 0, ..client }.tcp(), Direction::In),
                (0, true) => (Packet { payload: 0, ..server }.tcp(), Direction::Out),
                (1, false) => (client.udp(), Direction::In),
                (1, true) => (server.udp(), Direction::Out),
                (_, false) => (client.echo(false), Direction::In),
                (_, true) => (Packet { ports: client.ports, ..server }.echo(true), Direction::Out),
            };
            let burst = burst(direction, step * 1_000_000);
            let packets = [packet];
            let first = random.next_u32() as usize % lanes.len();
            let mut at = first;
            let mut verdict = ask(&mut lanes[at], &burst, &packets)[0];
            if verdict.action == Action::HandOff {
                at = usize::from(verdict.lane);
                assert_ne!(at, first, "lanes {count} step {step}");
                verdict = ask(&mut lanes[at], &burst, &packets)[0];
            }
            assert_eq!(*known.owner.get_or_insert(at), at, "lanes {count} step {step}: one owner a key");
            let expected = if known.created { Action::Pass } else { Action::New };
            assert_eq!(verdict.action, expected, "lanes {count} step {step} kind {kind} reply {reply}");
            assert_eq!(verdict.reverse, reply, "lanes {count} step {step}");
            if verdict.action == Action::New {
                let made = lanes[at].create(&burst, &view(&packets[0]), &Options::default());
                assert_eq!(made.action, Action::Pass, "lanes {count} step {step}");
                known.created = true;
            }
        }
        if count > 1 {
            let mut owners: Vec<_> = oracle.values().filter_map(|known| known.owner).collect();
            owners.sort_unstable();
            owners.dedup();
            assert_eq!(owners.len(), count as usize, "every lane owns something");
        }
    }
}

#[test]
fn bursts_of_every_length_from_1_to_256_give_the_verdicts_of_single_packets() {
    for v6 in [false, true] {
        let mut lane = lanes_of(1, 1024).remove(0);
        let packets: Vec<_> = (0..256).map(|id| Packet::syn(v6, id, 1, [1000, 80]).udp()).collect();
        let burst = burst(Direction::In, 1);
        for packet in packets.iter().step_by(2) {
            assert_eq!(lane.create(&burst, &view(packet), &Options::default()).action, Action::Pass);
        }
        for length in 1..=256 {
            let verdicts = ask(&mut lane, &burst, &packets[..length]);
            for (place, verdict) in verdicts.iter().enumerate() {
                let expected = if place % 2 == 0 { Action::Pass } else { Action::New };
                assert_eq!(verdict.action, expected, "length {length} place {place}");
            }
        }
    }
}

#[test]
fn a_full_table_is_a_verdict_and_the_states_in_it_go_on() {
    let mut lane = lanes_of(1, 100).remove(0);
    let burst = burst(Direction::In, 1);
    let packet = |id| Packet::syn(id % 2 == 0, id, 1, [1000, 80]).udp();
    for id in 0..100 {
        assert_eq!(lane.create(&burst, &view(&packet(id)), &Options::default()).action, Action::Pass, "{id}");
    }
    let refused = lane.create(&burst, &view(&packet(100)), &Options::default());
    assert_eq!((refused.action, refused.reason), (Action::Drop, pfplane::lane::Reason::TableFull));
    let packets: Vec<_> = (0..100).map(packet).collect();
    assert!(ask(&mut lane, &burst, &packets).iter().all(|verdict| verdict.action == Action::Pass));
}

#[test]
fn two_first_packets_in_one_burst_share_the_state() {
    let mut lane = lanes_of(1, 16).remove(0);
    let burst = burst(Direction::In, 1);
    let syn = Packet::syn(true, 1, 2, [5, 6]).tcp();
    let verdicts = ask(&mut lane, &burst, &[syn.clone(), syn.clone()]);
    assert!(verdicts.iter().all(|verdict| verdict.action == Action::New));
    let first = lane.create(&burst, &view(&syn), &Options::default());
    let second = lane.create(&burst, &view(&syn), &Options::default());
    assert_eq!((first.action, second.action), (Action::Pass, Action::Pass));
    assert_eq!(first.slot, second.slot);
}
