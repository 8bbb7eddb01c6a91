//! The election's part of the C API: its configuration, its calls, what the host knows of others, and what
//! it reports.

mod calls;
mod config;
mod lanes;
mod peers;
mod report;

pub use calls::*;
pub use config::*;
pub use lanes::*;
pub use peers::*;
pub use report::*;
