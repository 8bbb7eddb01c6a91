//! Numbers that lanes and the control thread share, each with one meaning. Nobody waits for them.

use super::comparisons::ComparisonBoard;
use super::hellos::Hellos;
use super::imports::{Board, ImportReport};
use crate::error::Error;
use crate::memory::{Counted, Heap, List};
use crate::sync::{
    Ending, LastBulk, MAX_PAUSE_HOLD, MAX_PEERS, PeerIndex, Phase, Readiness, ReadyClass, Reasons, Tuning,
};
use crate::time::{Nanos, Tick};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Each field says who writes it. Anybody may read it. The packet path touches none.
#[derive(Debug)]
pub struct Shared {
    /// Control thread: the sync port's link.
    link_up: AtomicBool,
    /// Control thread sets it, the sync lane takes it: request a bulk transfer.
    bulk_wanted: AtomicBool,
    /// Control thread sets it, the sync lane takes it: send all states to all peers.
    push_wanted: AtomicBool,
    /// Control thread: a [`Tuning`], packed; 0 for none.
    tuning: AtomicU64,
    /// Control thread: clears requested so far.
    clears_wanted: AtomicU32,
    /// Every lane: how far any lane has counted ids.
    ids_counted: AtomicU64,
    /// Sync lane: where ids continue, above those of an earlier run that came back.
    ids_lifted: AtomicU64,
    /// Sync lane: when each peer's last frame was received, plus one; 0 for never.
    last_seen: [AtomicU64; MAX_PEERS],
    /// Number of peers.
    peers: usize,
    /// Sync lane: class and reasons of the readiness, see [`readiness_word`].
    readiness: AtomicU32,
    /// Sync lane: states missing.
    missing: AtomicU64,
    /// Every lane: times that one was not polled for too long.
    pauses: AtomicU32,
    /// Sync lane: those of them that need no repair any more.
    pauses_repaired: AtomicU32,
    /// Every lane: the tick until which the first pause that needs repair holds the expiry of states.
    hold_until: AtomicU32,
    /// Control thread: frames that the host's port missed.
    frames_missed: AtomicU64,
    /// Control threads put them, the sync lane sends them: hellos of election groups.
    pub hellos_to_send: Hellos,
    /// The sync lane puts them, control threads take them: hellos of other nodes.
    pub hellos_received: Hellos,
    /// Sync lane: how this node compares with each peer.
    pub comparisons: [ComparisonBoard; MAX_PEERS],
    /// Each lane: its imports.
    imports: List<Board>,
    /// Sync lane: progress of the bulk transfer.
    bulk_phase: AtomicU32,
    bulk_attempts: AtomicU32,
    bulk_states: AtomicU64,
    /// Sync lane: the last transfer that ended.
    last_ending: AtomicU32,
    last_states: AtomicU64,
    last_took: AtomicU64,
    /// Every lane: states of all lanes at their last housekeeping, for adaptive timeouts.
    states: AtomicU32,
    /// Every lane: half-open TCP connections, as `states`.
    half_open: AtomicU32,
}

/// Progress of the bulk transfer from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkProgress {
    /// Phase of the transfer.
    pub phase: Phase,
    /// Requests sent for it.
    pub attempts: u32,
    /// States received since the request.
    pub states: u64,
    /// The transfer before this one, or this one when it is over.
    pub last: LastBulk,
}

impl Shared {
    /// Assumes that the link is up. Without a peer the node is ready at once.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[inline(never)]
    pub fn new(peers: usize, lanes: u32, heap: Heap) -> Result<Counted<Self>, Error> {
        let has_peer = peers > 0;
        let readiness = if has_peer { Readiness::default() } else { Readiness::ALONE };
        let shared = Self {
            peers,
            readiness: AtomicU32::new(readiness_word(&readiness)),
            missing: AtomicU64::new(0),
            pauses: AtomicU32::new(0),
            pauses_repaired: AtomicU32::new(0),
            hold_until: AtomicU32::new(0),
            frames_missed: AtomicU64::new(0),
            hellos_to_send: Hellos::default(),
            hellos_received: Hellos::default(),
            comparisons: Default::default(),
            imports: heap.list_of("reports of the lanes", lanes as usize, |_| Board::default())?,
            link_up: AtomicBool::new(true),
            bulk_wanted: AtomicBool::new(has_peer),
            push_wanted: AtomicBool::new(false),
            tuning: AtomicU64::new(0),
            clears_wanted: AtomicU32::new(0),
            ids_counted: AtomicU64::new(0),
            ids_lifted: AtomicU64::new(0),
            last_seen: [const { AtomicU64::new(0) }; MAX_PEERS],
            bulk_phase: AtomicU32::new(Phase::Idle as u32),
            bulk_attempts: AtomicU32::new(0),
            bulk_states: AtomicU64::new(0),
            last_ending: AtomicU32::new(0),
            last_states: AtomicU64::new(0),
            last_took: AtomicU64::new(0),
            states: AtomicU32::new(0),
            half_open: AtomicU32::new(0),
        };
        Counted::new(heap, "numbers of the engine", shared)
    }

    /// Returns the bytes that [`Self::new`] allocates.
    #[must_use]
    pub const fn memory_needed(lanes: u32) -> usize {
        lanes as usize * size_of::<Board>()
    }

    /// Returns whether the sync port's link is up.
    #[must_use]
    pub fn link_up(&self) -> bool {
        self.link_up.load(Ordering::Relaxed)
    }

    /// Sets whether the sync port's link is up. Returns the previous value.
    pub fn set_link_up(&self, up: bool) -> bool {
        self.link_up.swap(up, Ordering::Relaxed)
    }

    /// Requests a bulk transfer at the sync lane's next housekeeping.
    pub fn request_bulk(&self) {
        self.bulk_wanted.store(true, Ordering::Relaxed);
    }

    /// Returns whether a bulk transfer was requested since the last call.
    pub fn take_bulk_request(&self) -> bool {
        self.bulk_wanted.load(Ordering::Relaxed) && self.bulk_wanted.swap(false, Ordering::Relaxed)
    }

    /// Requests that every lane remove all its states, from its next housekeeping on.
    pub fn request_clear(&self) {
        self.clears_wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many clears were requested so far.
    pub fn clears_wanted(&self) -> u32 {
        self.clears_wanted.load(Ordering::Relaxed)
    }

    /// Notes how far a lane has counted ids.
    pub fn note_ids(&self, counted: u64) {
        self.ids_counted.fetch_max(counted, Ordering::Relaxed);
    }

    /// Returns how far any lane had counted ids at its last housekeeping.
    pub fn ids_counted(&self) -> u64 {
        self.ids_counted.load(Ordering::Relaxed)
    }

    /// Lets all lanes continue their ids at `next` if that is ahead.
    pub fn lift_ids(&self, next: u64) {
        self.ids_lifted.fetch_max(next, Ordering::Relaxed);
    }

    /// Returns where ids continue at least.
    pub fn ids_lifted(&self) -> u64 {
        self.ids_lifted.load(Ordering::Relaxed)
    }

    /// Requests that all states be sent to all peers, from the sync lane's next housekeeping on.
    pub fn request_push(&self) {
        self.push_wanted.store(true, Ordering::Relaxed);
    }

    /// Returns whether [`Self::request_push`] was called since the last call.
    pub fn take_push_request(&self) -> bool {
        self.push_wanted.load(Ordering::Relaxed) && self.push_wanted.swap(false, Ordering::Relaxed)
    }

    /// Gives every lane a tuning, which has been checked.
    pub fn set_tuning(&self, tuning: &Tuning) {
        self.tuning.store(tuning.packed(), Ordering::Relaxed);
    }

    /// Returns the tuning as one word, 0 for none.
    pub fn tuning(&self) -> u64 {
        self.tuning.load(Ordering::Relaxed)
    }

    /// Returns when a peer's last frame was received.
    #[must_use]
    pub fn last_seen(&self, peer: PeerIndex) -> Option<Nanos> {
        self.last_seen.get(usize::from(peer))?.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Sets when each peer's last frame was received.
    pub fn set_last_seen(&self, last_seen: &[Option<Nanos>; MAX_PEERS]) {
        for (shown, seen) in self.last_seen.iter().zip(last_seen) {
            shown.store(seen.map_or(0, |seen| seen.saturating_add(1)), Ordering::Relaxed);
        }
    }

    /// Returns whether this node may take over. Cost: one load.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.computed_readiness().is_ready()
    }

    /// Returns the readiness at `now`.
    #[must_use]
    pub fn readiness(&self, now: Nanos) -> Readiness {
        let computed = self.computed_readiness();
        let readiness = Readiness { missing: self.missing.load(Ordering::Relaxed), ..computed };
        let last_seen = (0..self.peers).map(|peer| self.last_seen(peer as PeerIndex));
        readiness.at(last_seen, self.link_up(), now)
    }

    fn computed_readiness(&self) -> Readiness {
        readiness_of(self.readiness.load(Ordering::Acquire))
    }

    /// Publishes the readiness.
    pub fn set_readiness(&self, readiness: &Readiness) {
        self.missing.store(readiness.missing, Ordering::Relaxed);
        self.readiness.store(readiness_word(readiness), Ordering::Release);
    }

    /// Counts that a lane was not polled for too long.
    pub fn count_pause(&self, now: Nanos) {
        if !self.needs_repair() {
            self.hold_until.store(Tick::from_nanos(now + MAX_PAUSE_HOLD).0, Ordering::Relaxed);
        }
        self.pauses.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether all states are to be received because of a pause.
    fn needs_repair(&self) -> bool {
        self.pauses() != self.pauses_repaired.load(Ordering::Relaxed)
    }

    /// Returns how often a lane was not polled for too long, modulo 2^32.
    pub fn pauses(&self) -> u32 {
        self.pauses.load(Ordering::Relaxed)
    }

    /// Sets how many pauses need no repair any more.
    pub fn set_pauses_repaired(&self, pauses: u32) {
        self.pauses_repaired.store(pauses, Ordering::Relaxed);
    }

    /// Whether nothing may expire: after a pause, a peer may have passed packets of any state since this node's last
    /// packet of it, and the states that were requested have not arrived. It ends in bounded time.
    pub fn holds_expiry(&self, now: Tick) -> bool {
        let is_receiving = || self.bulk_phase.load(Ordering::Relaxed) == Phase::Receiving as u32;
        let is_recent = || Tick(self.hold_until.load(Ordering::Relaxed)).since(now) > 0;
        self.needs_repair() && (is_recent() || is_receiving()) && self.has_seen_peer()
    }

    /// Whether a peer has ever sent a frame.
    pub fn has_seen_peer(&self) -> bool {
        (0..self.peers).any(|peer| self.last_seen(peer as PeerIndex).is_some())
    }

    /// Counts frames that the host's port missed.
    pub fn count_missed_frames(&self, frames: u64) {
        self.frames_missed.fetch_add(frames, Ordering::Relaxed);
    }

    /// Returns how many frames the host's port has missed.
    pub fn frames_missed(&self) -> u64 {
        self.frames_missed.load(Ordering::Relaxed)
    }

    /// Publishes a lane's imports.
    pub fn publish_imports(&self, lane: u16, report: &ImportReport) {
        if let Some(board) = self.imports.get(usize::from(lane)) {
            board.publish(report);
        }
    }

    /// Returns the imports of each lane.
    pub fn imports(&self) -> impl Iterator<Item = ImportReport> {
        self.imports.iter().map(Board::read)
    }

    /// Returns the progress of the bulk transfer.
    #[must_use]
    pub fn bulk(&self) -> BulkProgress {
        BulkProgress {
            phase: phase_of(self.bulk_phase.load(Ordering::Relaxed)),
            attempts: self.bulk_attempts.load(Ordering::Relaxed),
            states: self.bulk_states.load(Ordering::Relaxed),
            last: LastBulk {
                ending: ending_of(self.last_ending.load(Ordering::Relaxed)),
                states: self.last_states.load(Ordering::Relaxed),
                took: self.last_took.load(Ordering::Relaxed),
            },
        }
    }

    /// Publishes the progress of the bulk transfer.
    pub fn set_bulk(&self, progress: BulkProgress) {
        self.bulk_phase.store(progress.phase as u32, Ordering::Relaxed);
        self.bulk_attempts.store(progress.attempts, Ordering::Relaxed);
        self.bulk_states.store(progress.states, Ordering::Relaxed);
        self.last_ending.store(progress.last.ending as u32, Ordering::Relaxed);
        self.last_states.store(progress.last.states, Ordering::Relaxed);
        self.last_took.store(progress.last.took, Ordering::Relaxed);
    }

    /// Returns the states of all lanes, as of their last housekeeping.
    #[must_use]
    pub fn states(&self) -> u32 {
        self.states.load(Ordering::Relaxed)
    }

    /// Adds a lane's change since its last housekeeping: it had `before` states and has `now`.
    pub fn count_states(&self, before: u32, now: u32) {
        self.states.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Adds a lane's change of half-open connections, as [`Self::count_states`]. Returns those of all lanes.
    pub fn count_half_open(&self, before: u32, now: u32) -> u32 {
        let change = now.wrapping_sub(before);
        self.half_open.fetch_add(change, Ordering::Relaxed).wrapping_add(change)
    }
}

/// Packs class and reasons into one word, so that they are read together.
const fn readiness_word(readiness: &Readiness) -> u32 {
    readiness.reasons.0 << 8 | readiness.class as u32
}

/// Unpacks a word of [`readiness_word`].
const fn readiness_of(word: u32) -> Readiness {
    let class = match word & 0xff {
        1 => ReadyClass::GaveUp,
        2 => ReadyClass::Synced,
        _ => ReadyClass::Loading,
    };
    Readiness { class, reasons: Reasons(word >> 8), missing: 0, peer_age: None }
}

/// Returns the phase that was stored as a number.
const fn phase_of(number: u32) -> Phase {
    match number {
        1 => Phase::Waiting,
        2 => Phase::Receiving,
        3 => Phase::Done,
        4 => Phase::GivenUp,
        _ => Phase::Idle,
    }
}

/// Returns the ending that was stored as a number.
const fn ending_of(number: u32) -> Ending {
    match number {
        1 => Ending::Complete,
        2 => Ending::NoAnswer,
        3 => Ending::BrokenOff,
        4 => Ending::TooLong,
        _ => Ending::None,
    }
}
