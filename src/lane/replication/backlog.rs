//! Messages that a full ring to their lane has refused. Each is kept as an id, and sent again in later housekeeping.
//!
//! A state that was refused is requested from its sender again, once its lane has space for the answer. Every message is
//! about what a peer knows by now, so their order does not matter.

use super::super::exchange::{LaneMessage, Rings};
use super::super::tracker::Tracker;
use crate::error::Error;
use crate::memory::{FixedArray, Memory, bytes_of};
use crate::state::StateId;
use crate::sync::{Body, Message, MessageRef, PeerIndex};
use crate::time::Nanos;
use arrayvec::ArrayVec;

/// Maximum number of messages that wait.
const MAX_WAITING: u32 = 1 << 20;
/// Messages tried in one call.
const TRIED_PER_POLL: u32 = 512;
/// Clears that wait. Equal ones wait once.
const MAX_CLEARS: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
enum Kind {
    #[default]
    Delete,
    InsertAck,
    UpdateRequest,
    /// A state, or an update of one.
    State,
}

#[derive(Clone, Copy, Debug, Default)]
struct Refused {
    id: StateId,
    lane: u16,
    peer: PeerIndex,
    kind: Kind,
}

/// The messages that wait, in a ring of their own.
#[derive(Default)]
pub(crate) struct Backlog {
    refused: Option<FixedArray<Refused>>,
    first: u32,
    count: u32,
    clears: ArrayVec<(u16, Message), MAX_CLEARS>,
}

impl Backlog {
    /// Allocates space for the messages of `states` states: the states of all lanes but the sync lane.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn new(states: u64, memory: &Memory, socket: i32) -> Result<Self, Error> {
        let capacity = capacity_for(states);
        let array = || memory.array("refused messages", capacity, Refused::default(), socket);
        Ok(Self { refused: (capacity > 0).then(array).transpose()?, ..Self::default() })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(crate) fn memory_needed(states: u64) -> usize {
        if states == 0 { 0 } else { bytes_of::<Refused>(capacity_for(states)) }
    }

    /// Keeps a message that lane `lane` could not be sent. Returns false if it is lost.
    #[must_use]
    pub(crate) fn keep(&mut self, lane: u16, message: &MessageRef<'_>) -> bool {
        let (kind, id) = match &message.body {
            Body::Delete(id) => (Kind::Delete, *id),
            Body::InsertAck(id) => (Kind::InsertAck, *id),
            Body::UpdateRequest(id) => (Kind::UpdateRequest, *id),
            Body::Insert(state) | Body::Update { state, .. } => (Kind::State, state.id.into()),
            Body::UpdateCompressed(update) => (Kind::State, update.id.into()),
            Body::Extra(id, _) => (Kind::State, *id),
            Body::Clear { .. } => return self.keep_clear(lane, message),
            Body::BulkRequest(_) => return false,
        };
        self.push(Refused { id, lane, peer: message.peer, kind })
    }

    fn keep_clear(&mut self, lane: u16, message: &MessageRef<'_>) -> bool {
        let same = |(other_lane, other): &(u16, Message)| match (&other.body, &message.body) {
            (Body::Clear { creator, ifname }, Body::Clear { creator: new, ifname: new_ifname }) => {
                (*other_lane, creator, ifname) == (lane, new, new_ifname)
            }
            _ => false,
        };
        self.clears.iter().any(same) || self.clears.try_push((lane, message.owned())).is_ok()
    }

    fn push(&mut self, refused: Refused) -> bool {
        let Some(ring) = self.refused.as_mut().filter(|ring| (self.count as usize) < ring.len()) else {
            return false;
        };
        let at = (self.first as usize + self.count as usize) % ring.len();
        ring[at] = refused;
        self.count += 1;
        true
    }

    fn pop(&mut self) -> Option<Refused> {
        let ring = self.refused.as_ref().filter(|_| self.count > 0)?;
        let refused = ring[self.first as usize];
        self.first = (self.first + 1) % ring.len() as u32;
        self.count -= 1;
        Some(refused)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0 && self.clears.is_empty()
    }

    /// Returns how many messages wait.
    pub(crate) fn len(&self) -> u64 {
        u64::from(self.count) + self.clears.len() as u64
    }

    /// Tries some of the waiting messages again. Those that are refused again wait on.
    pub(in super::super) fn step(&mut self, tracker: &mut Tracker, rings: &mut Rings, now: Nanos) {
        self.clears.retain(|(lane, message)| !rings.send_to_lane(*lane, LaneMessage::Message(*message)));
        for _ in 0..self.count.min(TRIED_PER_POLL) {
            let Some(refused) = self.pop() else { return };
            if !refused.send(tracker, rings, now) {
                // There is space: it was taken from there.
                let _ = self.push(refused);
            }
        }
    }
}

const fn capacity_for(states: u64) -> usize {
    if states < MAX_WAITING as u64 { states as usize } else { MAX_WAITING as usize }
}

impl Refused {
    /// Sends the message again, or requests its state. Returns false if there is no space for that either.
    fn send(&self, tracker: &mut Tracker, rings: &mut Rings, now: Nanos) -> bool {
        let body = match self.kind {
            Kind::Delete => Body::Delete(self.id),
            Kind::InsertAck => Body::InsertAck(self.id),
            Kind::UpdateRequest => Body::UpdateRequest(self.id),
            Kind::State => {
                let may_request = rings.is_half_empty(self.lane) && tracker.exporter.can_request();
                if may_request {
                    tracker.exporter.request_state(self.peer, self.id, now);
                }
                return may_request;
            }
        };
        rings.send_to_lane(self.lane, LaneMessage::Message(Message { peer: self.peer, body }))
    }
}
