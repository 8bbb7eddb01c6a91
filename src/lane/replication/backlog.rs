//! Messages that a full ring to their lane has refused. Each is kept as an id, and sent again in later housekeeping.
//!
//! A state that was refused is requested from its sender again, when its lane has space for the answer, until it has reached
//! the lane: the directory marks it as lost so long. Every message is about what a peer knows by now, so their order does not
//! matter.

use super::super::exchange::{LaneMessage, Rings};
use super::super::tracker::Tracker;
use crate::error::Error;
use crate::memory::{FixedArray, Heap, List, Memory, bytes_of};
use crate::state::StateId;
use crate::sync::{Body, Directory, Message, MessageRef, Origin, PeerIndex};
use crate::time::{NANOS_PER_SECOND, Nanos, TICKS_PER_SECOND, Tick};

/// Maximum number of messages that wait.
const MAX_WAITING: u32 = 1 << 20;
/// Messages tried in one call.
const TRIED_PER_POLL: u32 = 512;
/// Maximum number of requests without an answer. Their answers fit into a ring that is half empty.
const MAX_PENDING: u32 = 512;
/// Requests that are not answered within this time no longer count against the maximum.
const ANSWER_TIME: Nanos = NANOS_PER_SECOND / 5;
/// Ticks after which a request is repeated. Peers answer one a second for each state.
const REPEAT_TICKS: u16 = TICKS_PER_SECOND as u16 * 3 / 2;
/// A state that was requested this often without an answer has ended at the peer.
const MAX_ATTEMPTS: u8 = 8;
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
    /// How often the state was requested.
    attempts: u8,
    /// When the next one is due, in ticks modulo 2^16.
    due: u16,
}

/// The messages that wait, in a ring of their own.
#[derive(Default)]
pub(crate) struct Backlog {
    refused: Option<FixedArray<Refused>>,
    first: u32,
    count: u32,
    /// Requests without an answer, and when the last one was sent.
    pending: u32,
    last_request: Nanos,
    /// Requests sent.
    pub requested: u64,
    /// States given up because no peer answered.
    pub unanswered: u64,
    /// At most [`MAX_CLEARS`]; `None` where no message is kept.
    clears: Option<List<(u16, Message)>>,
}

impl Backlog {
    /// Allocates space for the messages of `states` states: the states of all lanes but the sync lane.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn new(states: u64, memory: &Memory, socket: i32) -> Result<Self, Error> {
        const WHAT: &str = "refused messages";
        if states == 0 {
            return Ok(Self::default());
        }
        let refused = memory.array(WHAT, capacity_for(states), Refused::default(), socket)?;
        let clears = Heap::new(*memory, socket).list(WHAT, MAX_CLEARS)?;
        Ok(Self { refused: Some(refused), clears: Some(clears), ..Self::default() })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(crate) fn memory_needed(states: u64) -> usize {
        let clears = MAX_CLEARS * size_of::<(u16, Message)>();
        if states == 0 { 0 } else { bytes_of::<Refused>(capacity_for(states)) + clears }
    }

    /// Keeps a message that lane `lane`, which has been sent `sent` messages, could not be sent. Returns false if it is lost.
    #[must_use]
    pub(crate) fn keep(
        &mut self,
        lane: u16,
        message: &MessageRef<'_>,
        sent: u32,
        directory: &mut Directory,
    ) -> bool {
        let (kind, id) = match &message.body {
            Body::Delete(id) => (Kind::Delete, *id),
            Body::InsertAck(id) => (Kind::InsertAck, *id),
            Body::UpdateRequest(id) => (Kind::UpdateRequest, *id),
            Body::Insert(state) | Body::Update { state, .. } => (Kind::State, state.id.into()),
            Body::UpdateCompressed(update) => (Kind::State, update.id.into()),
            Body::Extra(id, _) => (Kind::State, *id),
            Body::Clear { .. } => return self.keep_clear(lane, message),
            // It is asked about again.
            Body::Gone(_) => return true,
            Body::BulkRequest(_) => return false,
        };
        if let Kind::State = kind {
            if directory.lost_lane(id).is_some() {
                return true;
            }
            if self.is_full() || !directory.mark_lost(id, lane as u8, sent) {
                return false;
            }
        }
        self.push(Refused { id, lane, peer: message.peer, kind, ..Refused::default() })
    }

    /// Notes that a message which makes up for what was refused has reached the lane of a state.
    pub(crate) fn settle(&mut self, id: StateId, directory: &mut Directory) {
        if directory.lost() > 0 && directory.settle(id) {
            self.pending = self.pending.saturating_sub(1);
        }
    }

    fn is_full(&self) -> bool {
        self.refused.as_ref().is_none_or(|ring| self.count as usize == ring.len())
    }

    fn keep_clear(&mut self, lane: u16, message: &MessageRef<'_>) -> bool {
        let same = |(other_lane, other): &(u16, Message)| match (&other.body, &message.body) {
            (Body::Clear { creator, ifname }, Body::Clear { creator: new, ifname: new_ifname }) => {
                (*other_lane, creator, ifname) == (lane, new, new_ifname)
            }
            _ => false,
        };
        let Some(clears) = &mut self.clears else { return false };
        let is_kept = clears.iter().any(same);
        if is_kept || clears.len() == MAX_CLEARS {
            return is_kept;
        }
        clears.push((lane, message.owned()));
        true
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
        self.count == 0 && self.clears.as_ref().is_none_or(|clears| clears.is_empty())
    }

    /// Returns how many messages wait.
    pub(crate) fn len(&self) -> u64 {
        u64::from(self.count) + self.clears.as_ref().map_or(0, |clears| clears.len()) as u64
    }

    /// Tries some of the waiting messages again. Those that are refused again wait on.
    pub(in super::super) fn step(
        &mut self,
        tracker: &mut Tracker,
        rings: &mut Rings,
        directory: &mut Directory,
        now: Nanos,
    ) {
        if now.saturating_sub(self.last_request) >= ANSWER_TIME {
            self.pending = 0;
        }
        if let Some(clears) = &mut self.clears {
            clears.retain(|(lane, message)| !rings.send_to_lane(*lane, LaneMessage::Message(*message)));
        }
        for _ in 0..self.count.min(TRIED_PER_POLL) {
            let Some(mut refused) = self.pop() else { return };
            let is_done = match refused.kind {
                Kind::State => self.request(&mut refused, tracker, rings, directory, now),
                _ => refused.send(rings),
            };
            if !is_done {
                // There is space: it was taken from there.
                let _ = self.push(refused);
            }
        }
    }

    /// Requests a refused state if that is due and its lane has space for the answer. Returns whether nothing more is to be
    /// done about it.
    fn request(
        &mut self,
        refused: &mut Refused,
        tracker: &mut Tracker,
        rings: &Rings,
        directory: &mut Directory,
        now: Nanos,
    ) -> bool {
        let (id, ticks) = (refused.id, Tick::from_nanos(now).0 as u16);
        if directory.lost_lane(id).is_none() {
            return true;
        }
        let is_due = refused.attempts == 0 || ticks.wrapping_sub(refused.due).cast_signed() >= 0;
        if is_due && refused.attempts == MAX_ATTEMPTS {
            self.unanswered += 1;
            return directory.settle(id);
        }
        let may_request = self.pending < MAX_PENDING && rings.is_half_empty(refused.lane);
        if is_due && may_request && tracker.exporter.can_request() {
            tracker.exporter.request_state(refused.peer, id, now);
            (refused.attempts, refused.due) = (refused.attempts + 1, ticks.wrapping_add(REPEAT_TICKS));
            (self.pending, self.last_request) = (self.pending + 1, now);
            self.requested += 1;
        }
        false
    }
}

const fn capacity_for(states: u64) -> usize {
    if states < MAX_WAITING as u64 { states as usize } else { MAX_WAITING as usize }
}

impl Refused {
    /// Sends the message again. Returns false if there is no space.
    fn send(&self, rings: &mut Rings) -> bool {
        let body = match self.kind {
            Kind::Delete => Body::Delete(self.id),
            Kind::InsertAck => Body::InsertAck(self.id),
            Kind::UpdateRequest => Body::UpdateRequest(self.id),
            Kind::State => return false,
        };
        rings.send_to_lane(
            self.lane,
            LaneMessage::Message(Message { peer: self.peer, origin: Origin::NONE, body }),
        )
    }
}
