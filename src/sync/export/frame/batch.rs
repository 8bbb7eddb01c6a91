//! The messages of one frame, which are written once for each peer.
//!
//! Messages leave their queues when the batch is made and are built for each peer in turn, from the states as they are
//! then. A batch fits into one frame of each peer; if a buffer turns out shorter, the rest goes into another frame.

use crate::error::Error;
use crate::memory::{Heap, List};
use crate::state::StateId;
use crate::sync::message::PeerIndex;
use crate::sync::repair::Lacks;
use crate::sync::settings::{MAX_PEERS, SyncSettings};
use crate::table::Slot;
use arrayvec::ArrayVec;
use core::cmp::Ordering;
use pfsync::{Action, Profile, SUBHEADER_BYTES};

/// Deletes that fit into a frame of 9000 bytes.
const MAX_ITEMS: usize = 768;

/// A message to be built.
#[derive(Clone, Copy, Debug)]
pub(in crate::sync::export) struct Item {
    pub action: Action,
    /// [`Slot::NONE`] for a message that carries only an id.
    pub slot: Slot,
    pub id: StateId,
    /// An insert that a peer is to acknowledge: it is counted apart.
    pub awaits_ack: bool,
    /// A peer that has an earlier message of the state lacks nothing.
    pub is_repeat: bool,
}

impl Item {
    /// Returns what a peer lacks that has not received the message.
    pub(super) const fn lacks(&self) -> Lacks {
        match self.action {
            _ if self.is_repeat => Lacks::Nothing,
            Action::Insert => Lacks::State,
            _ => Lacks::Change,
        }
    }
}

/// The messages being written.
#[derive(Debug)]
pub(in crate::sync::export) struct Batch {
    pub items: List<Item>,
    /// The peer being written to.
    pub peer: PeerIndex,
    /// The first item that this peer has not been sent.
    pub next: usize,
    /// The last peer, exclusive.
    peers_end: PeerIndex,
    /// Compressed updates get space before inserts in this batch, and after them in the next.
    pub updates_first: bool,
}

impl Batch {
    pub(crate) fn new(heap: Heap) -> Result<Self, Error> {
        let items = heap.list("the messages of a frame", MAX_ITEMS)?;
        Ok(Self { items, peer: 0, next: 0, peers_end: 0, updates_first: false })
    }

    pub(crate) const fn memory_needed() -> usize {
        MAX_ITEMS * size_of::<Item>()
    }

    pub(crate) const fn is_pending(&self) -> bool {
        self.peer < self.peers_end
    }

    /// Starts a new batch for the peers from `first` to before `end`.
    pub(crate) fn open(&mut self, first: PeerIndex, end: PeerIndex) {
        self.close();
        self.peer = first;
        self.peers_end = end;
    }

    pub(crate) fn push(&mut self, action: Action, slot: Slot, id: StateId) {
        self.items.push(Item { action, slot, id, awaits_ack: false, is_repeat: false });
    }

    /// Marks the last message: a peer is to acknowledge it.
    pub(crate) fn awaits_ack(&mut self) {
        if let Some(item) = self.items.last_mut() {
            item.awaits_ack = true;
        }
    }

    /// Marks the last message: it repeats one that was sent.
    pub(crate) fn is_repeat(&mut self) {
        if let Some(item) = self.items.last_mut() {
            item.is_repeat = true;
        }
    }

    /// Empties the batch.
    pub(crate) fn close(&mut self) {
        self.peers_end = 0;
        self.next = 0;
        self.items.clear();
    }

    /// Counts the inserts and updates that a peer has not been sent; `with_awaited`: also those that a peer is to acknowledge.
    pub(crate) fn pending_for(&self, peer: PeerIndex, with_awaited: bool) -> (u32, u32) {
        let from = match peer.cmp(&self.peer) {
            _ if !self.is_pending() || peer >= self.peers_end => self.items.len(),
            Ordering::Less => self.items.len(),
            Ordering::Equal => self.next,
            Ordering::Greater => 0,
        };
        let count = |is: fn(Action) -> bool| {
            let items = self
                .items
                .iter()
                .skip(from)
                .filter(|item| is(item.action) && (with_awaited || !item.awaits_ack));
            u32::try_from(items.count()).unwrap_or(u32::MAX)
        };
        let creations = count(|action| action == Action::Insert);
        (creations, count(|action| matches!(action, Action::Update | Action::UpdateCompressed)))
    }

    /// Notes that everything before `next` was written to the current peer.
    pub(crate) fn written(&mut self, next: usize) {
        self.next = next;
        if next == self.items.len() {
            self.peer += 1;
            self.next = 0;
            if !self.is_pending() {
                self.close();
            }
        }
    }
}

/// Bytes left in a frame of each peer while a batch is filled.
#[derive(Debug)]
pub(super) struct FrameSpace {
    left: ArrayVec<(Profile, usize), MAX_PEERS>,
    items: usize,
}

impl FrameSpace {
    /// The space of frames of at most `max_bytes` bytes.
    pub(super) fn new(settings: &SyncSettings, max_bytes: usize) -> Self {
        let left = settings.peers.iter().map(|peer| {
            let bytes = settings.mtu_of(peer).min(max_bytes).saturating_sub(peer.overhead());
            (peer.profile, bytes)
        });
        Self { left: left.collect(), items: MAX_ITEMS }
    }

    /// Reserves a region for up to `wanted` messages; returns how many fit.
    pub(super) fn reserve(&mut self, action: Action, wanted: u32) -> u32 {
        let fits = |&(profile, left): &(Profile, usize)| {
            left.saturating_sub(SUBHEADER_BYTES) / message_bytes(profile, action)
        };
        let max = self.left.iter().map(fits).min().unwrap_or(0).min(self.items);
        let count = max.min(wanted as usize);
        if count > 0 {
            for (profile, left) in &mut self.left {
                *left -= SUBHEADER_BYTES + count * message_bytes(*profile, action);
            }
            self.items -= count;
        }
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

const fn message_bytes(profile: Profile, action: Action) -> usize {
    match action {
        Action::Insert | Action::Update => profile.state_bytes(),
        Action::UpdateCompressed => 84,
        _ => 12,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture::settings;

    #[test]
    fn a_frame_holds_as_many_messages_as_the_kernels_send_or_one_more() {
        let cases = [
            (Profile::OpenBsd6, Action::Insert, 5),
            (Profile::OpenBsd6, Action::UpdateCompressed, 17),
            (Profile::OpenBsd6, Action::DeleteCompressed, 121),
            (Profile::FreeBsd1301, Action::Insert, 6),
            (Profile::FreeBsd1400, Action::Insert, 5),
            (Profile::FreeBsd1500, Action::Insert, 4),
            (Profile::FreeBsd1400, Action::UpdateCompressed, 17),
        ];
        for (profile, action, count) in cases {
            let mut space = FrameSpace::new(&settings(&[profile]), 9000);
            assert_eq!(space.reserve(action, 1000), count, "{profile:?} {action:?}");
            assert_eq!(space.reserve(action, 1000), 0);
        }
    }

    #[test]
    fn the_peer_with_the_least_space_limits_the_batch() {
        let mut both = settings(&[Profile::OpenBsd6, Profile::FreeBsd1500]);
        assert_eq!(FrameSpace::new(&both, 9000).reserve(Action::Insert, 9), 4);
        both.peers[0].mtu = 400;
        assert_eq!(FrameSpace::new(&both, 9000).reserve(Action::Insert, 9), 1);
        assert_eq!(FrameSpace::new(&both, 100).reserve(Action::Insert, 9), 0);
    }
}
