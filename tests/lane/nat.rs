//! Translated connections: a packet that arrives on any lane leaves with the addresses, ports and checksums that the other
//! end knows.

use crate::connections::{Connection, PORTS, between_families, connections};
use crate::nat_world::packet::Carried;
use crate::nat_world::{address, plain};
use crate::node::{MS, Node};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::{Action, Reason};
use pfplane::internals::packet::Direction;
use pfplane::internals::state::{Nat, PortRange};

fn firewall(lanes: u32) -> Node {
    Node::new(Config { lanes, states_per_lane: 4096, ..Config::default() })
}

#[test]
fn every_packet_leaves_as_the_other_end_knows_it_with_any_number_of_lanes() {
    for lanes in [1, 2, 3, 8] {
        let mut firewall = firewall(lanes);
        let mut all = connections(24);
        all.extend(between_families(12));
        let (mut at, mut hand_offs) = (0, 0);
        let mut next_lane = || {
            at = (at * 5 + 3) % 64;
            at % lanes as usize
        };
        for connection in &mut all {
            hand_offs += connection.open(&mut firewall, MS, next_lane()).hand_offs;
        }
        assert_eq!(firewall.states(), all.len());
        for round in 0..6 {
            for connection in &mut all {
                // Each echo request has its reply.
                connection.pass(&mut firewall, (2 + round) * MS, next_lane(), false);
                connection.pass(&mut firewall, (2 + round) * MS, next_lane(), true);
            }
        }
        for connection in &mut all {
            connection.error(&mut firewall, 20 * MS, next_lane(), true);
            connection.error(&mut firewall, 20 * MS, next_lane(), false);
        }
        assert_eq!(firewall.states(), all.len(), "{lanes} lanes");
        assert_eq!(firewall.stat(30 * MS, "aliases_lost"), 0);
        assert_eq!(firewall.stat(30 * MS, "aliases") > 0, lanes > 1);
        assert_eq!(hand_offs > 0, lanes > 1);
    }
}

#[test]
fn a_drawn_port_steers_the_reply_to_the_lane_of_the_state() {
    let mut firewall = firewall(8);
    for host in 0..100 {
        let nat = Nat { source: Some(address(true, 2, 200)), source_ports: Some(PORTS), ..Nat::default() };
        let packet = plain(Carried::Udp, true, [address(true, 1, host), address(true, 2, 1)], [4000, 53]);
        let mut connection = Connection::new(Direction::In, packet, nat);
        let owner = connection.open(&mut firewall, MS, 0).lane;
        assert_eq!(connection.pass(&mut firewall, MS, owner, false).hand_offs, 0);
    }
    assert_eq!(firewall.stat(2 * MS, "aliases"), 0);
}

#[test]
fn with_all_ports_in_use_new_connections_are_refused_until_one_ends() {
    let mut firewall = firewall(1);
    let few = PortRange { first: 50_000, last: 50_009 };
    let nat = Nat { source: Some(address(false, 2, 200)), source_ports: Some(few), ..Nat::default() };
    let connection = |host, server| {
        let packet =
            plain(Carried::Udp, false, [address(false, 1, host), address(false, 2, server)], [4000, 53]);
        Connection::new(Direction::In, packet, nat)
    };
    for host in 0..10 {
        connection(host, 1).open(&mut firewall, MS, 0);
        connection(host, 2).open(&mut firewall, MS, 0);
    }
    let refused = firewall.forward(MS, 0, Direction::In, &connection(77, 1).near.build(), Some(&nat));
    assert_eq!((refused.verdict.action, refused.verdict.reason), (Action::Drop, Reason::NoPort));
    assert_eq!(refused.bytes, connection(77, 1).near.build(), "a refused packet stays unchanged");
    assert_eq!(firewall.stat(2 * MS, "states_refused_no_port"), 1);
    assert_eq!(firewall.states(), 20);
    // A UDP state that saw one packet lives for a minute.
    let later = 120_000 * MS;
    for step in 0..40 {
        firewall.poll(later + step * 1000 * MS);
    }
    connection(77, 1).open(&mut firewall, later + 50_000 * MS, 0);
}

#[test]
fn aliases_are_removed_with_their_state() {
    for lanes in [2, 5] {
        let mut firewall = firewall(lanes);
        let mut all = connections(20);
        for connection in &mut all {
            connection.open(&mut firewall, MS, 0);
        }
        assert!(firewall.stat(3 * MS, "aliases") > 20);
        for step in 0..60 {
            firewall.poll(200_000 * MS + step * 1000 * MS);
        }
        assert_eq!(firewall.states(), 0);
        assert_eq!(firewall.stat(300_000 * MS, "aliases"), 0);
        // The keys are free for new states, on every lane.
        for connection in &mut connections(20) {
            connection.open(&mut firewall, 300_001 * MS, 0);
        }
    }
}
