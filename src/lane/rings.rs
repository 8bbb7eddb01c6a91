//! How lanes reach each other: one bounded ring each way between the sync lane and every other lane.
//!
//! The sync lane decodes what peers send and passes on what others own; they tell it which foreign states ended and
//! when their part of a bulk transfer is done. A ring has one writer and one reader. A full ring is never waited for:
//! whoever finds it full counts that and has the loss repaired by a bulk transfer.

use super::mail::{LaneMessage, SyncLaneMessage};
use rtrb::{Consumer, Producer, RingBuffer};

/// Messages that a ring holds. A frame of 9000 bytes has at most 750 records; this is room for two between polls.
pub const RING_CAPACITY: usize = 2048;

/// One lane's ends of the rings.
pub enum Rings {
    /// Of an engine with one lane.
    None,
    /// Of lane 0, to and from lanes 1, 2, 3, ...
    SyncLane {
        /// Lane 1 is at place 0.
        to: Vec<Producer<LaneMessage>>,
        /// Lane 1 is at place 0.
        from: Vec<Consumer<SyncLaneMessage>>,
        /// Messages sent so far.
        sent: Vec<u64>,
        /// The same when [`Rings::mark`] was called.
        marks: Vec<u64>,
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
    /// The ends for `lanes` lanes, in the order of the lanes.
    #[must_use]
    pub fn star(lanes: u32) -> Vec<Self> {
        if lanes <= 1 {
            return vec![Self::None];
        }
        let (mut to_owners, mut from_owners, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 1..lanes {
            let (to_owner, from_sync_lane) = RingBuffer::new(RING_CAPACITY);
            let (to_sync_lane, from_owner) = RingBuffer::new(RING_CAPACITY);
            to_owners.push(to_owner);
            from_owners.push(from_owner);
            owners.push(Self::Owner { to: to_sync_lane, from: from_sync_lane });
        }
        let sent = vec![0; to_owners.len()];
        let mut rings = vec![Self::SyncLane { to: to_owners, from: from_owners, marks: sent.clone(), sent }];
        rings.append(&mut owners);
        rings
    }

    /// Sends to lane `lane`, which is not lane 0. False when the ring is full or this is not lane 0.
    #[must_use]
    pub fn send_to_lane(&mut self, lane: u16, mail: LaneMessage) -> bool {
        match self {
            Self::SyncLane { to, sent, .. } => {
                let place = usize::from(lane).wrapping_sub(1);
                let pushed = to.get_mut(place).is_some_and(|ring| ring.push(mail).is_ok());
                if pushed {
                    sent[place] += 1;
                }
                pushed
            }
            _ => false,
        }
    }

    /// Mail sent to lane `lane` so far, modulo 2^32. None to the sync lane itself.
    #[must_use]
    pub fn sent_to(&self, lane: u16) -> u32 {
        match self {
            Self::SyncLane { sent, .. } => {
                sent.get(usize::from(lane).wrapping_sub(1)).map_or(0, |sent| *sent as u32)
            }
            _ => 0,
        }
    }

    /// Remembers what was sent to the owners so far, see [`Self::mark_passed`].
    pub fn mark(&mut self) {
        if let Self::SyncLane { sent, marks, .. } = self {
            marks.copy_from_slice(sent);
        }
    }

    /// Whether the owners have taken all that was sent to them before the mark.
    #[must_use]
    pub fn mark_passed(&self) -> bool {
        let Self::SyncLane { to, sent, marks, .. } = self else { return true };
        let waiting = |ring: &Producer<LaneMessage>| (RING_CAPACITY - ring.slots()) as u64;
        to.iter().zip(sent).zip(marks).all(|((ring, sent), mark)| sent - waiting(ring) >= *mark)
    }

    /// Whether lane 0 can be sent something.
    #[must_use]
    pub fn has_room_to_sync_lane(&self) -> bool {
        matches!(self, Self::Owner { to, .. } if to.slots() > 0)
    }

    /// Messages from lane 0 that wait.
    #[must_use]
    pub fn waiting_from_sync_lane(&self) -> usize {
        match self {
            Self::Owner { from, .. } => from.slots(),
            _ => 0,
        }
    }

    /// Messages from lane `lane` that wait.
    #[must_use]
    pub fn waiting_from_owner(&self, lane: u16) -> usize {
        match self {
            Self::SyncLane { from, .. } => {
                from.get(usize::from(lane).wrapping_sub(1)).map_or(0, Consumer::slots)
            }
            _ => 0,
        }
    }

    /// Sends to lane 0. False when the ring is full or this is lane 0.
    #[must_use]
    pub fn send_to_sync_lane(&mut self, mail: SyncLaneMessage) -> bool {
        match self {
            Self::Owner { to, .. } => to.push(mail).is_ok(),
            _ => false,
        }
    }

    /// The next message from lane 0.
    pub fn from_sync_lane(&mut self) -> Option<LaneMessage> {
        match self {
            Self::Owner { from, .. } => from.pop().ok(),
            _ => None,
        }
    }

    /// The next message from lane `lane`, which is not lane 0.
    pub fn from_owner(&mut self, lane: u16) -> Option<SyncLaneMessage> {
        match self {
            Self::SyncLane { from, .. } => from.get_mut(usize::from(lane).wrapping_sub(1))?.pop().ok(),
            _ => None,
        }
    }
}
