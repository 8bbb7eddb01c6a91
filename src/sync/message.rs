//! Decoded and validated messages from peers, for the lane that owns the state.

use super::equality::{Origin, Question};
use super::export::HelloBytes;
use super::translate::key_of;
use crate::packet::Key;
use crate::state::{ExtraPart, IfName, StateId};
use crate::table::{PrefetchHint, Purpose};
use core::borrow::Borrow;
use pfsync::envelope::Address;
use pfsync::{CompressedUpdate, FullState, StreamOption};

/// The index of a peer in [`super::SyncSettings::peers`].
pub type PeerIndex = u8;

/// A message. The owned form has a fixed size and no pointers, so it can cross a ring between lanes.
#[derive(Clone, Copy, Debug)]
pub struct Message<S = FullState> {
    /// The sender.
    pub peer: PeerIndex,
    /// The stream that carried it.
    pub origin: Origin,
    /// The contents.
    pub body: Body<S>,
}

/// A message that borrows its state from the decoder.
pub type MessageRef<'a> = Message<&'a FullState>;

/// Contents of a message. States are validated and in our own conventions.
#[derive(Clone, Copy, Debug)]
pub enum Body<S = FullState> {
    /// A new state.
    Insert(S),
    /// A whole state.
    Update {
        /// The state.
        state: S,
        /// Whether it may be inserted if it is unknown; otherwise it may only be merged.
        insertable: bool,
    },
    /// The changed part of a state.
    UpdateCompressed(CompressedUpdate),
    /// A state ended.
    Delete(StateId),
    /// The peer has inserted our state.
    InsertAck(StateId),
    /// The peer requests a state.
    UpdateRequest(StateId),
    /// All states of a creator ended, on one interface or on all.
    Clear {
        /// The creator.
        creator: u32,
        /// The interface, `None` for all.
        ifname: Option<IfName>,
    },
    /// What only few states have.
    Extra(StateId, ExtraPart),
    /// The sender does not have a state that this node asked about.
    Gone(StateId),
    /// The node at this address, one of the peer's, requests all states.
    BulkRequest(Address),
}

/// Receives the messages of a frame. Any function of a message is one.
pub trait MessageSink {
    /// Announces the states of a later list of messages, [`DEPTH`](crate::table::PrefetchQueue::DEPTH) calls ahead, for
    /// prefetching. The messages may still turn out invalid.
    #[inline]
    fn prefetch(&mut self, _list: &[PrefetchHint]) {}
    /// Receives the next message.
    fn message(&mut self, message: &MessageRef<'_>);
    /// Receives the hello of an election group.
    fn hello(&mut self, _hello: &HelloBytes) {}
    /// Receives a report about a stream that this node sends, from a run of a peer. Returns false if it is about none of them.
    fn report(&mut self, _from: (PeerIndex, u64), _report: &StreamOption) -> bool {
        false
    }
    /// Passes a question to every lane, behind the messages so far. Returns how many will answer; 0 if one will not.
    fn ask(&mut self, _question: &Question) -> u16 {
        0
    }
}

impl<F: FnMut(&MessageRef<'_>)> MessageSink for F {
    #[inline]
    fn message(&mut self, message: &MessageRef<'_>) {
        self(message);
    }
}

/// Which lane a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The lane that the wire key steers to, or that the directory names for a known id.
    Key(Key, StateId),
    /// The lane that owns the id.
    Id(StateId),
    /// Every lane.
    All,
    /// The sync lane itself.
    SyncLane,
}

impl<S> Message<S> {
    #[inline]
    fn with<'a, T>(&'a self, state_of: impl FnOnce(&'a S) -> T) -> Message<T> {
        let body = match &self.body {
            Body::Insert(state) => Body::Insert(state_of(state)),
            Body::Update { state, insertable } => {
                Body::Update { state: state_of(state), insertable: *insertable }
            }
            Body::UpdateCompressed(update) => Body::UpdateCompressed(*update),
            Body::Delete(id) => Body::Delete(*id),
            Body::InsertAck(id) => Body::InsertAck(*id),
            Body::UpdateRequest(id) => Body::UpdateRequest(*id),
            Body::Clear { creator, ifname } => Body::Clear { creator: *creator, ifname: *ifname },
            Body::Extra(id, part) => Body::Extra(*id, *part),
            Body::Gone(id) => Body::Gone(*id),
            Body::BulkRequest(from) => Body::BulkRequest(*from),
        };
        Message { peer: self.peer, origin: self.origin, body }
    }
}

impl MessageRef<'_> {
    /// Copies the message with its state.
    #[must_use]
    pub fn owned(&self) -> Message {
        self.with(|&&state| state)
    }
}

impl<S: Borrow<FullState>> Message<S> {
    /// Borrows the message and its state.
    #[inline]
    #[must_use]
    pub fn borrowed(&self) -> MessageRef<'_> {
        self.with(S::borrow)
    }

    /// Returns the state that the message will look up, if it is about one state.
    #[must_use]
    pub fn prefetch_hint(&self) -> Option<PrefetchHint> {
        let (id, purpose) = match &self.body {
            Body::Insert(state) | Body::Update { state, .. } => {
                let state: &FullState = state.borrow();
                (state.id.into(), Purpose::Insert(key_of(&state.key[0])))
            }
            Body::UpdateCompressed(update) => (update.id.into(), Purpose::Update),
            Body::Delete(id) => (*id, Purpose::Remove),
            Body::InsertAck(id) | Body::UpdateRequest(id) | Body::Extra(id, _) => (*id, Purpose::Update),
            Body::Gone(id) => (*id, Purpose::Remove),
            Body::Clear { .. } | Body::BulkRequest(_) => return None,
        };
        Some(PrefetchHint { id, purpose })
    }

    /// Returns the state that the message may insert.
    pub fn insertable(&self) -> Option<&FullState> {
        match &self.body {
            Body::Insert(state) | Body::Update { state, insertable: true } => Some(state.borrow()),
            _ => None,
        }
    }

    /// Returns which lane the message is for.
    #[must_use]
    pub fn target(&self) -> Target {
        match &self.body {
            Body::Insert(state) | Body::Update { state, .. } => {
                let state: &FullState = state.borrow();
                Target::Key(key_of(&state.key[0]), state.id.into())
            }
            Body::UpdateCompressed(update) => Target::Id(update.id.into()),
            Body::Delete(id)
            | Body::InsertAck(id)
            | Body::UpdateRequest(id)
            | Body::Extra(id, _)
            | Body::Gone(id) => Target::Id(*id),
            Body::Clear { .. } => Target::All,
            Body::BulkRequest(_) => Target::SyncLane,
        }
    }
}
