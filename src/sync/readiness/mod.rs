//! Readiness: whether this node may take over, and what speaks against it.
//!
//! It is computed in every poll from what was counted, and never counted up and down itself. So nothing is left set by an
//! event that was forgotten.

mod monitor;

pub use monitor::{Events, Inputs, ReadinessMonitor, Refusals};

use crate::time::{NANOS_PER_SECOND, Nanos};

/// A peer that has sent nothing for this long is silent.
const SILENCE: Nanos = 3 * NANOS_PER_SECOND;

/// Maximum time after a pause for which nothing expires while no peer sends its states: longer than all states are requested
/// by default.
pub const MAX_PAUSE_HOLD: Nanos = 30 * NANOS_PER_SECOND;

/// How this node's states compare with its peers'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ReadyClass {
    /// States are missing or may be, and this node is about to receive them.
    #[default]
    Loading = 0,
    /// States may be missing, and no peer sends them.
    GaveUp = 1,
    /// This node holds what its peers have sent it, or has no peer.
    Synced = 2,
}

/// Reasons that speak against a takeover, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(pub u32);

impl Reasons {
    /// All states were requested, and have not all been applied.
    pub const BULK_RUNNING: u32 = 1;
    /// The last bulk transfer was given up.
    pub const BULK_FAILED: u32 = 1 << 1;
    /// Peers' states were refused for lack of space: [`Readiness::missing`] says how many.
    pub const STATES_MISSING: u32 = 1 << 2;
    /// Messages to another lane were lost because its ring was full, and are being requested again.
    pub const MESSAGES_LOST: u32 = 1 << 3;
    /// The host's port missed frames.
    pub const FRAMES_MISSED: u32 = 1 << 4;
    /// A lane was not polled for longer than [`super::SyncSettings::max_poll_gap`].
    pub const PAUSED: u32 = 1 << 5;
    /// Another node uses our host id.
    pub const DUPLICATE_HOST_ID: u32 = 1 << 6;
    /// The sync port's link is down. Alone it does not change the class, as [`Self::PEER_SILENT`].
    pub const LINK_DOWN: u32 = 1 << 7;
    /// A peer has sent nothing for some seconds. Alone it does not change the class: the death of the peer is what this
    /// node is for, and a peer without traffic is silent too.
    pub const PEER_SILENT: u32 = 1 << 8;

    /// Frames of a pfplane node were lost, and what they carried was not sent again within a second.
    pub const FRAMES_LOST: u32 = 1 << 9;
    /// This node does not hold what a pfplane node sent, or was not compared with it yet. After ten seconds it does not change the
    /// class any more: the node is ready, and this says why it may lack states.
    pub const NOT_EQUAL: u32 = 1 << 10;

    /// Returns these reasons and, if `condition` holds, one more.
    #[must_use]
    pub const fn with(self, reason: u32, condition: bool) -> Self {
        Self(if condition { self.0 | reason } else { self.0 })
    }

    /// Whether a reason is among them.
    #[must_use]
    pub const fn has(self, reason: u32) -> bool {
        self.0 & reason != 0
    }
}

/// Whether this node may take over, and why not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// How its states compare with the peers'.
    pub class: ReadyClass,
    /// What speaks against a takeover.
    pub reasons: Reasons,
    /// States of peers refused since the last bulk transfer began. Some may have ended since.
    pub missing: u64,
    /// Time since the last frame of the peer that has been silent for longest; `None` before the first frame of any.
    pub peer_age: Option<Nanos>,
}

impl Readiness {
    /// That of a node without a peer.
    pub const ALONE: Self =
        Self { class: ReadyClass::Synced, reasons: Reasons(0), missing: 0, peer_age: None };

    /// Whether this node may take over: it is synced, or no peer can send it more.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        !matches!(self.class, ReadyClass::Loading)
    }

    /// Adds what depends on the time of the question: silent peers and the link. `last_seen` has the time of each peer's
    /// last frame.
    #[must_use]
    pub fn at(
        self,
        last_seen: impl Iterator<Item = Option<Nanos>> + Clone,
        link_up: bool,
        now: Nanos,
    ) -> Self {
        let silent_for = |seen: Nanos| now.saturating_sub(seen);
        let peer_age = last_seen.clone().flatten().map(silent_for).max();
        let is_silent = last_seen.into_iter().any(|seen| seen.is_none_or(|seen| silent_for(seen) > SILENCE));
        let reasons = self.reasons.with(Reasons::LINK_DOWN, !link_up).with(Reasons::PEER_SILENT, is_silent);
        Self { reasons, peer_age, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_shown_with_its_age_and_changes_no_class() {
        let s = NANOS_PER_SECOND;
        let at = |seen: &[Option<Nanos>]| Readiness::ALONE.at(seen.iter().copied(), true, 100 * s);
        assert_eq!(at(&[]), Readiness::ALONE);
        assert_eq!(at(&[Some(97 * s)]), Readiness { peer_age: Some(3 * s), ..Readiness::ALONE });
        for (seen, age) in [
            ([Some(97 * s - 1), Some(99 * s)], Some(3 * s + 1)),
            ([Some(99 * s), None], Some(s)),
            ([None, None], None),
        ] {
            let readiness = at(&seen);
            assert!(readiness.is_ready() && readiness.reasons == Reasons(Reasons::PEER_SILENT));
            assert_eq!(readiness.peer_age, age);
        }
        let down = Readiness::ALONE.at([Some(100 * s)].into_iter(), false, 100 * s);
        assert!(down.is_ready() && down.reasons == Reasons(Reasons::LINK_DOWN));
    }
}
