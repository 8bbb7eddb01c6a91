//! The parts of the bench `link`.

pub(crate) mod conntrackd;
mod flows;
mod kernel;
pub(crate) mod node;
pub(crate) mod pair;

/// The time after the last packet in which all pending messages are sent.
pub(crate) const SETTLE: std::time::Duration = std::time::Duration::from_secs(2);
