//! A packet that arrives on any lane ends at the owner of its key, with the verdict of a single table.

use crate::node::{info, lookup_all, view};
use pfplane::internals::cpu::Steering;
use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{self, Action, BurstInfo, Lane, PacketView, Reason, Verdict};
use pfplane::internals::packet::{Direction, Facts, Kind, Link, parse};
use pfplane::internals::state::Options;
use pfplane::internals::time::Tick;
use pfplane_testkit::{NaiveTable, Packet, Random};
use std::collections::{HashMap, HashSet};

/// Capacity of a table that does not fit into the second-level cache: groups of packets overlap.
const LARGE: u32 = 20_000;

/// Capacity of a table that exceeds all caches: the stages are further apart.
const HUGE: u32 = 300_000;

fn lanes_of(count: u32, states: u32) -> Vec<Lane> {
    let config = Config { lanes: count, states_per_lane: states, ..Config::default() };
    Engine::new(config).expect("settings in range").1
}

fn lookup(lane: &mut Lane, info: &BurstInfo, packets: &[Vec<u8>]) -> Vec<Verdict> {
    lookup_all(lane, info, packets.iter().map(|packet| lane::Packet::Bytes(view(packet))))
}

#[test]
fn parsed_packets_get_the_verdicts_of_their_bytes() {
    for count in [1, 3] {
        let mut random = Random::new(count.into());
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
            let info = info(direction, step * 100_000_000);
            let facts: Vec<_> = packets
                .iter()
                .map(|packet| parse(packet, packet.len() as u32, Link::Ip, direction).unwrap())
                .collect();
            for at in 0..count as usize {
                let expected = lookup(&mut read[at], &info, &packets);
                let parsed = facts.iter().map(|&facts| lane::Packet::Facts { facts, hash: None });
                let verdicts = lookup_all(&mut given[at], &info, parsed);
                for (index, expected) in expected.iter().enumerate() {
                    assert_eq!(verdicts[index], *expected, "lanes {count} step {step} packet {index}");
                    *actions.entry(expected.action).or_insert(0) += 1;
                    if expected.action == Action::New && index % 2 == 0 {
                        let options = Options::default();
                        let made = read[at].create(&info, &view(&packets[index]), &options);
                        let by_facts = given[at].create_from_facts(&info, &facts[index], None, &options);
                        assert_eq!(by_facts, made, "lanes {count} step {step} packet {index}");
                    }
                }
                read[at].poll(info.now);
                given[at].poll(info.now);
            }
        }
        assert_eq!(actions.len(), if count == 1 { 3 } else { 4 }, "{actions:?}");
    }
}

/// Builds a packet of one of 150 connections, of any kind and at any point of its life, in the burst's direction.
fn any_packet(random: &mut Random, direction: Direction) -> Vec<u8> {
    let mut number = |below: u32| random.next_u32() % below;
    let id = number(150);
    let client = Packet::syn(id % 2 == 0, id, id % 7, [id as u16 + 1024, 80]);
    let server = client.syn_ack();
    let comes_in = direction == Direction::In;
    let (kind, size, by) = (number(16), number(1400) as usize, number(4));
    let near = if comes_in { client } else { server };
    let segment = match (comes_in, by) {
        (true, 0) => client.data(client.seq + 1 + number(3000), server.seq + 1, size),
        (true, _) => client.data(client.seq + 1, server.seq + 1, size / 8),
        (false, 0) => server.data(server.seq + 1 + number(3000), client.seq + 1, size),
        (false, _) => server.data(server.seq + 1, client.seq + 1, 0),
    };
    match kind {
        0..4 => near.tcp(),
        4..8 => segment.tcp(),
        8 => Packet { flags: 0x11, ..segment }.tcp(),
        9 => Packet { flags: 0x14, payload: 0, ..segment }.tcp(),
        10 => Packet { seq: near.seq.wrapping_add(0x4000_0000), ..segment }.tcp(),
        11 | 12 => Packet { payload: size, ..near }.udp(),
        13 => Packet { ports: client.ports, ..near }.echo(!comes_in),
        14 => near.ip(47, &[0; 20]),
        _ => {
            // An error about a packet of the other direction, from its receiver or from a router.
            let about = if comes_in { server } else { client };
            let about = if by < 2 { about.udp() } else { about.data(about.seq + 1, 0, 9).tcp() };
            near.unreachable(&about)
        }
    }
}

/// Returns a packet as a NIC delivers it, and its facts.
fn read<'a>(
    packet: &'a [u8],
    direction: Direction,
    steering: &Steering,
    noise: u64,
) -> (PacketView<'a>, Facts) {
    let facts = parse(packet, packet.len() as u32, Link::Ip, direction).unwrap();
    // The hash is used for TCP and UDP only.
    let is_used = matches!(facts.kind, Kind::Tcp | Kind::Udp);
    let hash = if is_used { steering.hash_of(&facts.key) } else { noise as u32 };
    let hash = (!packet.len().is_multiple_of(3)).then_some(hash);
    (PacketView { hash, ..view(packet) }, facts)
}

/// Looks up a burst on lane `at`, and the packets that are handed off on their lanes. Returns each packet's owner and
/// verdict.
fn lookup_on_owners(
    lanes: &mut [Lane],
    steering: &Steering,
    at: usize,
    info: &BurstInfo,
    views: &[(PacketView<'_>, Facts)],
) -> Vec<(usize, Verdict)> {
    let lookup = |lane: &mut Lane, indexes: &[usize]| {
        lookup_all(lane, info, indexes.iter().map(|index| lane::Packet::Bytes(views[*index].0)))
    };
    let all: Vec<_> = (0..views.len()).collect();
    let mut verdicts: Vec<_> =
        lookup(&mut lanes[at], &all).into_iter().map(|verdict| (at, verdict)).collect();
    for (owner, lane) in lanes.iter_mut().enumerate() {
        let of_owner = |index: &usize| usize::from(steering.lane_of(&views[*index].1.key)) == owner;
        let theirs: Vec<_> = all.iter().copied().filter(of_owner).collect();
        for &index in &theirs {
            let verdict = verdicts[index].1;
            let handed_off = verdict.action == Action::HandOff;
            assert_eq!(handed_off, owner != at, "packet {index} of {owner} on lane {at}: {verdict:?}");
            assert!(!handed_off || usize::from(verdict.lane) == owner, "handed off to the owner only");
        }
        if owner != at {
            let of_owner = lookup(lane, &theirs);
            theirs.iter().zip(of_owner).for_each(|(index, verdict)| verdicts[*index] = (owner, verdict));
        }
    }
    verdicts
}

#[test]
fn packets_on_random_lanes_reach_their_owner_and_get_the_verdicts_of_one_table() {
    // With the larger tables, several groups of a burst are in flight.
    let small = [1, 2, 3, 8].map(|lanes| (lanes, 4096, 48, 3000));
    let large = [(1, LARGE), (3, LARGE), (1, HUGE)].map(|(lanes, states)| (lanes, states, 256, 1500));
    for (count, states_per_lane, longest, steps) in small.into_iter().chain(large) {
        let mut random = Random::new(count.into());
        let config = Config { lanes: count, states_per_lane, ..Config::default() };
        let (engine, mut lanes) = Engine::new(config).expect("settings in range");
        let (mut naive, mut now) = (NaiveTable::default(), 0);
        let (mut seen_verdicts, mut owners) = (HashMap::new(), HashSet::new());
        for step in 0..steps {
            now += [1_000, 1_000_000, 40_000_000, 700_000_000][random.next_u32() as usize % 4];
            if step % 300 == 299 {
                now += 40_000_000_000;
            }
            let direction = if random.next_u32().is_multiple_of(2) { Direction::In } else { Direction::Out };
            let packets: Vec<_> =
                (0..1 + random.next_u32() % longest).map(|_| any_packet(&mut random, direction)).collect();
            let trust_hash = random.next_u32().is_multiple_of(2);
            let info = BurstInfo { trust_hash, ..info(direction, now) };
            let views: Vec<_> =
                packets.iter().map(|packet| read(packet, direction, engine.steering(), step)).collect();
            let at = random.next_u32() as usize % lanes.len();
            let given = lookup_on_owners(&mut lanes, engine.steering(), at, &info, &views);
            let tick = Tick::from_nanos(now);
            let expected: Vec<_> = views.iter().map(|(_, facts)| naive.lookup(facts, tick)).collect();
            for (index, ((owner, verdict), expected)) in given.iter().zip(&expected).enumerate() {
                let verdict = (verdict.action, verdict.reason, verdict.reverse);
                assert_eq!(verdict, *expected, "lanes {count} step {step} packet {index} on {owner}");
                *seen_verdicts.entry((verdict.0, verdict.1)).or_insert(0u32) += 1;
                owners.insert(*owner);
            }
            for (index, (owner, verdict)) in given.iter().enumerate() {
                if verdict.action == Action::New && index % 4 != 0 {
                    let (view, facts) = &views[index];
                    let made = lanes[*owner].create(&info, view, &Options::default());
                    let expected = naive.create(facts, tick);
                    let verdict = (made.action, made.reason, made.reverse);
                    assert_eq!(verdict, expected, "lanes {count} step {step} packet {index}: made");
                    if made.action == Action::Pass && random.next_u32().is_multiple_of(50) {
                        assert!(lanes[*owner].delete(made.slot, now));
                        naive.states.remove(&facts.key);
                    }
                }
            }
            lanes.iter_mut().for_each(|lane| lane.poll(now));
        }
        assert_eq!(owners.len(), count as usize, "every lane owns some packets");
        let seen = |action, reason| seen_verdicts.get(&(action, reason)).is_some_and(|times| *times > 20);
        let wanted = [
            (Action::Pass, Reason::None),
            (Action::New, Reason::None),
            (Action::Drop, Reason::Window),
            (Action::Drop, Reason::ChallengeAck),
            (Action::Drop, Reason::NoState),
        ];
        wanted.into_iter().for_each(|(action, reason)| assert!(seen(action, reason), "{seen_verdicts:?}"));
    }
}

#[test]
fn bursts_of_every_length_from_1_to_256_give_the_verdicts_of_single_packets() {
    let tables = [1024, LARGE, HUGE].into_iter().flat_map(|states| [(false, states), (true, states)]);
    for (v6, states) in tables {
        let mut lane = lanes_of(1, states).remove(0);
        let packets: Vec<_> = (0..256).map(|id| Packet::syn(v6, id, 1, [1000, 80]).udp()).collect();
        let info = info(Direction::In, 1);
        for packet in packets.iter().step_by(2) {
            assert_eq!(lane.create(&info, &view(packet), &Options::default()).action, Action::Pass);
        }
        for length in 1..=256 {
            let verdicts = lookup(&mut lane, &info, &packets[..length]);
            for (index, verdict) in verdicts.iter().enumerate() {
                let expected = if index % 2 == 0 { Action::Pass } else { Action::New };
                assert_eq!(verdict.action, expected, "length {length} index {index}");
            }
        }
    }
}

#[test]
fn a_full_table_refuses_a_new_state_and_keeps_the_others() {
    let mut lane = lanes_of(1, 100).remove(0);
    let info = info(Direction::In, 1);
    let packet = |id| Packet::syn(id % 2 == 0, id, 1, [1000, 80]).udp();
    for id in 0..100 {
        assert_eq!(lane.create(&info, &view(&packet(id)), &Options::default()).action, Action::Pass, "{id}");
    }
    let refused = lane.create(&info, &view(&packet(100)), &Options::default());
    assert_eq!((refused.action, refused.reason), (Action::Drop, Reason::TableFull));
    let packets: Vec<_> = (0..100).map(packet).collect();
    assert!(lookup(&mut lane, &info, &packets).iter().all(|verdict| verdict.action == Action::Pass));
}

#[test]
fn states_expire_early_while_the_table_is_nearly_full() {
    for (states, early) in [(90u32, true), (50, false)] {
        let config = Config { states_per_lane: 100, ..Config::default() };
        let (engine, mut lanes) = Engine::new(config).expect("settings in range");
        let lane = &mut lanes[0];
        let packet = |id| Packet::syn(id % 2 == 0, id, 1, [1000, 80]).udp();
        let at = |seconds: u64| info(Direction::In, seconds * 1_000_000_000);
        for id in 0..states {
            assert_eq!(
                lane.create(&at(1), &view(&packet(id)), &Options::default()).action,
                Action::Pass,
                "{id}"
            );
        }
        lane.poll(at(1).now);
        // A first datagram's 60 seconds are 30 at 90 of 100: from 60 to 120 in a hundred they go down to nothing.
        let verdicts = lookup(lane, &at(30), &[packet(0), packet(1)]);
        assert!(verdicts.iter().all(|verdict| verdict.action == Action::Pass));
        let expected = if early { Action::New } else { Action::Pass };
        let verdicts = lookup(lane, &at(32), &[packet(2), packet(3)]);
        assert!(verdicts.iter().all(|verdict| verdict.action == expected), "{states} states: {verdicts:?}");
        lane.poll(at(32).now);
        let stat = |name| engine.stat_named(name).expect("a statistic");
        assert_eq!(stat("states_expired_early") >= 2, early);
        assert_eq!(stat("states_expired"), stat("states_expired_early"));
        // A state whose own timeout is over does not count as early.
        let before = stat("states_expired_early");
        assert_eq!(lookup(lane, &at(100), &[packet(4)])[0].action, Action::New);
        lane.poll(at(100).now);
        assert!(stat("states_expired") > before && stat("states_expired_early") == before);
    }
}

#[test]
fn two_first_packets_in_one_burst_share_the_state() {
    let mut lane = lanes_of(1, 16).remove(0);
    let info = info(Direction::In, 1);
    let syn = Packet::syn(true, 1, 2, [5, 6]).tcp();
    let verdicts = lookup(&mut lane, &info, &[syn.clone(), syn.clone()]);
    assert!(verdicts.iter().all(|verdict| verdict.action == Action::New));
    let first = lane.create(&info, &view(&syn), &Options::default());
    let second = lane.create(&info, &view(&syn), &Options::default());
    assert_eq!((first.action, second.action), (Action::Pass, Action::Pass));
    assert_eq!(first.slot, second.slot);
}
