//! Nodes with several lanes and translated connections of every kind and family, when frames are lost and nodes stand still.

use crate::connections::{Connection, connections};
use crate::node::{MS, Node, SECOND, replicating};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::StateFilter;
use pfsync::Profile;

/// A node with this many lanes, whose peers are pfplane nodes if `extensions` is set.
fn node(n: u8, lanes: u32, extensions: bool, change: impl FnOnce(&mut Config)) -> Node {
    let config = Config { lanes, states_per_lane: 1000, ..Config::default() };
    let mut config = replicating(n, Profile::OpenBsd6, config);
    config.sync.peers[0].extensions = extensions;
    change(&mut config);
    Node::new(config)
}

/// Polls all nodes every millisecond, and hands each frame to all others that are `connected`.
fn run(nodes: &mut [Node], connected: &[bool], now: &mut u64, milliseconds: u64) {
    for _ in 0..milliseconds {
        *now += MS;
        for from in 0..nodes.len() {
            nodes[from].poll(*now);
            for frame in flush(&mut nodes[from], *now) {
                for to in (0..nodes.len()).filter(|&to| to != from && connected[from] && connected[to]) {
                    assert!(nodes[to].lanes[0].receive(&frame, *now));
                }
            }
        }
    }
}

/// Returns what all lanes of a node send.
fn flush(node: &mut Node, now: u64) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for lane in &mut node.lanes {
        let mut buffer = vec![0; lane.max_frame_bytes()];
        while let Some(frame) = lane.flush(&mut buffer, now) {
            frames.push(buffer[frame].to_vec());
        }
    }
    frames
}

/// Opens connections of every kind on the first node, and lets all nodes learn of them.
fn opened(nodes: &mut [Node], now: &mut u64, hosts: u8) -> Vec<Connection> {
    let all = vec![true; nodes.len()];
    run(nodes, &all, now, 3000);
    let mut connections = connections(hosts);
    for (n, connection) in connections.iter_mut().enumerate() {
        let at = n % nodes[0].lanes.len();
        connection.open(&mut nodes[0], *now, at);
        connection.pass(&mut nodes[0], *now, at, false);
        connection.pass(&mut nodes[0], *now, at, true);
    }
    run(nodes, &all, now, 2000);
    assert!(nodes.iter().all(|node| node.states() == connections.len()));
    connections
}

fn kill_all(node: &mut Node, now: u64) {
    for lane in &mut node.lanes {
        lane.delete_matching(&StateFilter::default(), 0, u32::MAX, now);
    }
    assert_eq!(node.states(), 0);
}

#[test]
fn killed_states_stay_ended_though_a_node_missed_their_deletes() {
    for (lanes, extensions) in [([3, 2, 1], false), ([1, 4, 2], false), ([2, 3, 4], true)] {
        // The node that was cut off sends all states again, or traffic of them.
        for has_traffic in [false, true] {
            let mut now = 100 * SECOND;
            let mut nodes: Vec<_> = (0..3).map(|n| node(n as u8 + 1, lanes[n], extensions, |_| {})).collect();
            let mut all = opened(&mut nodes, &mut now, 3);
            kill_all(&mut nodes[0], now);
            run(&mut nodes, &[true, true, false], &mut now, 1500);
            assert_eq!(nodes[1].states(), 0, "{lanes:?}");
            assert_eq!(nodes[2].states(), all.len(), "{lanes:?}");
            if has_traffic {
                all.iter_mut().for_each(|connection| _ = connection.pass(&mut nodes[2], now, 0, false));
            } else {
                nodes[2].engine.push_bulk();
            }
            run(&mut nodes, &[true; 3], &mut now, 3000);
            let left: Vec<_> = nodes.iter().map(Node::states).collect();
            assert_eq!(left, [0; 3], "{lanes:?} {extensions} {has_traffic}");
        }
    }
}

#[test]
fn a_paused_node_ends_no_flow_that_its_peer_has_whatever_its_lanes() {
    for (lanes, is_backlog_lost) in [([3, 2], false), ([2, 4], true), ([4, 1], false)] {
        let mut now = 100 * SECOND;
        let mut nodes = [0, 1].map(|n| node(n as u8 + 1, lanes[n], false, |_| {}));
        let mut all = opened(&mut nodes, &mut now, 4);
        // The first node stands still for longer than the timeouts of UDP and ICMP; the other one has the traffic.
        let mut backlog = Vec::new();
        for step in 0..1000 {
            now += 100 * MS;
            if step % 50 == 0 {
                for connection in &mut all {
                    connection.pass(&mut nodes[1], now, 0, false);
                    connection.pass(&mut nodes[1], now, 0, true);
                }
            }
            nodes[1].poll(now);
            backlog.extend(flush(&mut nodes[1], now));
        }
        // It continues, and its port hands the backlog to it late, or never.
        for _ in 0..50 {
            now += MS;
            nodes[0].poll(now);
            for frame in flush(&mut nodes[0], now) {
                assert!(nodes[1].lanes[0].receive(&frame, now));
            }
        }
        assert!(!nodes[0].engine.ready());
        if is_backlog_lost {
            nodes[0].engine.frames_missed(backlog.len() as u64);
        } else {
            for (n, frame) in backlog.iter().enumerate() {
                assert!(nodes[0].lanes[0].receive(frame, now));
                if n % 32 == 31 {
                    nodes[0].poll(now);
                }
            }
        }
        run(&mut nodes, &[true; 2], &mut now, 3000);
        assert_eq!(nodes.each_ref().map(Node::states), [all.len(); 2], "{lanes:?} {is_backlog_lost}");
        assert!(nodes[0].engine.ready(), "{:?}", nodes[0].engine.readiness(now));
        for connection in &mut all {
            connection.pass(&mut nodes[0], now, 0, false);
        }
    }
}

#[test]
fn one_full_lane_is_enough_to_be_not_ready_and_what_it_lacks_is_counted() {
    let mut now = 100 * SECOND;
    let quota = |config: &mut Config| config.sync.max_imported = Some(20);
    let mut nodes = [node(1, 2, false, |_| {}), node(2, 4, false, quota)];
    run(&mut nodes, &[true; 2], &mut now, 3000);
    let mut connections = connections(7);
    for connection in &mut connections {
        connection.open(&mut nodes[0], now, 0);
    }
    run(&mut nodes, &[true; 2], &mut now, 3000);
    let held = nodes[1].states();
    assert!(held < connections.len() && held > 40, "{held} of {}", connections.len());
    assert!(!nodes[1].engine.ready());
    let missing = nodes[1].engine.readiness(now).missing;
    assert!(missing as usize >= connections.len() - held, "{missing}");
}
