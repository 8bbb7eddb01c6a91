//! Routing domains: connections with equal addresses and ports in two of them are two connections.

use crate::nat_world::packet::{Carried, Packet, read};
use crate::nat_world::{address, plain};
use crate::node::{MS, Node, RewrittenPacket, SECOND, exchange, info, replicating, view};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::{Action, BurstInfo, Reason, StateFilter, Verdict};
use pfplane::internals::packet::Direction;
use pfplane::internals::state::{Nat, Options, PortRange};
use pfplane::internals::table::Slot;
use pfsync::Profile;

/// Two routing domains, the default one among them.
const RDOMAINS: [u16; 2] = [0, 7];

fn inside(rdomain: u16, direction: Direction, now: u64) -> BurstInfo {
    BurstInfo { rdomain, ..info(direction, now) }
}

fn node() -> Node {
    Node::new(Config { states_per_lane: 100, ..Config::default() })
}

fn syn(v6: bool) -> Packet {
    let carried = Carried::Tcp { seq: 1000, ack: 0, syn: true, sack: None, odd: false };
    Packet { payload: Vec::new(), ..plain(carried, v6, ends(v6), [4000, 443]) }
}

/// Client and server.
fn ends(v6: bool) -> [[u8; 16]; 2] {
    [address(v6, 1, 5), address(v6, 2, 6)]
}

fn reply(packet: &Packet, carried: Carried) -> Packet {
    let ([source, destination], [from, to]) = (packet.addresses, packet.ports);
    let ports = if matches!(carried, Carried::Echo { .. }) { packet.ports } else { [to, from] };
    Packet { addresses: [destination, source], ports, carried, ..packet.clone() }
}

/// First packets and their replies, of each kind.
fn kinds(v6: bool) -> [(Packet, Packet); 3] {
    let udp = plain(Carried::Udp, v6, ends(v6), [4000, 53]);
    let echo = plain(Carried::Echo { reply: false }, v6, ends(v6), [77, 0]);
    let syn_ack = Carried::Tcp { seq: 5000, ack: 1001, syn: true, sack: None, odd: false };
    [
        (syn(v6), reply(&syn(v6), syn_ack)),
        (udp.clone(), reply(&udp, Carried::Udp)),
        (echo.clone(), reply(&echo, Carried::Echo { reply: true })),
    ]
}

fn look_up(node: &mut Node, rdomain: u16, direction: Direction, packet: &Packet) -> Verdict {
    node.lanes[0].lookup(&inside(rdomain, direction, MS), &view(&packet.build()))
}

fn create(node: &mut Node, rdomain: u16, packet: &Packet, options: &Options) -> Verdict {
    node.lanes[0].create(&inside(rdomain, Direction::In, MS), &view(&packet.build()), options)
}

#[test]
fn the_same_addresses_and_ports_in_two_routing_domains_are_two_states() {
    for v6 in [false, true] {
        for (first, answer) in kinds(v6) {
            let mut node = node();
            let slots = RDOMAINS.map(|rdomain| {
                let verdict = look_up(&mut node, rdomain, Direction::In, &first);
                assert_eq!(verdict.action, Action::New, "{rdomain}");
                create(&mut node, rdomain, &first, &Options::default()).slot
            });
            assert_ne!(slots[0], slots[1]);
            assert_eq!(node.states(), 2);
            for (rdomain, slot) in RDOMAINS.into_iter().zip(slots) {
                let back = look_up(&mut node, rdomain, Direction::Out, &answer);
                assert_eq!((back.action, back.slot), (Action::Pass, slot), "{first:?}");
                let key = node.lanes[0].state_at(slot, MS).expect("a state").hot.key;
                assert_eq!(key.rdomain, rdomain);
                // The routing domain of facts is the burst's too.
                let facts = read(&answer.build(), Direction::Out);
                let given = node.lanes[0].lookup_facts(&inside(rdomain, Direction::Out, MS), &facts, None);
                assert_eq!((given.action, given.slot), (Action::Pass, slot));
                // An error belongs to the connection of its routing domain.
                let error = answer.error(address(v6, 3, 3), answer.addresses[0], 60);
                let about = node.lanes[0].lookup(&inside(rdomain, Direction::In, MS), &view(&error));
                assert_eq!((about.action, about.slot), (Action::Pass, slot), "{first:?}");
            }
            assert_eq!(look_up(&mut node, 8, Direction::In, &first).action, Action::New);
            let error = answer.error(address(v6, 3, 3), answer.addresses[0], 60);
            let about = node.lanes[0].lookup(&inside(8, Direction::In, MS), &view(&error));
            assert_eq!((about.action, about.reason), (Action::Drop, Reason::NoState));
        }
    }
}

#[test]
fn a_first_fragment_names_the_state_of_its_routing_domain() {
    let mut node = node();
    let first = plain(Carried::Udp, false, ends(false), [4000, 53]);
    let slot = create(&mut node, 7, &first, &Options::default()).slot;
    let mut fragment = first.build();
    fragment[6] = 0x20;
    for (rdomain, expected) in [(7, slot), (0, Slot::NONE)] {
        let verdict = node.lanes[0].lookup(&inside(rdomain, Direction::In, MS), &view(&fragment));
        assert_eq!((verdict.action, verdict.slot), (Action::Fragment, expected));
    }
}

#[test]
fn states_are_deleted_in_their_routing_domain_only() {
    for v6 in [false, true] {
        let mut node = node();
        let first = syn(v6);
        for rdomain in [0, 7, 9] {
            create(&mut node, rdomain, &first, &Options::default());
        }
        let filter = StateFilter { rdomain: Some(7), ..StateFilter::default() };
        assert_eq!(node.lanes[0].delete_matching(&filter, 0, 100, MS).0, 1);
        assert_eq!(look_up(&mut node, 7, Direction::In, &first).action, Action::New);
        assert_eq!(look_up(&mut node, 9, Direction::In, &first).action, Action::Pass);
        let mut key = first.key(Direction::In);
        key.put_in(9);
        assert!(node.lanes[0].delete_key(&key, Direction::In, MS));
        assert_eq!(look_up(&mut node, 9, Direction::In, &first).action, Action::New);
        assert_eq!(look_up(&mut node, 0, Direction::In, &first).action, Action::Pass);
    }
}

#[test]
fn a_peer_keeps_the_states_of_two_routing_domains_apart() {
    for v6 in [false, true] {
        for (first, answer) in kinds(v6) {
            let config = || Config { states_per_lane: 100, ..Config::default() };
            let mut nodes = [1, 2].map(|n| Node::new(replicating(n, Profile::OpenBsd6, config())));
            let mut now = MS;
            for rdomain in RDOMAINS {
                create(&mut nodes[0], rdomain, &first, &Options::default());
            }
            exchange(&mut nodes, &mut now, 1500);
            assert_eq!(nodes[1].states(), 2, "{first:?}");
            let slots = RDOMAINS.map(|rdomain| {
                let back =
                    nodes[1].lanes[0].lookup(&inside(rdomain, Direction::Out, now), &view(&answer.build()));
                assert_eq!(back.action, Action::Pass, "{rdomain} {first:?}");
                back.slot
            });
            assert_ne!(slots[0], slots[1]);
            let other = nodes[1].lanes[0].lookup(&inside(8, Direction::In, now), &view(&first.build()));
            assert_eq!(other.action, Action::New);
        }
    }
}

#[test]
fn each_routing_domain_has_all_ports_of_a_translated_address() {
    for v6 in [false, true] {
        let mut node = node();
        let one = PortRange { first: 50_000, last: 50_000 };
        let nat = Nat { source: Some(address(v6, 9, 9)), source_ports: Some(one), ..Nat::default() };
        let options = Options { nat, ..Options::default() };
        let first = plain(Carried::Udp, v6, ends(v6), [4000, 53]);
        let same_port = plain(Carried::Udp, v6, [address(v6, 1, 99), ends(v6)[1]], [4000, 53]);
        let outside = first.with([address(v6, 9, 9), ends(v6)[1]], [50_000, 53]);
        for rdomain in RDOMAINS {
            assert_eq!(create(&mut node, rdomain, &first, &options).action, Action::Pass);
            let refused = create(&mut node, rdomain, &same_port, &options);
            assert_eq!((refused.action, refused.reason), (Action::Drop, Reason::NoPort));
            let back = reply(&outside, Carried::Udp).build();
            let mut back = RewrittenPacket::new(view(&back));
            let verdict = back.lookup(&mut node.lanes[0], &inside(rdomain, Direction::Out, MS));
            assert!(verdict.action == Action::Pass && verdict.translated);
            assert_eq!(back.out, reply(&first, Carried::Udp).build());
        }
        assert_eq!(look_up(&mut node, 8, Direction::Out, &reply(&outside, Carried::Udp)).action, Action::New);
    }
}

#[test]
fn a_connection_between_two_routing_domains_has_replies_in_the_other_one() {
    for v6 in [false, true] {
        for source in [None, Some(address(v6, 9, 9))] {
            let config = || Config { states_per_lane: 100, ..Config::default() };
            let mut nodes = [1, 2].map(|n| Node::new(replicating(n, Profile::OpenBsd6, config())));
            let mut now = SECOND;
            let nat = Nat { rdomain: Some(7), source, ..Nat::default() };
            let (first, answer) = kinds(v6)[0].clone();
            let verdict = create(&mut nodes[0], 3, &first, &Options { nat, ..Options::default() });
            assert!(verdict.action == Action::Pass && verdict.translated);
            assert_eq!(verdict.rdomain, 7);
            exchange(&mut nodes, &mut now, 1500);
            let client = source.unwrap_or(ends(v6)[0]);
            let outside = answer.with([ends(v6)[1], client], [443, 4000]).build();
            for node in &mut nodes {
                let mut back = RewrittenPacket::new(view(&outside));
                let verdict = back.lookup(&mut node.lanes[0], &inside(7, Direction::Out, now));
                assert!(verdict.action == Action::Pass && verdict.translated);
                assert_eq!((back.out, verdict.rdomain), (answer.build(), 3));
                let keys = node.lanes[0].state_at(verdict.slot, now).expect("a state");
                assert_eq!([keys.hot.key.rdomain, keys.cold.stack_key.rdomain], [3, 7]);
                let wrong = node.lanes[0].lookup(&inside(3, Direction::Out, now), &view(&outside));
                assert_eq!(wrong.action, Action::New);
            }
        }
    }
}
