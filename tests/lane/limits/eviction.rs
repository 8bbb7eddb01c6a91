//! A full table and half-open connections: which ones a new state replaces.

use crate::node::{MS, Node, SECOND, exchange, info, replicating as replicating_node, view};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::{Action, Reason};
use pfplane::internals::packet::Direction;
use pfplane::internals::state::Options;
use pfplane_testkit::Packet;
use pfsync::Profile;

fn replicating(n: u8, config: Config) -> Node {
    let mut config = replicating_node(n, Profile::OpenBsd6, config);
    config.sync.max_imported = Some(u32::MAX);
    Node::new(config)
}

/// Creates half-open connections until the table is full.
fn flood(node: &mut Node, now: u64, ids: std::ops::Range<u32>) {
    for id in ids {
        let syn = Packet::syn(id % 2 == 0, id, 1, [1000, 80]);
        assert_eq!(node.open(now, &syn, 1, &Options::default()), None, "{id}");
    }
}

#[test]
fn a_full_table_evicts_its_oldest_half_open_connections_and_no_others() {
    let mut nodes = [1, 2].map(|n| replicating(n, Config { states_per_lane: 100, ..Config::default() }));
    let mut now = 30 * SECOND;
    exchange(&mut nodes, &mut now, 100);
    let open = Packet::syn(false, 1000, 1, [1000, 80]);
    assert_eq!(nodes[0].open(now, &open, 3, &Options::default()), None);
    flood(&mut nodes[0], now, 0..99);
    exchange(&mut nodes, &mut now, 50);
    let states = |node: &Node| {
        let next = |from| node.lanes[0].state_from(from, 0);
        std::iter::successors(next(0), |view| next(view.slot.0 + 1))
            .map(|view| view.cold.id.id)
            .collect::<Vec<_>>()
    };
    let mut before = states(&nodes[0]);
    before.sort_unstable();
    flood(&mut nodes[0], now, 100..150);
    let after = states(&nodes[0]);
    assert_eq!(after.len(), 100);
    assert!(after.contains(&before[0]), "the open connection stays");
    assert!(before[1..51].iter().all(|id| !after.contains(id)), "the oldest are gone");
    assert!(before[51..].iter().all(|id| after.contains(id)));
    exchange(&mut nodes, &mut now, 50);
    let on_peer = states(&nodes[1]);
    assert_eq!(on_peer.len(), 100);
    assert!(after.iter().all(|id| on_peer.contains(id)), "the peer got deletes, and the new ones");
    assert_eq!(nodes[0].stat(now, "states_evicted_half_open"), 50);
    assert_eq!(nodes[1].stat(now, "imports_refused_table_full"), 0);
}

#[test]
fn a_table_with_few_half_open_connections_or_without_eviction_refuses_a_new_state() {
    for (percent, half_open, refused) in [(0, 100, true), (10, 10, false), (10, 9, true), (100, 100, false)] {
        let config = Config { states_per_lane: 100, evict_half_open_percent: percent, ..Config::default() };
        let mut node = Node::new(config);
        for id in half_open..100 {
            let open = Packet::syn(id % 2 == 0, 1000 + id, 1, [1000, 80]);
            assert_eq!(node.open(SECOND, &open, 3, &Options::default()), None);
        }
        flood(&mut node, SECOND, 0..half_open);
        let syn = Packet::syn(false, 500, 1, [1000, 80]);
        let reason = node.open(SECOND, &syn, 1, &Options::default());
        assert_eq!(reason, refused.then_some(Reason::TableFull), "{percent} {half_open}");
        assert_eq!(node.stat(SECOND, "states_evicted_half_open"), u64::from(!refused));
        assert_eq!(node.states(), 100);
    }
}

#[test]
fn a_peers_states_evict_only_half_open_ones_that_a_peer_sent_and_that_were_not_taken_over() {
    let size = |states_per_lane| Config { states_per_lane, ..Config::default() };
    let mut nodes = [replicating(1, size(400)), replicating(2, size(100))];
    let mut now = 30 * SECOND;
    exchange(&mut nodes, &mut now, 100);
    flood(&mut nodes[0], now, 0..40);
    exchange(&mut nodes, &mut now, 50);
    flood(&mut nodes[1], now, 1000..1060);
    // The client of one of the imported connections sends again, here.
    let taken_over = Packet::syn(true, 0, 1, [1000, 80]);
    assert_eq!(nodes[1].open(now, &taken_over, 1, &Options::default()), None);
    flood(&mut nodes[0], now, 200..300);
    exchange(&mut nodes, &mut now, 50);
    assert_eq!((nodes[1].states(), nodes[1].stat(now, "states_made_here")), (100, 60));
    assert_eq!(nodes[1].stat(now, "imports_evicted_half_open"), 100);
    assert_eq!(
        nodes[1].lanes[0].lookup(&info(Direction::In, now), &view(&taken_over.tcp())).action,
        Action::Pass
    );
    flood(&mut nodes[1], now, 1060..1120);
    now += MS;
    assert_eq!((nodes[1].states(), nodes[1].stat(now, "states_evicted_half_open")), (100, 60));
    exchange(&mut nodes, &mut now, 50);
    assert!(nodes[0].states() >= 140, "no delete of a state that a peer made");
}
