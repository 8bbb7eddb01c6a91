//! Messages of no state: clears and the marks of bulk transfers. Each goes into a frame of its own, at once.

use super::Exporter;
use crate::state::IfName;
use crate::sync::message::PeerIndex;
use crate::time::Nanos;

/// What is said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Mark {
    /// All our states, on one interface or on all, are gone.
    Clear(IfName),
    /// Tell us all states.
    #[default]
    BulkRequest,
    /// We begin to tell all states.
    BulkStart,
    /// We have told all states; since when we were asked.
    BulkEnd(Nanos),
}

/// A message of no state, and to whom.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ControlMessage {
    pub mark: Mark,
    /// `None`: to all.
    pub peer: Option<PeerIndex>,
}

impl Exporter {
    /// All states that this node made, on one interface or on all, are gone: one message instead of a delete each.
    /// Queued deletes and requests are left as they are.
    pub fn clear(&mut self, ifname: Option<IfName>) {
        self.say(ControlMessage { mark: Mark::Clear(ifname.unwrap_or([0; 16])), peer: None });
    }

    /// Asks every peer for all its states.
    pub fn bulk_request(&mut self) {
        self.say(ControlMessage { mark: Mark::BulkRequest, peer: None });
    }

    /// Tells a peer that all states follow. The sync lane's part of [`crate::sync::Responder::requested`].
    pub fn bulk_start(&mut self, peer: PeerIndex) {
        self.say(ControlMessage { mark: Mark::BulkStart, peer: Some(peer) });
    }

    /// Tells a peer that all states were told, on a request that came at `requested`.
    pub fn bulk_end(&mut self, peer: PeerIndex, requested: Nanos) {
        self.say(ControlMessage { mark: Mark::BulkEnd(requested), peer: Some(peer) });
    }

    pub(super) fn say(&mut self, shot: ControlMessage) {
        if !self.is_active() {
            return;
        }
        if self.control_messages.push(shot) {
            self.deadline = 0;
        } else {
            // A lost request or mark is asked for again by the requester's timer.
            self.counters.marks_lost += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sync::Removal;
    use crate::sync::fixture::{Node, S};
    use crate::table::Slot;
    use pfsync::Action;

    #[test]
    fn a_flush_of_all_states_is_one_clear_and_no_deletes() {
        let mut node = Node::open();
        let slots: Vec<Slot> = (0..9).map(|n| node.insert(n)).collect();
        node.wait(S).said();
        slots.into_iter().for_each(|slot| node.remove(slot, Removal::Flush));
        node.exporter.clear(None);
        assert_eq!(node.wait(S).said(), [[(Action::Clear, 1)]]);
    }
}
