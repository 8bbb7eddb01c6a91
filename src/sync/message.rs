//! A message from a peer, decoded and validated, on its way to the lane that owns the state.

use super::translate::key_of;
use crate::packet::Key;
use crate::state::{IfName, StateId};
use crate::table::{PrefetchHint, Purpose};
use core::borrow::Borrow;
use pfsync::envelope::Address;
use pfsync::{CompressedUpdate, FullState};

/// The number of a peer in [`super::SyncSettings::peers`].
pub type PeerIndex = u8;

/// A message. With a whole state of its own it is of a fixed size and without pointers, so that it can cross a ring between
/// lanes.
#[derive(Clone, Copy, Debug)]
pub struct Message<S = FullState> {
    /// Who sent it.
    pub peer: PeerIndex,
    /// What it says.
    pub body: Body<S>,
}

/// A message whose state lies with whoever decodes it.
pub type MessageRef<'a> = Message<&'a FullState>;

/// What a message says. States are in our own conventions and have been validated.
#[derive(Clone, Copy, Debug)]
pub enum Body<S = FullState> {
    /// A new state.
    Insert(S),
    /// A state, whole.
    Update {
        /// The state.
        state: S,
        /// Whether it may be inserted where it is not known; else it may only be merged.
        insertable: bool,
    },
    /// What changed in a state.
    UpdateCompressed(CompressedUpdate),
    /// A state ended.
    Delete(StateId),
    /// An insert of ours was taken in.
    InsertAck(StateId),
    /// The peer asks for a state.
    UpdateRequest(StateId),
    /// All states of a creator ended, on one interface where one is named.
    Clear {
        /// Whose.
        creator: u32,
        /// Where, `None` for everywhere.
        ifname: Option<IfName>,
    },
    /// The node at this address, one of the peer's, asks for all states.
    BulkRequest(Address),
}

/// Takes in what the messages of a frame say. A function of a message is one.
pub trait MessageSink {
    /// These states, at most [`MAX_STATES`](crate::table::PrefetchQueue::MAX_STATES), are asked for in messages that come after [`DEPTH`](crate::table::PrefetchQueue::DEPTH) more calls:
    /// their memory may be sent for. Nothing is certain yet.
    #[inline]
    fn prefetch(&mut self, _list: &[PrefetchHint]) {}
    /// The next message.
    fn message(&mut self, message: &MessageRef<'_>);
}

impl<F: FnMut(&MessageRef<'_>)> MessageSink for F {
    #[inline]
    fn message(&mut self, message: &MessageRef<'_>) {
        self(message);
    }
}

/// Whom a message concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The lane that the wire key steers to, or that the directory names when the identity is known already.
    Key(Key, StateId),
    /// The lane that has the identity.
    Id(StateId),
    /// Every lane.
    Everyone,
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
            Body::BulkRequest(from) => Body::BulkRequest(*from),
        };
        Message { peer: self.peer, body }
    }
}

impl MessageRef<'_> {
    /// The same with the state in it.
    #[must_use]
    pub fn owned(&self) -> Message {
        self.with(|&&state| state)
    }
}

impl<S: Borrow<FullState>> Message<S> {
    /// The same with the state left where it is.
    #[inline]
    #[must_use]
    pub fn borrowed(&self) -> MessageRef<'_> {
        self.with(S::borrow)
    }

    /// What the table is going to be asked for it, if it is about one state.
    #[must_use]
    pub fn sought(&self) -> Option<PrefetchHint> {
        let (id, purpose) = match &self.body {
            Body::Insert(state) | Body::Update { state, .. } => {
                let state: &FullState = state.borrow();
                (state.id.into(), Purpose::Insert(key_of(&state.key[0])))
            }
            Body::UpdateCompressed(update) => (update.id.into(), Purpose::Update),
            Body::Delete(id) => (*id, Purpose::Remove),
            Body::InsertAck(id) | Body::UpdateRequest(id) => (*id, Purpose::Update),
            Body::Clear { .. } | Body::BulkRequest(_) => return None,
        };
        Some(PrefetchHint { id, purpose })
    }

    /// Whom it concerns.
    #[must_use]
    pub fn target(&self) -> Target {
        match &self.body {
            Body::Insert(state) | Body::Update { state, .. } => {
                let state: &FullState = state.borrow();
                Target::Key(key_of(&state.key[0]), state.id.into())
            }
            Body::UpdateCompressed(update) => Target::Id(update.id.into()),
            Body::Delete(id) | Body::InsertAck(id) | Body::UpdateRequest(id) => Target::Id(*id),
            Body::Clear { .. } => Target::Everyone,
            Body::BulkRequest(_) => Target::SyncLane,
        }
    }
}
