//! Messages between the sync lane and the other lanes: one bounded ring in each direction.
//!
//! The sync lane decodes what peers send and forwards messages about states that other lanes own. The owners report which
//! foreign states ended and when their part of a bulk transfer is done. A ring has one writer and one reader. Nobody waits
//! for a full ring: the sync lane sends what was refused again later, other losses are counted.

use crate::error::Error;
use crate::memory::{Consumer, Heap, List, Producer, channel, channel_bytes};
use crate::state::StateId;
use crate::sync::{Answer, Message, PeerIndex, Question, WalkOrder};
use pfsync::StreamOption;

/// From the sync lane to a lane that owns states.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "messages cross by value; a box would be an allocation")]
pub enum LaneMessage {
    /// A peer's message about a state of that lane.
    Message(Message),
    /// The lane is to send a peer all its states.
    Walk(WalkOrder),
    /// A report about the lane's stream to a peer, from a run of that peer.
    Report((PeerIndex, u64), StreamOption),
    /// A question about the states that the lane received.
    Question(Question),
}

/// From a lane to the sync lane.
#[derive(Clone, Copy, Debug)]
pub enum SyncLaneMessage {
    /// The lane no longer has a state that another node made.
    Ended {
        /// The state.
        id: StateId,
        /// Messages of the sync lane that the lane had applied by then, see [`Rings::sent_to`].
        applied: u32,
    },
    /// The lane refused a state for a reason that lasts: it is not requested for some seconds.
    Refused(StateId),
    /// The lane has sent all its states.
    WalkFinished(WalkOrder),
    /// The answer to a question, or a report for a peer.
    Answer(Answer),
}

/// Messages that a ring holds. A frame of 9000 bytes has at most 750 records, so two such frames fit between polls.
pub const RING_CAPACITY: usize = 2048;

/// One lane's ends of the rings.
pub enum Rings {
    /// Of an engine with one lane.
    None,
    /// Of lane 0, to and from lanes 1, 2, 3, ...
    SyncLane {
        /// Lane 1 has index 0.
        to: List<Producer<LaneMessage>>,
        /// Lane 1 has index 0.
        from: List<Consumer<SyncLaneMessage>>,
        /// Messages sent so far.
        sent: List<u64>,
        /// The same when [`Rings::mark`] was called.
        marks: List<u64>,
    },
    /// Of any other lane, to and from lane 0.
    Owner {
        /// To lane 0.
        to: Producer<SyncLaneMessage>,
        /// From lane 0.
        from: Consumer<LaneMessage>,
    },
}

impl Rings {
    /// Connects `lanes` lanes. Returns each lane's ends, in order.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn connect(lanes: u32, heap: Heap) -> Result<List<Self>, Error> {
        const WHAT: &str = "rings between lanes";
        let owners = lanes as usize - 1;
        let mut rings = heap.list(WHAT, lanes as usize)?;
        if owners == 0 {
            rings.push(Self::None);
            return Ok(rings);
        }
        let (mut to, mut from) = (heap.list(WHAT, owners)?, heap.list(WHAT, owners)?);
        let [sent, marks] = [heap.list_of(WHAT, owners, |_| 0)?, heap.list_of(WHAT, owners, |_| 0)?];
        rings.push(Self::None);
        for _ in 0..owners {
            let (to_owner, from_sync_lane) = channel(heap, WHAT, RING_CAPACITY)?;
            let (to_sync_lane, from_owner) = channel(heap, WHAT, RING_CAPACITY)?;
            to.push(to_owner);
            from.push(from_owner);
            rings.push(Self::Owner { to: to_sync_lane, from: from_sync_lane });
        }
        rings[0] = Self::SyncLane { to, from, sent, marks };
        Ok(rings)
    }

    /// Returns the bytes that [`Self::connect`] allocates.
    #[must_use]
    pub const fn memory_needed(lanes: u32) -> usize {
        const OF_OWNER: usize = size_of::<Producer<LaneMessage>>()
            + size_of::<Consumer<SyncLaneMessage>>()
            + 2 * size_of::<u64>()
            + channel_bytes::<LaneMessage>(RING_CAPACITY)
            + channel_bytes::<SyncLaneMessage>(RING_CAPACITY);
        lanes as usize * size_of::<Self>() + (lanes as usize - 1) * OF_OWNER
    }

    /// Sends to lane `lane`. Returns false if the ring is full or this is not lane 0.
    #[must_use]
    pub fn send_to_lane(&mut self, lane: u16, message: LaneMessage) -> bool {
        match self {
            Self::SyncLane { to, sent, .. } => {
                let index = usize::from(lane).wrapping_sub(1);
                let pushed = to.get_mut(index).is_some_and(|ring| ring.push(message));
                if pushed {
                    sent[index] += 1;
                }
                pushed
            }
            _ => false,
        }
    }

    /// Passes a question to all other lanes. Returns their number; `None` if a ring is full.
    pub fn ask(&mut self, question: &Question) -> Option<u16> {
        let Self::SyncLane { to, .. } = self else { return Some(0) };
        let lanes = to.len() as u16;
        (1..=lanes).all(|lane| self.send_to_lane(lane, LaneMessage::Question(*question))).then_some(lanes)
    }

    /// Returns how many messages were sent to lane `lane` so far, modulo 2^32. The sync lane sends itself none.
    #[must_use]
    pub fn sent_to(&self, lane: u16) -> u32 {
        match self {
            Self::SyncLane { sent, .. } => {
                sent.get(usize::from(lane).wrapping_sub(1)).map_or(0, |sent| *sent as u32)
            }
            _ => 0,
        }
    }

    /// Remembers how much was sent to the owners so far, see [`Self::mark_passed`].
    pub fn mark(&mut self) {
        if let Self::SyncLane { sent, marks, .. } = self {
            marks.copy_from_slice(sent);
        }
    }

    /// Returns whether the owners have received everything that was sent before the mark.
    #[must_use]
    pub fn mark_passed(&self) -> bool {
        let Self::SyncLane { to, sent, marks, .. } = self else { return true };
        let waiting = |ring: &Producer<LaneMessage>| (RING_CAPACITY - ring.free()) as u64;
        to.iter().zip(sent).zip(marks).all(|((ring, sent), mark)| sent - waiting(ring) >= *mark)
    }

    /// Returns how many messages were sent to lane `lane` before the mark, modulo 2^32.
    #[must_use]
    pub fn marked(&self, lane: u16) -> u32 {
        match self {
            Self::SyncLane { marks, .. } => {
                marks.get(usize::from(lane).wrapping_sub(1)).map_or(0, |mark| *mark as u32)
            }
            _ => 0,
        }
    }

    /// Returns whether a message to lane 0 can be sent now.
    #[must_use]
    pub fn has_space_to_sync_lane(&self) -> bool {
        matches!(self, Self::Owner { to, .. } if to.free() > 0)
    }

    /// Returns whether at least half of the ring to lane `lane` is free.
    #[must_use]
    pub fn is_half_empty(&self, lane: u16) -> bool {
        match self {
            Self::SyncLane { to, .. } => {
                to.get(usize::from(lane).wrapping_sub(1)).is_some_and(|ring| ring.free() > RING_CAPACITY / 2)
            }
            _ => false,
        }
    }

    /// Returns how many messages from lane 0 wait.
    #[must_use]
    pub fn waiting_from_sync_lane(&self) -> usize {
        match self {
            Self::Owner { from, .. } => from.waiting(),
            _ => 0,
        }
    }

    /// Returns how many messages from lane `lane` wait.
    #[must_use]
    pub fn waiting_from_owner(&self, lane: u16) -> usize {
        match self {
            Self::SyncLane { from, .. } => {
                from.get(usize::from(lane).wrapping_sub(1)).map_or(0, Consumer::waiting)
            }
            _ => 0,
        }
    }

    /// Sends to lane 0. Returns false if the ring is full or this is lane 0.
    #[must_use]
    pub fn send_to_sync_lane(&mut self, message: SyncLaneMessage) -> bool {
        match self {
            Self::Owner { to, .. } => to.push(message),
            _ => false,
        }
    }

    /// Receives the next message from lane 0.
    pub fn from_sync_lane(&mut self) -> Option<LaneMessage> {
        match self {
            Self::Owner { from, .. } => from.pop(),
            _ => None,
        }
    }

    /// Receives the next message from lane `lane`.
    pub fn from_owner(&mut self, lane: u16) -> Option<SyncLaneMessage> {
        match self {
            Self::SyncLane { from, .. } => from.get_mut(usize::from(lane).wrapping_sub(1))?.pop(),
            _ => None,
        }
    }
}
