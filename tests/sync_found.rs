//! What the cluster simulator has found, each as small as it gets.

#[expect(dead_code, reason = "other tests use more of it")]
mod sync_node;

use pfplane::internals::state::{LocalFlags, StateId};
use pfplane::internals::sync::Applied;
use pfsync::{Action, FullState, Identity, Profile, StatePeer};
use sync_node::frames::{PEER, Say, side, state, update};
use sync_node::{Node, S, settings};

const OPENING: u8 = 2;
const ESTABLISHED: u8 = 4;
const CLOSING: u8 = 7;
const CLOSED: u8 = 9;
const CLASS_ESTABLISHED: u8 = 2;
const CLASS_CLOSING: u8 = 3;
const CLASS_FIN_WAIT: u8 = 4;
const CLASS_CLOSED: u8 = 5;

fn node() -> Node {
    Node::new(settings(1, Profile::OpenBsd6), 64, 1000 * S)
}

fn known(node: &Node, id: u64) -> bool {
    node.table.find_id(StateId { id, creator: PEER }).is_some()
}

/// Each node saw one way of it and believed the other's class: a single packet's, half of its time.
#[test]
fn a_flow_whose_two_ways_took_two_nodes_lives_as_long_as_any_other() {
    const UDP: u8 = 17;
    for (proto, single, multiple) in [(UDP, 7, 8), (47, 12, 13)] {
        let mut told = FullState { timeout: single, src: side(2, 0), dst: side(1, 0), ..state(1) };
        told.key.iter_mut().for_each(|key| key.proto = proto);
        let mut node = node();
        node.hear(&[Say::State(Action::Insert, told)]);
        let said = pfsync::CompressedUpdate { timeout: single, ..update(told.id, side(1, 0), side(2, 0)) };
        node.hear(&[Say::Compressed(said)]);
        let hot = node.table.hot(node.slots()[0]);
        assert_eq!((hot.peer_state, hot.timeout), ([2; 2], multiple));
    }
}

/// A node that lost a delete and an insert told of the connection that the ports had before, in a transfer of all its
/// states: that one had come further, and pushed the new one out.
#[test]
fn a_closed_connection_does_not_push_out_the_one_that_has_its_ports_now() {
    let told = |n: u64, sides: u8, timeout| FullState {
        id: Identity { id: n, creator: PEER },
        src: side(sides, 1000),
        dst: side(sides, 5000),
        timeout,
        ..state(1)
    };
    let mut node = node();
    node.hear(&[Say::State(Action::Insert, told(2, OPENING, 1))]);
    node.hear(&[Say::State(Action::Update, told(1, CLOSED, CLASS_CLOSED))]);
    assert!(known(&node, 2) && !known(&node, 1));
    // The other way about it makes room.
    node.hear(&[Say::State(Action::Update, told(2, CLOSED, CLASS_CLOSED))]);
    let applied = node.hear(&[Say::State(Action::Update, told(3, ESTABLISHED, CLASS_ESTABLISHED))]);
    assert!(matches!(applied[..], [Applied::Inserted(_)]), "{applied:?}");
    assert!(known(&node, 3) && !known(&node, 2));
}

/// Each node saw one FIN and believed the other's class: closing, for a quarter of an hour, or worse.
#[test]
fn a_connection_whose_two_ends_went_two_ways_is_soon_forgotten() {
    let ends = |state| side(state, 1000);
    for (ours, theirs) in
        [([CLOSING, ESTABLISHED], [ESTABLISHED, CLOSING]), ([ESTABLISHED, CLOSING], [CLOSING, ESTABLISHED])]
    {
        let mut node = node();
        let sides = |states: [u8; 2]| states.map(ends);
        let [src, dst]: [StatePeer; 2] = sides(ours);
        node.hear(&[Say::State(Action::Insert, FullState { src, dst, timeout: CLASS_CLOSING, ..state(1) })]);
        let slot = node.slots()[0];
        node.table.hot_mut(slot).local.set(LocalFlags::LOCAL_TRAFFIC);
        let [src, dst] = sides(theirs);
        for class in [CLASS_CLOSING, CLASS_ESTABLISHED] {
            let said = pfsync::CompressedUpdate { timeout: class, ..update(state(1).id, src, dst) };
            node.hear(&[Say::Compressed(said)]);
            let hot = node.table.hot(slot);
            assert_eq!((hot.peer_state, hot.timeout), ([CLOSING; 2], CLASS_FIN_WAIT));
        }
    }
}
