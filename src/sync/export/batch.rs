//! One frame's worth of messages, to be written once for each peer.
//!
//! Messages leave their queues when the batch is made and are rendered for every peer in turn from the states as they
//! are then. The batch is chosen so that it fits into one frame of each peer; should a buffer turn out shorter, the rest
//! goes into another frame.

use crate::state::StateId;
use crate::sync::message::PeerIndex;
use crate::sync::settings::{MAX_PEERS, SyncSettings};
use crate::table::Slot;
use arrayvec::ArrayVec;
use core::cmp::Ordering;
use pfsync::{Action, Profile, SUBHEADER_BYTES};

/// Messages of a frame of 9000 bytes, if all were deletes.
pub(super) const MAX_ITEMS: usize = 768;

/// A message to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub action: Action,
    /// [`Slot::NONE`] where the identity is all that there is.
    pub slot: Slot,
    pub id: StateId,
}

/// The messages that are being written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub items: ArrayVec<Item, MAX_ITEMS>,
    /// The peer that is written to.
    pub peer: PeerIndex,
    /// The first item that this peer has not been sent.
    pub next: usize,
    /// The last peer, exclusive.
    pub peers_end: PeerIndex,
}

impl Batch {
    pub const fn is_pending(&self) -> bool {
        self.peer < self.peers_end
    }

    /// Begins anew, for the peers from `first` to before `end`.
    pub fn open(&mut self, first: PeerIndex, end: PeerIndex) {
        self.close();
        self.peer = first;
        self.peers_end = end;
    }

    pub fn push(&mut self, item: Item) {
        self.items.push(item);
    }

    /// Nothing of it can be sent.
    pub fn close(&mut self) {
        self.peers_end = 0;
        self.next = 0;
        self.items.clear();
    }

    /// Inserts and updates that a peer has not been sent.
    pub fn unsent(&self, peer: PeerIndex) -> (u32, u32) {
        let from = match peer.cmp(&self.peer) {
            _ if !self.is_pending() || peer >= self.peers_end => self.items.len(),
            Ordering::Less => self.items.len(),
            Ordering::Equal => self.next,
            Ordering::Greater => 0,
        };
        let count = |is: fn(Action) -> bool| {
            let items = self.items.iter().skip(from).filter(|item| is(item.action));
            u32::try_from(items.count()).unwrap_or(u32::MAX)
        };
        let creations = count(|action| action == Action::Insert);
        (creations, count(|action| matches!(action, Action::Update | Action::UpdateCompressed)))
    }

    /// This peer has been sent everything.
    pub fn next_peer(&mut self) {
        self.peer += 1;
        self.next = 0;
        if !self.is_pending() {
            self.close();
        }
    }
}

/// Bytes that are left in a frame of each peer while a batch is chosen.
#[derive(Debug)]
pub(super) struct Fit {
    left: ArrayVec<(Profile, usize), MAX_PEERS>,
    items: usize,
}

impl Fit {
    /// Frames of `room` bytes at most.
    pub fn new(settings: &SyncSettings, room: usize) -> Self {
        let left = settings.peers.iter().map(|peer| {
            let bytes = settings.mtu_of(peer).min(room).saturating_sub(peer.overhead(settings.trailer));
            (peer.profile, bytes)
        });
        Self { left: left.collect(), items: MAX_ITEMS }
    }

    /// How many of `wanted` messages fit as a region; their room is taken.
    pub fn claim(&mut self, action: Action, wanted: u32) -> u32 {
        let fits = |&(profile, left): &(Profile, usize)| {
            left.saturating_sub(SUBHEADER_BYTES) / bytes_of(profile, action)
        };
        let most = self.left.iter().map(fits).min().unwrap_or(0).min(self.items);
        let count = most.min(wanted as usize);
        if count > 0 {
            for (profile, left) in &mut self.left {
                *left -= SUBHEADER_BYTES + count * bytes_of(*profile, action);
            }
            self.items -= count;
        }
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// Bytes of one message.
const fn bytes_of(profile: Profile, action: Action) -> usize {
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
    fn a_frame_takes_as_much_as_the_kernels_put_into_it_or_one_more() {
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
            let mut fit = Fit::new(&settings(&[profile]), 9000);
            assert_eq!(fit.claim(action, 1000), count, "{profile:?} {action:?}");
            assert_eq!(fit.claim(action, 1000), 0);
        }
    }

    #[test]
    fn the_peer_with_the_least_room_decides() {
        let mut both = settings(&[Profile::OpenBsd6, Profile::FreeBsd1500]);
        assert_eq!(Fit::new(&both, 9000).claim(Action::Insert, 9), 4);
        both.peers[0].mtu = 400;
        assert_eq!(Fit::new(&both, 9000).claim(Action::Insert, 9), 1);
        assert_eq!(Fit::new(&both, 100).claim(Action::Insert, 9), 0);
    }
}
