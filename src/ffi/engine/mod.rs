//! The engine's part of the C API: what it is made from, the calls on it, and its statistics.

mod allocator;
mod config;
mod control;
mod convert;
mod peer;
mod readiness;
mod seal;
mod source_limits;
mod stats;

pub use allocator::*;
pub use config::*;
pub use control::*;
pub use peer::*;
pub use readiness::*;
pub use seal::*;
pub use source_limits::*;
pub use stats::*;

pub(super) use convert::setting;
pub(super) use peer::{icmp_ports, profile_number, profile_of};
pub(super) use seal::write_status;
