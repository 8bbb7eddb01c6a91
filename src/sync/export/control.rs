//! Messages without a state: bulk requests and bulk transfer marks. Each is sent at once, in a frame of its own.

use super::Exporter;
use crate::error::Error;
use crate::memory::{Heap, Ring};
use crate::sync::message::PeerIndex;
use crate::time::Nanos;

const MAX_WAITING: usize = 64;

/// Contents of a control message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum ControlBody {
    /// A request for all states.
    #[default]
    Request,
    /// A bulk transfer starts.
    Start,
    /// A bulk transfer ended; when it was requested.
    End(Nanos),
}

/// A message without a state, and its receiver.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ControlMessage {
    pub body: ControlBody,
    /// `None` for every peer.
    pub peer: Option<PeerIndex>,
}

/// Control messages that wait.
#[derive(Debug)]
pub(super) struct ControlQueue {
    messages: Ring<ControlMessage>,
    /// The next peer of the first message, if that goes to every peer.
    next_peer: PeerIndex,
}

impl ControlQueue {
    pub(super) fn new(is_active: bool, heap: Heap) -> Result<Self, Error> {
        let messages = Ring::new(heap, "control messages", if is_active { MAX_WAITING } else { 0 })?;
        Ok(Self { messages, next_peer: 0 })
    }

    pub(super) const fn memory_needed(is_active: bool) -> usize {
        if is_active { Ring::<ControlMessage>::bytes(MAX_WAITING) } else { 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The next message to write, and to which peer.
    pub(super) fn front(&self) -> Option<(ControlBody, PeerIndex)> {
        self.messages.front().map(|message| (message.body, message.peer.unwrap_or(self.next_peer)))
    }

    /// Moves on after [`Self::front`] was written: to the next of `peers` peers, or to the next message.
    pub(super) fn advance(&mut self, peers: usize) {
        self.next_peer += 1;
        let is_for_one = self.messages.front().is_some_and(|message| message.peer.is_some());
        if is_for_one || usize::from(self.next_peer) >= peers {
            self.next_peer = 0;
            self.messages.pop();
        }
    }
}

impl Exporter {
    /// Requests all states from every peer.
    pub fn bulk_request(&mut self) {
        self.enqueue_control(ControlMessage { body: ControlBody::Request, peer: None });
    }

    /// Announces a bulk transfer to a peer. The sync lane's part of [`crate::sync::Responder::requested`].
    pub fn bulk_start(&mut self, peer: PeerIndex) {
        self.enqueue_control(ControlMessage { body: ControlBody::Start, peer: Some(peer) });
    }

    /// Ends a bulk transfer to a peer, which was requested at `requested`.
    pub fn bulk_end(&mut self, peer: PeerIndex, requested: Nanos) {
        self.enqueue_control(ControlMessage { body: ControlBody::End(requested), peer: Some(peer) });
    }

    pub(super) fn enqueue_control(&mut self, message: ControlMessage) {
        if !self.is_active() {
            return;
        }
        if self.control.messages.push(message) {
            self.pacing.wake();
        } else {
            // The requester's timer repeats a lost request or mark.
            self.counters.marks_lost += 1;
        }
    }
}
