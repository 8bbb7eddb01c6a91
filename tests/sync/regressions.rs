//! Defects that the cluster simulator found, each as a minimal test.

use crate::node::frames::{Item, PEER, side, state, update};
use crate::node::{Node, S, settings};
use pfplane::internals::state::{LocalFlags, StateId};
use pfplane::internals::sync::Applied;
use pfsync::{Action, FullState, Identity, Profile, StatePeer};

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

/// Each node saw one direction and copied the other's timeout class, that of a single packet.
#[test]
fn a_flow_with_each_direction_through_another_node_gets_the_timeout_of_both() {
    const UDP: u8 = 17;
    for (proto, single, multiple) in [(UDP, 7, 8), (47, 12, 13)] {
        let mut first = FullState { timeout: single, src: side(2, 0), dst: side(1, 0), ..state(1) };
        first.key.iter_mut().for_each(|key| key.proto = proto);
        let mut node = node();
        node.apply(&[Item::State(Action::Insert, first)]);
        let sent = pfsync::CompressedUpdate { timeout: single, ..update(first.id, side(1, 0), side(2, 0)) };
        node.apply(&[Item::Compressed(sent)]);
        let hot = node.table.hot(node.slots()[0]);
        assert_eq!((hot.peer_state, hot.timeout), ([2; 2], multiple));
    }
}

/// A node that lost a delete and an insert sent the ports' previous connection in a bulk transfer; it had more progress and
/// replaced the new one.
#[test]
fn a_closed_connection_does_not_replace_the_current_one_of_its_ports() {
    let view = |n: u64, sides: u8, timeout| FullState {
        id: Identity { id: n, creator: PEER },
        src: side(sides, 1000),
        dst: side(sides, 5000),
        timeout,
        ..state(1)
    };
    let mut node = node();
    node.apply(&[Item::State(Action::Insert, view(2, OPENING, 1))]);
    node.apply(&[Item::State(Action::Update, view(1, CLOSED, CLASS_CLOSED))]);
    assert!(known(&node, 2) && !known(&node, 1));
    // The other way round it is replaced.
    node.apply(&[Item::State(Action::Update, view(2, CLOSED, CLASS_CLOSED))]);
    let applied = node.apply(&[Item::State(Action::Update, view(3, ESTABLISHED, CLASS_ESTABLISHED))]);
    assert!(matches!(applied[..], [Applied::Inserted(_)]), "{applied:?}");
    assert!(known(&node, 3) && !known(&node, 2));
}

/// Each node saw one FIN and copied the other's timeout class: closing, which lasts 15 minutes, or a longer one.
#[test]
fn a_connection_whose_fins_took_two_nodes_expires_soon() {
    let ends = |state| side(state, 1000);
    for (ours, theirs) in
        [([CLOSING, ESTABLISHED], [ESTABLISHED, CLOSING]), ([ESTABLISHED, CLOSING], [CLOSING, ESTABLISHED])]
    {
        let mut node = node();
        let sides = |states: [u8; 2]| states.map(ends);
        let [src, dst]: [StatePeer; 2] = sides(ours);
        node.apply(&[Item::State(
            Action::Insert,
            FullState { src, dst, timeout: CLASS_CLOSING, ..state(1) },
        )]);
        let slot = node.slots()[0];
        node.table.hot_mut(slot).local.set(LocalFlags::LOCAL_TRAFFIC);
        let [src, dst] = sides(theirs);
        for class in [CLASS_CLOSING, CLASS_ESTABLISHED] {
            let sent = pfsync::CompressedUpdate { timeout: class, ..update(state(1).id, src, dst) };
            node.apply(&[Item::Compressed(sent)]);
            let hot = node.table.hot(slot);
            assert_eq!((hot.peer_state, hot.timeout), ([CLOSING; 2], CLASS_FIN_WAIT));
        }
    }
}
