//! Whether and how a peer's frames are sealed.

use crate::error::Error;
use crate::seal::{SealKeys, SealMode};

/// What frames without a seal may do to states of this node and of sealed peers, as a sum of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsealedRights(pub u8);

impl UnsealedRights {
    /// Insert such states.
    pub const INSERT: u8 = 1;
    /// Update them. The merge lets each side of a connection advance only.
    pub const UPDATE: u8 = 2;
    /// Delete them.
    pub const DELETE: u8 = 4;
    /// Delete all states of a node.
    pub const CLEAR: u8 = 8;
    /// Everything.
    pub const ALL: u8 = 15;

    pub(in crate::sync) const fn has(self, right: u8) -> bool {
        self.0 & right != 0
    }
}

impl Default for UnsealedRights {
    fn default() -> Self {
        Self(Self::INSERT | Self::UPDATE)
    }
}

/// The seal of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerSeal {
    /// Which frames are sealed.
    pub mode: SealMode,
    /// The keys, the preferred one first.
    pub keys: SealKeys,
    /// What its frames without a seal may do, once another peer is sealed.
    pub unsealed: UnsealedRights,
}

impl PeerSeal {
    /// Whether frames to the peer are sealed.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !matches!(self.mode, SealMode::Off)
    }

    /// A copy without the keys: only one place has these.
    pub(super) fn without_keys(&self) -> Self {
        Self { keys: SealKeys::default(), ..*self }
    }

    /// Checks that a sealed peer has a key.
    ///
    /// # Errors
    /// It has none.
    pub(super) fn check_keys(&self) -> Result<(), Error> {
        if self.is_on() && self.keys.is_empty() {
            let reason = "a sealed peer needs at least one key";
            return Err(Error::Invalid { name: "peer.seal_keys", reason });
        }
        Ok(())
    }
}
