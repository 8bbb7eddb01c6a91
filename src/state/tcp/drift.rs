//! Drift: how far a connection has moved since its last update was sent to the peers.
//!
//! A survivor that has only an old update, pf above all, drops what lies beyond that update's window. So an update is due
//! when the peers' copy accepts less than most of the receiver's current window.

use crate::state::{LocalFlags, Peer};

/// The share of a window by which a connection may move between two updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxDrift {
    /// What the peers' copy must still accept, in 65536ths of the window.
    kept: u32,
    /// The flag of a state that has moved too far; 0 to ignore drift.
    flag: u16,
}

impl MaxDrift {
    /// Ignores drift.
    pub const OFF: Self = Self::from_percent(0);

    /// A share in percent; 0 ignores drift.
    #[must_use]
    pub const fn from_percent(percent: u32) -> Self {
        let percent = if percent > 100 { 100 } else { percent };
        let flag = if percent == 0 { 0 } else { LocalFlags::UPDATE_DUE };
        Self { kept: (100 - percent) * 65_535 / 100, flag }
    }

    /// Returns the flags to set for a segment that acknowledges `ack` of `receiver` and offers `window` units of `unit`
    /// bytes: [`LocalFlags::UPDATE_DUE`] if the peers' copy accepts too little beyond `ack`.
    #[inline(always)]
    pub(super) const fn flags(self, receiver: &Peer, ack: u32, window: u16, unit: u32) -> u16 {
        let kept = ((window as u32 * self.kept) >> 16) * unit;
        let is_due = ack.wrapping_add(kept).wrapping_sub(receiver.sent_seqhi).cast_signed() > 0;
        if is_due { self.flag } else { 0 }
    }
}
