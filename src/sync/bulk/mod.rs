//! Bulk transfer: sends all states to a peer that has none, or that was disconnected.
//!
//! An engine has one [`Requester`] and one [`Responder`]. A transfer is one walk per lane, whose states the lane's flush
//! puts into frames. To a pfplane node it keeps a window that the node's reports move (`window.rs`), to others a fixed pace.

mod requester;
mod responder;
mod walk;
mod window;

pub use requester::{Ending, LastBulk, Phase, Requester};
pub use responder::{Responder, WalkOrder};
pub(super) use walk::{Pace, Walk, Walks};
