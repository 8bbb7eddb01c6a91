//! Two nodes that translate to one outside address at the same time, and learn of each other's states.

use crate::connections::{Connection, kinds};
use crate::nat_world::packet::Carried;
use crate::nat_world::{address, plain};
use crate::node::{MS, Node, exchange, replicating};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::NatNodes;
use pfplane::internals::packet::Direction;
use pfplane::internals::state::{Nat, PortRange};
use pfsync::Profile;

/// Node `n` of two.
fn node(n: u8, lanes: u32, nat_nodes: NatNodes) -> Node {
    let config = Config { lanes, states_per_lane: 4096, nat_nodes, ..Config::default() };
    Node::new(replicating(n + 1, Profile::OpenBsd6, config))
}

fn pair(lanes: [u32; 2]) -> [Node; 2] {
    [0, 1].map(|n| node(n as u8, lanes[n], NatNodes { node: 0, count: 1 }))
}

/// Builds a connection of host `host` in network `network`, with the outside port `ports`.
fn connection(kind: Carried, v6: bool, network: u8, host: u8, ports: PortRange) -> Connection {
    let nat = Nat { source: Some(address(v6, 2, 200)), source_ports: Some(ports), ..Nat::default() };
    let packet = plain(kind, v6, [address(v6, network, host), address(v6, 2, 1)], [3000, 4500]);
    Connection::new(Direction::In, packet, nat)
}

/// Opens a connection with the same outside key on each node, before either receives the other's.
fn collide(nodes: &mut [Node; 2], now: u64, rounds: u32) -> Vec<[Connection; 2]> {
    let mut pairs = Vec::new();
    for kind in kinds() {
        for v6 in [false, true] {
            for host in 0..4 {
                let port = 50_000 + u16::from(host);
                let one = PortRange { first: port, last: port };
                let mut pair = [10, 20].map(|network| connection(kind.clone(), v6, network, host, one));
                for (node, connection) in nodes.iter_mut().zip(&mut pair) {
                    connection.open(node, now, 0);
                    for _ in 0..rounds {
                        connection.pass(node, now, 0, false);
                        connection.pass(node, now, 0, true);
                    }
                }
                pairs.push(pair);
            }
        }
    }
    pairs
}

#[test]
fn a_peers_state_with_the_same_outside_key_never_takes_a_live_connections_replies() {
    for lanes in [[1, 1], [4, 4], [3, 5]] {
        // One node's connections may be further than the other's.
        for rounds in [[0, 0], [0, 3], [3, 0]] {
            let mut nodes = pair(lanes);
            let mut now = 1000 * MS;
            exchange(&mut nodes, &mut now, 50);
            let mut pairs = collide(&mut nodes, now, 1);
            for [ours, theirs] in &mut pairs {
                for (node, (connection, rounds)) in
                    nodes.iter_mut().zip([(ours, rounds[0]), (theirs, rounds[1])])
                {
                    for _ in 0..rounds {
                        connection.pass(node, now, 0, false);
                        connection.pass(node, now, 0, true);
                    }
                }
            }
            exchange(&mut nodes, &mut now, 1200);
            // A full exchange sends every state as an update.
            nodes[0].engine.push_bulk();
            nodes[1].engine.push_bulk();
            exchange(&mut nodes, &mut now, 1200);
            for pair in &mut pairs {
                for (node, connection) in nodes.iter_mut().zip(pair) {
                    connection.pass(node, now, 0, false);
                    connection.pass(node, now, 0, true);
                }
            }
            if lanes == [1, 1] {
                for node in &mut nodes {
                    assert_eq!(node.states(), pairs.len());
                    assert!(node.stat(now, "imports_refused_translation_collision") >= pairs.len() as u64);
                    assert_eq!(node.stat(now, "states_replaced"), 0);
                }
            }
        }
    }
}

#[test]
fn nodes_with_their_share_of_the_ports_never_collide() {
    let mut nodes = [0, 1].map(|n| node(n, 2, NatNodes { node: n.into(), count: 2 }));
    let mut now = 1000 * MS;
    exchange(&mut nodes, &mut now, 50);
    let ports = PortRange { first: 50_000, last: 50_399 };
    let mut all = Vec::new();
    for host in 0..40 {
        for (n, node) in nodes.iter_mut().enumerate() {
            let mut connection = connection(Carried::Udp, true, 10 + n as u8, host, ports);
            connection.open(node, now, 0);
            all.push(connection);
        }
    }
    exchange(&mut nodes, &mut now, 100);
    for mut node in nodes {
        assert_eq!((node.states(), node.stat(now, "imports_refused_translation_collision")), (all.len(), 0));
        for connection in &mut all.clone() {
            connection.pass(&mut node, now, 0, false);
        }
    }
}
