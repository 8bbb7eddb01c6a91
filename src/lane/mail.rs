//! What crosses the rings between lanes.

use crate::state::StateId;
use crate::sync::{Message, WalkOrder};

/// From the sync lane to a lane that owns states.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "mail crosses by value; a box would be an allocation")]
pub enum LaneMessage {
    /// A peer's message about a state of that lane.
    Message(Message),
    /// A peer is to be told all states.
    Walk(WalkOrder),
}

/// From a lane to the sync lane.
#[derive(Clone, Copy, Debug)]
pub enum SyncLaneMessage {
    /// A state that another node made is not here any more.
    Ended {
        /// Which.
        id: StateId,
        /// Mail of the sync lane that the lane had taken in by then, see [`super::Rings::sent_to`].
        heard: u32,
    },
    /// All states of the lane were told.
    WalkFinished(WalkOrder),
}
