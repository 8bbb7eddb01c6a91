//! What the lanes and the control thread tell each other without waiting: single numbers, each with one meaning.

use crate::sync::{Ending, LastBulk, MAX_PEERS, PeerIndex, Phase, Tuning};
use crate::time::Nanos;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Written by whom the field says, read by anybody. Never touched on the packet path.
#[derive(Debug)]
pub struct Shared {
    /// Control thread: the sync port's link.
    link_up: AtomicBool,
    /// Control thread sets it, the sync lane takes it.
    bulk_wanted: AtomicBool,
    /// Control thread sets it, the sync lane takes it: peers are to be told all states.
    push_wanted: AtomicBool,
    /// Control thread: a [`Tuning`], packed; 0 for none.
    tuning: AtomicU64,
    /// Control thread: how often all states were to be ended.
    clears_wanted: AtomicU32,
    /// Every lane: clears that it is done with, summed.
    clears_done: AtomicU32,
    /// Sync lane: when each peer was last heard, plus one; 0 for never.
    heard: [AtomicU64; MAX_PEERS],
    /// Sync lane: this node may take over.
    ready: AtomicBool,
    /// Sync lane: how far the bulk transfer is.
    bulk_phase: AtomicU32,
    bulk_attempts: AtomicU32,
    bulk_states: AtomicU64,
    /// Sync lane: the transfer that ended last.
    last_ending: AtomicU32,
    last_states: AtomicU64,
    last_took: AtomicU64,
    /// Every lane: states of all lanes at their last housekeeping, for adaptive timeouts.
    states: AtomicU32,
    /// Every lane: likewise, TCP connections that are not open yet.
    half_open: AtomicU32,
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
    /// The transfer before this one, or this one when it is over.
    pub last: LastBulk,
}

impl Shared {
    /// The link is taken to be up; without a peer the node is ready at once.
    #[must_use]
    pub fn new(has_peer: bool) -> Self {
        Self {
            link_up: AtomicBool::new(true),
            bulk_wanted: AtomicBool::new(has_peer),
            push_wanted: AtomicBool::new(false),
            tuning: AtomicU64::new(0),
            clears_wanted: AtomicU32::new(0),
            clears_done: AtomicU32::new(0),
            heard: [const { AtomicU64::new(0) }; MAX_PEERS],
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

    /// Has every lane end all its states, from its next housekeeping on.
    pub fn want_clear(&self) {
        self.clears_wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was asked for.
    pub(super) fn clears_wanted(&self) -> u32 {
        self.clears_wanted.load(Ordering::Relaxed)
    }

    /// A lane is done with so many clears more.
    pub(super) fn clears_done(&self, more: u32) {
        self.clears_done.fetch_add(more, Ordering::Relaxed);
    }

    /// Whether all lanes are done with the first `clears` clears.
    pub(super) fn all_cleared(&self, clears: u32, lanes: u16) -> bool {
        let done = self.clears_done.load(Ordering::Relaxed);
        done.wrapping_sub(clears.wrapping_mul(lanes.into())).cast_signed() >= 0
    }

    /// Has all peers told all states, from the sync lane's next housekeeping on.
    pub fn want_push(&self) {
        self.push_wanted.store(true, Ordering::Relaxed);
    }

    /// Whether peers are to be told all states since the last call.
    pub(super) fn take_push_wanted(&self) -> bool {
        self.push_wanted.load(Ordering::Relaxed) && self.push_wanted.swap(false, Ordering::Relaxed)
    }

    /// Tells every lane a tuning, which has been checked.
    pub fn set_tuning(&self, tuning: &Tuning) {
        self.tuning.store(tuning.packed(), Ordering::Relaxed);
    }

    /// The tuning as one word, 0 for none.
    pub(super) fn tuning(&self) -> u64 {
        self.tuning.load(Ordering::Relaxed)
    }

    /// When a peer was last heard.
    #[must_use]
    pub fn heard(&self, peer: PeerIndex) -> Option<Nanos> {
        self.heard.get(usize::from(peer))?.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(super) fn set_heard(&self, heard: &[Option<Nanos>; MAX_PEERS]) {
        for (shown, heard) in self.heard.iter().zip(heard) {
            shown.store(heard.map_or(0, |heard| heard.saturating_add(1)), Ordering::Relaxed);
        }
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
            last: LastBulk {
                ending: ending_of(self.last_ending.load(Ordering::Relaxed)),
                states: self.last_states.load(Ordering::Relaxed),
                took: self.last_took.load(Ordering::Relaxed),
            },
        }
    }

    pub(super) fn set_bulk(&self, progress: BulkProgress) {
        self.bulk_phase.store(progress.phase as u32, Ordering::Relaxed);
        self.bulk_attempts.store(progress.attempts, Ordering::Relaxed);
        self.bulk_states.store(progress.states, Ordering::Relaxed);
        self.last_ending.store(progress.last.ending as u32, Ordering::Relaxed);
        self.last_states.store(progress.last.states, Ordering::Relaxed);
        self.last_took.store(progress.last.took, Ordering::Relaxed);
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

    /// A lane had `before` half-open connections at its last housekeeping and has `now`; gives those of all lanes.
    pub(super) fn count_half_open(&self, before: u32, now: u32) -> u32 {
        let change = now.wrapping_sub(before);
        self.half_open.fetch_add(change, Ordering::Relaxed).wrapping_add(change)
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

/// The ending of a number that was stored from one.
const fn ending_of(number: u32) -> Ending {
    match number {
        1 => Ending::Complete,
        2 => Ending::NoAnswer,
        3 => Ending::BrokenOff,
        4 => Ending::TooLong,
        _ => Ending::None,
    }
}
