//! Results of applying a message.

use crate::state::StateId;
use crate::table::Slot;

/// Result of applying a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The state was inserted.
    Inserted(Slot),
    /// The update was merged, or both of its sides were stale.
    Merged {
        /// The state.
        slot: Slot,
        /// Its held packets were released.
        release: bool,
    },
    /// The peer has the state: its held packets were released.
    Released(Slot),
    /// The state was removed.
    Removed,
    /// This many states were removed so far; the rest follows in [`step_clears`](crate::sync::export::Exporter::step_clears).
    Cleared(u32),
    /// The state will be sent to the peer.
    Answered(Slot),
    /// The state is unknown and was requested.
    Requested,
    /// The state is unknown. A directory entry for this lane is wrong.
    Unknown(StateId),
    /// The state was not inserted.
    Refused(Refused),
    /// What only few states have was stored, or the state is not here.
    Extra,
    /// The state has ended, which the peer missed; a delete answers it.
    Ended,
    /// The message is for the engine; the caller handles it.
    NotApplied,
}

/// Why a state was not inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A state with this id exists. An insert does not update it.
    Duplicate,
    /// Another state has the key.
    KeyCollision,
    /// The table is full.
    TableFull,
    /// The maximum number of peers' states is reached.
    Quota,
    /// It may only be merged, and the state is unknown.
    Invalid,
    /// This node does not have its routing table.
    RoutingTable,
    /// Its creator has another state with the key, bound to another interface. Only one can be kept.
    Binding,
}

impl Refused {
    /// Whether a later message about the state would be refused too, so that it is not requested for some seconds.
    #[must_use]
    pub const fn lasts(self) -> bool {
        matches!(self, Self::RoutingTable | Self::Binding)
    }
}
