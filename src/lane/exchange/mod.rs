//! What lanes exchange, always without waiting: messages through bounded rings, aliases, and single shared numbers.

mod aliases;
mod comparisons;
mod hellos;
mod imports;
mod rings;
mod shared;

pub(super) use aliases::AliasStep;
pub use aliases::{AliasPlan, Aliases};
pub use imports::ImportReport;
pub use rings::{LaneMessage, RING_CAPACITY, Rings, SyncLaneMessage};
pub use shared::{BulkProgress, Shared};
