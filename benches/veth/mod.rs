//! The parts of the bench `link`.

pub mod conntrackd;
mod flows;
mod kernel;
pub mod node;
pub mod pair;

/// The time after the last packet in which all pending messages are sent.
pub const SETTLE: std::time::Duration = std::time::Duration::from_secs(2);
