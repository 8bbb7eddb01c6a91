//! Translated connections continue when another node takes over, in every dialect and with another number of lanes.

use crate::connections::{Connection, PORTS, between_families, connections};
use crate::nat_world::packet::Carried;
use crate::nat_world::{address, plain};
use crate::node::{MS, Node, exchange, replicating};
use pfplane::internals::engine::Config;
use pfplane::internals::packet::Direction;
use pfplane::internals::state::Nat;
use pfsync::Profile;

fn pair(profile: Profile, lanes: [u32; 2]) -> [Node; 2] {
    [0, 1].map(|n| {
        let config = Config { lanes: lanes[n], states_per_lane: 4096, ..Config::default() };
        Node::new(replicating(n as u8 + 1, profile, config))
    })
}

#[test]
fn connections_continue_at_the_other_node_byte_for_byte() {
    for profile in Profile::ALL {
        for lanes in [[1, 1], [2, 2], [1, 4], [4, 1], [3, 8]] {
            let mut nodes = pair(profile, lanes);
            let mut now = 1000 * MS;
            exchange(&mut nodes, &mut now, 50);
            let mut all = connections(10);
            // Other dialects have one family for both keys, so such states are not sent.
            let carries = matches!(profile, Profile::OpenBsd6 | Profile::FreeBsd1500);
            for connection in &mut between_families(6) {
                if !carries {
                    connection.open(&mut nodes[0], now, 0);
                }
            }
            all.extend(between_families(if carries { 6 } else { 0 }));
            for (n, connection) in all.iter_mut().enumerate() {
                let at = n % lanes[0] as usize;
                connection.open(&mut nodes[0], now, at);
                connection.pass(&mut nodes[0], now, at, false);
                connection.pass(&mut nodes[0], now, at, true);
            }
            exchange(&mut nodes, &mut now, 1500);
            assert_eq!(nodes[1].states(), all.len(), "{profile:?} {lanes:?}");
            // The first node is gone. Some connections continue with a reply, others with a request.
            for (n, connection) in all.iter_mut().enumerate() {
                let at = n % lanes[1] as usize;
                let first = n % 3 == 0 && !matches!(connection.near.carried, Carried::Echo { .. });
                for forward in [first, !first, first] {
                    connection.pass(&mut nodes[1], now, at, forward);
                }
                connection.error(&mut nodes[1], now, at, true);
            }
            assert_eq!(nodes[1].stat(now + MS, "packets_dropped_window"), 0, "{profile:?} {lanes:?}");
            assert_eq!(nodes[1].stat(now + 2 * MS, "aliases_lost"), 0);
        }
    }
}

#[test]
fn the_new_node_draws_no_port_that_a_connection_of_the_old_node_uses() {
    for lanes in [[1, 1], [2, 3]] {
        let mut nodes = pair(Profile::OpenBsd6, lanes);
        let mut now = 1000 * MS;
        exchange(&mut nodes, &mut now, 50);
        let few = pfplane::internals::state::PortRange { first: PORTS.first, last: PORTS.first + 119 };
        let nat = Nat { source: Some(address(true, 2, 200)), source_ports: Some(few), ..Nat::default() };
        let connection = |host| {
            let addresses = [address(true, 1, host), address(true, 2, 1)];
            Connection::new(Direction::In, plain(Carried::Udp, true, addresses, [4000, 53]), nat)
        };
        let mut ports = Vec::new();
        let mut all: Vec<_> = (0..20).map(connection).collect();
        for connection in &mut all {
            connection.open(&mut nodes[0], now, 0);
            ports.push(connection.far.ports[0]);
        }
        exchange(&mut nodes, &mut now, 100);
        for host in 20..40 {
            let mut connection = connection(host);
            connection.open(&mut nodes[1], now, 0);
            ports.push(connection.far.ports[0]);
        }
        let drawn = ports.len();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), drawn);
        for connection in &mut all {
            connection.pass(&mut nodes[1], now, 0, false);
        }
    }
}

#[test]
fn a_node_draws_exactly_the_ports_that_imported_states_leave() {
    use pfplane::internals::lane::Action;
    let few = pfplane::internals::state::PortRange { first: PORTS.first, last: PORTS.first + 119 };
    for lanes in [[1, 1], [4, 4], [1, 3], [3, 1]] {
        let mut nodes = pair(Profile::OpenBsd6, lanes);
        let mut now = 1000 * MS;
        exchange(&mut nodes, &mut now, 50);
        let nat = Nat { source: Some(address(true, 2, 200)), source_ports: Some(few), ..Nat::default() };
        let connection = |host| {
            let addresses = [address(true, 1, host), address(true, 2, 1)];
            Connection::new(Direction::In, plain(Carried::Udp, true, addresses, [4000, 53]), nat)
        };
        // Opens connections from every lane until none finds a port. Returns how many passed.
        let fill = |node: &mut Node, now, hosts: std::ops::Range<u8>| {
            let passes = |host| {
                let packet = connection(host).near.build();
                let made = node.forward(now, 0, Direction::In, &packet, Some(&nat)).verdict;
                usize::from(made.action == Action::Pass)
            };
            hosts.map(passes).sum::<usize>()
        };
        let first = fill(&mut nodes[0], now, 0..40);
        assert_eq!(first, 40);
        exchange(&mut nodes, &mut now, 100);
        let rest = fill(&mut nodes[1], now, 40..255);
        assert_eq!((rest, nodes[1].states()), (80, 120), "{lanes:?}");
        assert_eq!(nodes[1].stat(now + MS, "states_refused_key_collision"), 0);
    }
}

#[test]
fn states_and_aliases_of_both_nodes_end_in_every_lane() {
    let mut nodes = pair(Profile::OpenBsd6, [3, 5]);
    let mut now = 1000 * MS;
    exchange(&mut nodes, &mut now, 50);
    for connection in &mut connections(10) {
        connection.open(&mut nodes[0], now, 0);
    }
    exchange(&mut nodes, &mut now, 1100);
    assert!(nodes.iter().all(|node| node.states() == 120));
    assert!(nodes.iter_mut().all(|node| node.stat(now, "aliases") > 0));
    exchange(&mut nodes, &mut now, 150_000);
    for node in &mut nodes {
        assert_eq!((node.states(), node.stat(now, "aliases")), (0, 0));
    }
}
