//! The election's part of the C API: its configuration, its calls, and what it reports.

mod calls;
mod config;
mod report;

pub use calls::*;
pub use config::*;
pub use report::*;
