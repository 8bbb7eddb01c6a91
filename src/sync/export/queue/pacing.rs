//! When the next frame is due.

use crate::sync::settings::SyncSettings;
use crate::time::Nanos;

/// A port that refused a frame gets none for this long.
const PAUSE: Nanos = 1_000_000;
/// Bytes of a delete.
const DELETE_BYTES: usize = 12;

/// Deadlines of one lane's export.
#[derive(Debug)]
pub(in crate::sync) struct Pacing {
    /// No frame is due before this time.
    deadline: Nanos,
    /// The port refused a frame: none is due before this time either.
    paused_until: Nanos,
    /// When the oldest waiting insert or delete was queued.
    pub creations_since: Nanos,
    /// Inserts and deletes fill a frame or must not wait.
    pub creations_due: bool,
    /// When the first state reaches the minimum age, approximately.
    pub min_age_at: Nanos,
    /// Inserts and deletes that fill a frame, in bytes of the largest state any peer's dialect has.
    frame_bytes: usize,
    state_bytes: usize,
}

impl Pacing {
    pub(crate) fn new(settings: &SyncSettings) -> Self {
        let mut pacing = Self {
            deadline: Nanos::MAX,
            paused_until: 0,
            creations_since: 0,
            creations_due: false,
            min_age_at: Nanos::MAX,
            frame_bytes: 0,
            state_bytes: 0,
        };
        pacing.measure(settings);
        pacing
    }

    /// Computes the size of a full frame; repeated when the MTU has changed.
    pub(crate) fn measure(&mut self, settings: &SyncSettings) {
        let payload = settings.peers.iter().map(|peer| settings.mtu_of(peer).saturating_sub(peer.overhead()));
        self.frame_bytes = payload.min().unwrap_or(0);
        self.state_bytes = settings.peers.iter().map(|peer| peer.profile.state_bytes()).max().unwrap_or(0);
    }

    #[inline]
    pub(crate) const fn is_due(&self, now: Nanos) -> bool {
        now >= self.deadline && now >= self.paused_until
    }

    /// Makes a frame due now.
    pub(crate) const fn wake(&mut self) {
        self.deadline = 0;
    }

    /// Makes a frame due at this time, if none is due earlier.
    pub(crate) fn wake_at(&mut self, at: Nanos) {
        self.deadline = self.deadline.min(at);
    }

    /// Sets the time before which nothing is due.
    pub(crate) const fn sleep_until(&mut self, deadline: Nanos) {
        self.deadline = deadline;
    }

    /// Stops writing for a moment: the port refuses frames.
    pub(crate) const fn pause(&mut self, now: Nanos) {
        self.paused_until = now.saturating_add(PAUSE);
    }

    /// Notes that an insert or a delete joins the `waiting` ones.
    pub(crate) fn note_creation(&mut self, waiting: usize, insert_age: Nanos, now: Nanos) {
        if waiting == 0 {
            self.creations_since = now;
        }
        self.wake_at(self.creations_since.saturating_add(insert_age));
    }

    /// Notes that a state below the minimum age was created.
    pub(crate) fn note_too_young(&mut self, now: Nanos, min_age: Nanos) {
        self.min_age_at = self.min_age_at.min(now.saturating_add(min_age));
        self.wake_at(self.min_age_at);
    }

    /// Returns how many of the largest states fit into a frame.
    pub(crate) fn states_per_frame(&self) -> u32 {
        u32::try_from(self.frame_bytes / self.state_bytes.max(1)).unwrap_or(u32::MAX).clamp(1, 256)
    }

    /// Makes waiting inserts and deletes due when they fill a frame.
    pub(crate) const fn check_fill(&mut self, inserts: u32, deletes: usize) {
        if inserts as usize * self.state_bytes + deletes * DELETE_BYTES >= self.frame_bytes {
            self.make_creations_due();
        }
    }

    /// Makes waiting inserts and deletes due now.
    pub(crate) const fn make_creations_due(&mut self) {
        self.creations_due = true;
        self.wake();
    }
}
