//! Replication of a host's own state table in the C API.

mod calls;
mod store;

pub use calls::*;
pub use store::pfplane_store;
