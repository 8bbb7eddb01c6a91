//! Repair of what the link lost between pfplane nodes, at the sender.
//!
//! A peer that misses frames asks for their contents (LOST). The answer is not the old frames: it is what they were about as it
//! is now. Deletes and other ids are sent again, states in full, and only those that no later frame carried as completely. The
//! frames of the answer are numbered and remembered too, so that they are repaired in turn. MENDED in the last one closes the
//! gap.
//!
//! Recent frames are looked up in a memory of fixed size ([`Sent`]). If they are too old for it, the marks of all states tell which
//! ones they carried. Deletes that are too old are lost, and MENDED says so.
//!
//! A peer also reports what it has taken. The same marks tell which states it lacks until then ([`Lacking`]).

mod marks;
mod pending;
mod receivers;
mod sent;
mod taken;

pub(super) use marks::{Lacking, Lacks};
pub(super) use pending::{Asked, Next};
pub(super) use sent::IdKind;

use super::message::PeerIndex;
use super::settings::{MAX_PEERS, SyncSettings};
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::state::StateId;
use crate::table::Slot;
use crate::time::Nanos;
use pending::Pending;
use pfsync::{FrameRange, TakenFrames};
use sent::Sent;
use taken::Taken;

#[derive(Debug)]
struct Stream {
    sent: Sent,
    pending: Pending,
    taken: Taken,
}

/// The memory of one lane's streams, and what is sent of them again.
#[derive(Debug)]
pub(super) struct Repairs {
    /// One for each peer that is a pfplane node.
    streams: List<Option<Stream>>,
    /// The peer whose frame is written, if it is one of those.
    writing: usize,
    /// Frames left in this burst, and when the next one begins.
    budget: u32,
    next_burst: Nanos,
    /// The peer that had the last frame of a repair.
    last_peer: usize,
}

impl Repairs {
    pub(super) fn new(settings: &SyncSettings, heap: Heap) -> Result<Self, Error> {
        let mut streams = heap.list("memory of sent frames", Self::stream_count(settings))?;
        for peer in settings.peers.iter().take(Self::stream_count(settings)) {
            let stream = match peer.extensions {
                true => Some(Stream {
                    sent: Sent::new(settings.table_capacity, heap)?,
                    pending: Pending::default(),
                    taken: Taken::new(peer.max_nodes()),
                }),
                false => None,
            };
            streams.push(stream);
        }
        Ok(Self { streams, writing: usize::MAX, budget: 0, next_burst: 0, last_peer: 0 })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(super) fn memory_needed(settings: &SyncSettings) -> usize {
        let peers = settings.peers.iter().filter(|peer| settings.is_active() && peer.extensions);
        Self::stream_count(settings) * size_of::<Option<Stream>>()
            + peers.count() * Sent::memory_needed(settings.table_capacity)
    }

    fn stream_count(settings: &SyncSettings) -> usize {
        if settings.is_active() { settings.peers.len().min(MAX_PEERS) } else { 0 }
    }

    fn stream_mut(&mut self, peer: usize) -> Option<&mut Stream> {
        self.streams.get_mut(peer)?.as_mut()
    }

    /// Begins the frame with this number to a peer; 0 for a frame without a number.
    #[inline]
    pub(super) fn begin_frame(&mut self, peer: PeerIndex, number: u64, now: Nanos) {
        self.writing = usize::MAX;
        if number > 0
            && let Some(stream) = self.stream_mut(peer.into())
        {
            if stream.sent.lacking() == Lacking::default() {
                stream.taken.receivers.since = now;
            }
            stream.sent.begin(number);
            self.writing = peer.into();
        }
    }

    /// Whether the frame that is written has a number, and is remembered.
    #[inline]
    pub(super) const fn is_writing(&self) -> bool {
        self.writing != usize::MAX
    }

    /// Notes a state in the frame that is written: whole, or a compressed update.
    #[inline]
    pub(super) fn note_state(&mut self, slot: Slot, is_whole: bool, lacks: Lacks) {
        if let Some(Some(stream)) = self.streams.get_mut(self.writing) {
            stream.sent.note_state(slot, is_whole, lacks);
        }
    }

    /// Notes that a state has ended.
    #[inline]
    pub(super) fn remove(&mut self, slot: Slot) {
        self.streams.iter_mut().flatten().for_each(|stream| stream.sent.marks.remove(slot));
    }

    /// Returns what a peer lacks, and since when at most; `None` for one that has reported nothing so far.
    pub(super) fn lacking(&self, peer: PeerIndex) -> Option<(Lacking, Nanos)> {
        let Stream { sent, taken, .. } = self.streams.get(usize::from(peer))?.as_ref()?;
        taken.receivers.have_reported().then(|| (sent.lacking(), taken.receivers.since))
    }

    /// Returns whether the frame that is written is to request a report. `is_urgent`: somebody waits for it.
    pub(super) fn requests_report(&mut self, is_urgent: bool, now: Nanos) -> bool {
        let Some(Some(Stream { sent, taken, .. })) = self.streams.get_mut(self.writing) else { return false };
        taken.receivers.request(sent.newest(), is_urgent, now)
    }

    /// Whether a peer lacks something, as far as this node knows.
    pub(super) fn is_lacking(&self, peer: PeerIndex) -> bool {
        let stream = self.streams.get(usize::from(peer)).and_then(Option::as_ref);
        stream.is_some_and(|stream| stream.sent.lacking() != Lacking::default())
    }

    /// Notes what a run of a peer has taken.
    pub(super) fn taken(&mut self, peer: PeerIndex, run: u64, taken: TakenFrames, now: Nanos) {
        let Some(stream) = self.stream_mut(peer.into()) else { return };
        if stream.taken.receivers.report(run, taken, now) {
            stream.taken.lost_all_but(taken);
        }
    }

    /// Notes what a peer has taken, in part. Passes each state whose last frame it took to `taken`.
    pub(super) fn step_taken(&mut self, peer: PeerIndex, now: Nanos, taken: impl FnMut(Slot)) {
        if let Some(stream) = self.stream_mut(peer.into())
            && stream.taken.is_behind(now)
        {
            stream.taken.step(&mut stream.sent, now, taken);
        }
    }

    /// Notes an id in the frame that is written.
    #[inline]
    pub(super) fn note_id(&mut self, kind: IdKind, id: StateId) {
        if let Some(Some(stream)) = self.streams.get_mut(self.writing) {
            stream.sent.note_id(kind, id);
        }
    }

    /// Notes that a peer did not receive frames.
    pub(super) fn ask(&mut self, peer: PeerIndex, frames: FrameRange) -> Asked {
        match self.stream_mut(peer.into()) {
            Some(Stream { sent, pending, .. }) => pending.ask(frames, sent),
            None => Asked::Refused,
        }
    }

    /// Whether something is to be sent again.
    pub(super) fn is_pending(&self) -> bool {
        self.streams.iter().flatten().any(|stream| !stream.pending.is_empty())
    }

    /// When the next frame of a repair may be written.
    pub(super) fn deadline(&self) -> Nanos {
        match self.is_pending() {
            false => Nanos::MAX,
            true if self.budget > 0 => 0,
            true => self.next_burst,
        }
    }

    /// Returns the peer whose repair may be continued now, within a pace of `frames` per `interval`. The peers take turns.
    pub(super) fn next_peer(&mut self, now: Nanos, frames: u32, interval: Nanos) -> Option<PeerIndex> {
        if !self.is_pending() {
            return None;
        }
        if now >= self.next_burst {
            self.budget = frames;
            self.next_burst = now.saturating_add(interval);
        }
        self.budget = self.budget.checked_sub(1)?;
        let count = self.streams.len();
        let after = |n: usize| (self.last_peer + 1 + n) % count;
        let is_pending =
            |peer: &usize| self.streams[*peer].as_ref().is_some_and(|stream| !stream.pending.is_empty());
        self.last_peer = (0..count).map(after).find(is_pending)?;
        if let Some(stream) = self.stream_mut(self.last_peer) {
            stream.pending.begin_frame();
        }
        PeerIndex::try_from(self.last_peer).ok()
    }

    /// Returns what is to be sent next to a peer, see [`Pending::next`].
    pub(super) fn next(&mut self, peer: PeerIndex, scans: &mut u64) -> Option<Next> {
        let Stream { sent, pending, .. } = self.stream_mut(peer.into())?;
        pending.next(sent, scans)
    }

    /// Moves behind what [`Self::next`] returned.
    pub(super) fn advance(&mut self, peer: PeerIndex) {
        if let Some(Stream { sent, pending, .. }) = self.stream_mut(peer.into()) {
            pending.advance(sent);
        }
    }
}

#[cfg(test)]
mod exposure_tests;
#[cfg(test)]
mod tests;
