//! The parts of the bench over a real link.

pub mod conntrackd;
mod flows;
mod kernel;
pub mod node;
pub mod pair;

/// How long everybody still runs after the last packet: longer than anybody's timers for what waits to be told.
pub const SETTLE: std::time::Duration = std::time::Duration::from_secs(2);
