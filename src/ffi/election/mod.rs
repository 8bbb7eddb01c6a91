//! The election's part of the C API: its configuration, its calls, what the host knows of others, and what
//! it reports.

mod calls;
mod config;
mod peers;
mod report;

pub use calls::*;
pub use config::*;
pub use peers::*;
pub use report::*;
