//! The conformance list of the protocol reference (section 9), items 26 to 56: a test each, by number. Item 57, one clear for
//! a flush of all states, is not followed: deletes do not end what is created meanwhile.

mod bulk;
mod ends;
mod export;
mod import;

use crate::node::frames::{Item, PEER, side, state, update};
use crate::node::{MS, Node, S, address, settings};
use pfplane::internals::packet::{Be16, Key};
use pfplane::internals::state::{LocalFlags, StateId, pf_flags};
use pfplane::internals::sync::{
    Applied, Defer, PF_DELAY, PeerSettings, Phase, Refused, Removal, SyncSettings,
};
use pfplane::internals::table::Slot;
use pfsync::envelope::GROUP_V4;
use pfsync::{
    Action, Clear, CompressedUpdate, Family, FullState, Identity, Profile, Record, StatePeer, Version,
    bulk_status,
};

const PROFILES: [Profile; 4] = Profile::ALL;

fn node(profile: Profile) -> Node {
    Node::new(settings(1, profile), 4096, 1000 * S)
}

fn open() -> Node {
    node(Profile::OpenBsd6)
}

fn insert(state: FullState) -> Item {
    Item::State(Action::Insert, state)
}

fn slot_of(node: &Node, n: u32) -> Option<Slot> {
    node.table.find_id(StateId { id: u64::from(n) + 1, creator: PEER })
}

/// A node that received state `n` and has local traffic of it.
fn with(n: u32) -> (Node, Slot) {
    let mut node = open();
    node.apply(&[insert(state(n))]);
    let slot = slot_of(&node, n).unwrap();
    node.table.hot_mut(slot).local.set(LocalFlags::LOCAL_TRAFFIC);
    (node, slot)
}

fn sides(node: &Node, slot: Slot) -> [(u8, u32); 2] {
    let (hot, track) = (node.table.hot(slot), node.table.track(slot));
    [(hot.peer_state[0], track.src.seqlo), (hot.peer_state[1], track.dst.seqlo)]
}
