//! What the lanes and the control thread tell each other without waiting: single numbers, each with one meaning.

use crate::sync::Phase;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Written by whom the field says, read by anybody. Never touched on the packet path.
#[derive(Debug)]
pub struct Shared {
    /// Control thread: the sync port's link.
    link_up: AtomicBool,
    /// Control thread sets it, the sync lane takes it.
    bulk_wanted: AtomicBool,
    /// Sync lane: this node may take over.
    ready: AtomicBool,
    /// Sync lane: how far the bulk transfer is.
    bulk_phase: AtomicU32,
    bulk_attempts: AtomicU32,
    bulk_states: AtomicU64,
    /// Every lane: states of all lanes at their last housekeeping, for adaptive timeouts.
    states: AtomicU32,
}

/// How far the bulk transfer from the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkProgress {
    /// Where in the transfer.
    pub phase: Phase,
    /// Requests sent for it.
    pub attempts: u32,
    /// States that came since the request.
    pub states: u64,
}

impl Shared {
    /// The link is taken to be up; without a peer the node is ready at once.
    #[must_use]
    pub fn new(has_peer: bool) -> Self {
        Self {
            link_up: AtomicBool::new(true),
            bulk_wanted: AtomicBool::new(has_peer),
            ready: AtomicBool::new(!has_peer),
            bulk_phase: AtomicU32::new(Phase::Idle as u32),
            bulk_attempts: AtomicU32::new(0),
            bulk_states: AtomicU64::new(0),
            states: AtomicU32::new(0),
        }
    }

    /// Whether the sync port's link is up.
    #[must_use]
    pub fn link_up(&self) -> bool {
        self.link_up.load(Ordering::Relaxed)
    }

    /// Says whether the sync port's link is up; gives what was said before.
    pub fn set_link_up(&self, up: bool) -> bool {
        self.link_up.swap(up, Ordering::Relaxed)
    }

    /// Asks for a bulk transfer at the sync lane's next housekeeping.
    pub fn want_bulk(&self) {
        self.bulk_wanted.store(true, Ordering::Relaxed);
    }

    /// Whether a bulk transfer was asked for since the last call.
    pub(super) fn take_bulk_wanted(&self) -> bool {
        self.bulk_wanted.load(Ordering::Relaxed) && self.bulk_wanted.swap(false, Ordering::Relaxed)
    }

    /// Whether this node may take over.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// How far the bulk transfer is.
    #[must_use]
    pub fn bulk(&self) -> BulkProgress {
        BulkProgress {
            phase: phase_of(self.bulk_phase.load(Ordering::Relaxed)),
            attempts: self.bulk_attempts.load(Ordering::Relaxed),
            states: self.bulk_states.load(Ordering::Relaxed),
        }
    }

    pub(super) fn set_bulk(&self, progress: BulkProgress) {
        self.bulk_phase.store(progress.phase as u32, Ordering::Relaxed);
        self.bulk_attempts.store(progress.attempts, Ordering::Relaxed);
        self.bulk_states.store(progress.states, Ordering::Relaxed);
    }

    /// States of all lanes, as of their last housekeeping.
    #[must_use]
    pub fn states(&self) -> u32 {
        self.states.load(Ordering::Relaxed)
    }

    /// A lane had `before` states at its last housekeeping and has `now`.
    pub(super) fn count_states(&self, before: u32, now: u32) {
        self.states.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }
}

/// The phase of a number that was stored from one.
const fn phase_of(number: u32) -> Phase {
    match number {
        1 => Phase::Waiting,
        2 => Phase::Receiving,
        3 => Phase::Done,
        4 => Phase::GivenUp,
        _ => Phase::Idle,
    }
}
