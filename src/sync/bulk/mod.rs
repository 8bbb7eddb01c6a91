//! Bulk transfer: sends all states to a peer that has none, or that was disconnected.
//!
//! An engine has one [`Requester`] and one [`Responder`]. A transfer is one walk per lane, whose states the lane's flush
//! puts into frames.

mod requester;
mod responder;
mod walk;

pub use requester::{Ending, LastBulk, Phase, Requester};
pub use responder::{Responder, WalkOrder};
pub(super) use walk::{Walk, Walks};
