//! Whatever lane a packet comes in on, it ends at the one owner of its key, with the verdict of a single table.

use pfplane::internals::cpu::Steering;
use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{self, Action, Burst, BurstInfo, Lane, PacketView, Reason, Verdict};
use pfplane::internals::packet::{Direction, Facts, Kind, Link, parse};
use pfplane::internals::state::Options;
use pfplane::internals::time::Tick;
use pfplane_testkit::NaiveTable;
use pfplane_testkit::Packet;
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::collections::{HashMap, HashSet};

/// States of a table that the caches do not hold.
const LARGE: u32 = 20_000;

fn lanes_of(count: u32, states: u32) -> Vec<Lane> {
    let config = Config { lanes: count, states_per_lane: states, ..Config::default() };
    Engine::new(config).expect("a plain configuration").1
}

fn burst(direction: Direction, now: u64) -> BurstInfo {
    BurstInfo { direction, link: Link::Ip, trust_hash: false, now }
}

fn view(packet: &[u8]) -> PacketView<'_> {
    PacketView { data: packet, packet_length: packet.len() as u32, hash: None }
}

/// A burst that wants one verdict a packet.
struct OneVerdictEach<'a> {
    packets: Vec<lane::Packet<'a>>,
    verdicts: Vec<Option<Verdict>>,
}

impl Burst for OneVerdictEach<'_> {
    fn count(&self) -> usize {
        self.packets.len()
    }

    fn packet(&self, index: usize) -> lane::Packet<'_> {
        self.packets[index]
    }

    fn verdict(&mut self, index: usize, verdict: Verdict) {
        assert!(self.verdicts[index].replace(verdict).is_none(), "one verdict a packet");
    }
}

fn ask_of(lane: &mut Lane, burst: &BurstInfo, packets: Vec<lane::Packet<'_>>) -> Vec<Verdict> {
    let verdicts = vec![None; packets.len()];
    let mut all = OneVerdictEach { packets, verdicts };
    lane.lookup_burst(burst, &mut all);
    all.verdicts.into_iter().map(|verdict| verdict.expect("a verdict for every packet")).collect()
}

fn ask(lane: &mut Lane, burst: &BurstInfo, packets: &[Vec<u8>]) -> Vec<Verdict> {
    ask_of(lane, burst, packets.iter().map(|packet| lane::Packet::Bytes(view(packet))).collect())
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
                .map(|packet| parse(packet, packet.len() as u32, Link::Ip, direction).unwrap())
                .collect();
            for at in 0..count as usize {
                let expected = ask(&mut read[at], &burst, &packets);
                let parsed = facts.iter().map(|&facts| lane::Packet::Facts { facts, hash: None }).collect();
                let verdicts = ask_of(&mut given[at], &burst, parsed);
                for (place, expected) in expected.iter().enumerate() {
                    assert_eq!(verdicts[place], *expected, "lanes {count} step {step} packet {place}");
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

/// A packet of one of a few hundred connections, of any kind and at any point of its life, the way that the burst goes.
fn any_packet(random: &mut TestRng, direction: Direction) -> Vec<u8> {
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
            // About what went the other way, from its receiver or from a host between.
            let about = if comes_in { server } else { client };
            let about = if by < 2 { about.udp() } else { about.data(about.seq + 1, 0, 9).tcp() };
            near.unreachable(&about)
        }
    }
}

/// What a card and the parser say of a packet.
fn read<'a>(
    packet: &'a [u8],
    direction: Direction,
    steering: &Steering,
    noise: u64,
) -> (PacketView<'a>, Facts) {
    let facts = parse(packet, packet.len() as u32, Link::Ip, direction).unwrap();
    // What a card says of other packets than TCP and UDP is not listened to.
    let counts = matches!(facts.kind, Kind::Tcp | Kind::Udp);
    let hash = if counts { steering.hash_of(&facts.key) } else { noise as u32 };
    let hash = (!packet.len().is_multiple_of(3)).then_some(hash);
    (PacketView { hash, ..view(packet) }, facts)
}

/// A burst that came in on lane `at`, and what is handed on from there, in their order. Each packet's owner and verdict.
fn ask_all(
    lanes: &mut [Lane],
    steering: &Steering,
    at: usize,
    burst: &BurstInfo,
    views: &[(PacketView<'_>, Facts)],
) -> Vec<(usize, Verdict)> {
    let ask = |lane: &mut Lane, places: &[usize]| {
        ask_of(lane, burst, places.iter().map(|place| lane::Packet::Bytes(views[*place].0)).collect())
    };
    let all: Vec<_> = (0..views.len()).collect();
    let mut said: Vec<_> = ask(&mut lanes[at], &all).into_iter().map(|verdict| (at, verdict)).collect();
    for (owner, lane) in lanes.iter_mut().enumerate() {
        let of_owner = |place: &usize| usize::from(steering.lane_of(&views[*place].1.key)) == owner;
        let theirs: Vec<_> = all.iter().copied().filter(of_owner).collect();
        for &place in &theirs {
            let verdict = said[place].1;
            let handed_off = verdict.action == Action::HandOff;
            assert_eq!(handed_off, owner != at, "packet {place} of {owner} on lane {at}: {verdict:?}");
            assert!(!handed_off || usize::from(verdict.lane) == owner, "to nobody but the owner");
        }
        if owner != at {
            let verdicts = ask(lane, &theirs);
            theirs.iter().zip(verdicts).for_each(|(place, verdict)| said[*place] = (owner, verdict));
        }
    }
    said
}

#[test]
fn random_packets_on_random_lanes_end_at_their_one_owner_with_the_verdicts_of_one_naive_table() {
    // The larger tables are searched with several chunks of a burst under way.
    let small = [1, 2, 3, 8].map(|lanes| (lanes, 4096, 48, 3000));
    let large = [1, 3].map(|lanes| (lanes, LARGE, 256, 1500));
    for (count, states_per_lane, longest, steps) in small.into_iter().chain(large) {
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[count as u8; 32]);
        let config = Config { lanes: count, states_per_lane, ..Config::default() };
        let (engine, mut lanes) = Engine::new(config).expect("a plain configuration");
        let (mut naive, mut now) = (NaiveTable::default(), 0);
        let (mut said_so, mut owners) = (HashMap::new(), HashSet::new());
        for step in 0..steps {
            now += [1_000, 1_000_000, 40_000_000, 700_000_000][random.next_u32() as usize % 4];
            if step % 300 == 299 {
                now += 40_000_000_000;
            }
            let direction = if random.next_u32().is_multiple_of(2) { Direction::In } else { Direction::Out };
            let packets: Vec<_> =
                (0..1 + random.next_u32() % longest).map(|_| any_packet(&mut random, direction)).collect();
            let trust_hash = random.next_u32().is_multiple_of(2);
            let burst = BurstInfo { trust_hash, ..burst(direction, now) };
            let views: Vec<_> =
                packets.iter().map(|packet| read(packet, direction, engine.steering(), step)).collect();
            let at = random.next_u32() as usize % lanes.len();
            let given = ask_all(&mut lanes, engine.steering(), at, &burst, &views);
            let tick = Tick::from_nanos(now);
            let expected: Vec<_> = views.iter().map(|(_, facts)| naive.lookup(facts, tick)).collect();
            for (place, ((owner, verdict), expected)) in given.iter().zip(&expected).enumerate() {
                let told = (verdict.action, verdict.reason, verdict.reverse);
                assert_eq!(told, *expected, "lanes {count} step {step} packet {place} on {owner}");
                *said_so.entry((told.0, told.1)).or_insert(0u32) += 1;
                owners.insert(*owner);
            }
            for (place, (owner, verdict)) in given.iter().enumerate() {
                if verdict.action == Action::New && place % 4 != 0 {
                    let (view, facts) = &views[place];
                    let made = lanes[*owner].create(&burst, view, &Options::default());
                    let expected = naive.create(facts, tick);
                    let told = (made.action, made.reason, made.reverse);
                    assert_eq!(told, expected, "lanes {count} step {step} packet {place}: made");
                    if made.action == Action::Pass && random.next_u32().is_multiple_of(50) {
                        assert!(lanes[*owner].delete(made.slot, now));
                        naive.states.remove(&facts.key);
                    }
                }
            }
            lanes.iter_mut().for_each(|lane| lane.poll(now));
        }
        assert_eq!(owners.len(), count as usize, "every lane owns something");
        let seen = |action, reason| said_so.get(&(action, reason)).is_some_and(|times| *times > 20);
        let wanted = [
            (Action::Pass, Reason::None),
            (Action::New, Reason::None),
            (Action::Drop, Reason::Window),
            (Action::Drop, Reason::ChallengeAck),
            (Action::Drop, Reason::NoState),
        ];
        wanted.into_iter().for_each(|(action, reason)| assert!(seen(action, reason), "{said_so:?}"));
    }
}

#[test]
fn bursts_of_every_length_from_1_to_256_give_the_verdicts_of_single_packets() {
    for (v6, states) in [(false, 1024), (true, 1024), (false, LARGE), (true, LARGE)] {
        let mut lane = lanes_of(1, states).remove(0);
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
    assert_eq!((refused.action, refused.reason), (Action::Drop, Reason::TableFull));
    let packets: Vec<_> = (0..100).map(packet).collect();
    assert!(ask(&mut lane, &burst, &packets).iter().all(|verdict| verdict.action == Action::Pass));
}

#[test]
fn states_end_early_while_there_are_many_and_that_is_counted() {
    for (states, early) in [(90u32, true), (50, false)] {
        let config = Config { states_per_lane: 100, ..Config::default() };
        let (engine, mut lanes) = Engine::new(config).expect("a plain configuration");
        let lane = &mut lanes[0];
        let packet = |id| Packet::syn(id % 2 == 0, id, 1, [1000, 80]).udp();
        let at = |seconds: u64| burst(Direction::In, seconds * 1_000_000_000);
        for id in 0..states {
            assert_eq!(
                lane.create(&at(1), &view(&packet(id)), &Options::default()).action,
                Action::Pass,
                "{id}"
            );
        }
        lane.poll(at(1).now);
        // A first datagram's 60 seconds are 30 at 90 of 100: from 60 to 120 in a hundred they go down to nothing.
        let verdicts = ask(lane, &at(30), &[packet(0), packet(1)]);
        assert!(verdicts.iter().all(|verdict| verdict.action == Action::Pass));
        let expected = if early { Action::New } else { Action::Pass };
        let verdicts = ask(lane, &at(32), &[packet(2), packet(3)]);
        assert!(verdicts.iter().all(|verdict| verdict.action == expected), "{states} states: {verdicts:?}");
        lane.poll(at(32).now);
        let stat = |name| engine.stat_named(name).expect("a statistic");
        assert_eq!(stat("expired_early") >= 2, early);
        assert_eq!(stat("expired"), stat("expired_early"));
        // At its own time a state ends as ever.
        let before = stat("expired_early");
        assert_eq!(ask(lane, &at(100), &[packet(4)])[0].action, Action::New);
        lane.poll(at(100).now);
        assert!(stat("expired") > before && stat("expired_early") == before);
    }
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
