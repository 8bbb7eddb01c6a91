//! Numbers that lanes and the control thread share, each with one meaning. Nobody waits for them.

use crate::sync::{Ending, LastBulk, MAX_PEERS, PeerIndex, Phase, Tuning};
use crate::time::Nanos;
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
    /// Sync lane: this node may take over.
    ready: AtomicBool,
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
    #[must_use]
    pub fn new(has_peer: bool) -> Self {
        Self {
            link_up: AtomicBool::new(true),
            bulk_wanted: AtomicBool::new(has_peer),
            push_wanted: AtomicBool::new(false),
            tuning: AtomicU64::new(0),
            clears_wanted: AtomicU32::new(0),
            ids_counted: AtomicU64::new(0),
            ids_lifted: AtomicU64::new(0),
            last_seen: [const { AtomicU64::new(0) }; MAX_PEERS],
            ready: AtomicBool::new(!has_peer),
            bulk_phase: AtomicU32::new(Phase::Idle as u32),
            bulk_attempts: AtomicU32::new(0),
            bulk_states: AtomicU64::new(0),
            last_ending: AtomicU32::new(0),
            last_states: AtomicU64::new(0),
            last_took: AtomicU64::new(0),
            states: AtomicU32::new(0),
            half_open: AtomicU32::new(0),
        }
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

    /// Returns whether this node may take over.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Declares that this node may take over.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
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
