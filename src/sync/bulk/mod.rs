//! Bulk transfer: all states to a peer that has none yet, or that was away.
//!
//! The asking side is one [`Requester`] per engine, the answering side one [`Responder`]; what is sent are walks, one on
//! every lane, whose states the lane's flush puts into frames.

mod requester;
mod responder;
mod walk;

pub use requester::{Ending, LastBulk, Phase, Requester, RetryPolicy};
pub use responder::{Responder, WalkOrder};
pub(super) use walk::{Walk, Walks};
