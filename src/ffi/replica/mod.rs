//! Replication of a host's own state table in the C API.

mod calls;
mod seal;
mod store;

pub use calls::*;
pub use seal::*;
pub use store::pfplane_store;
