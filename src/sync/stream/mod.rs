//! Numbers of the frames between pfplane nodes. The frames of one lane to one peer are a *stream*; a number that is missing in it is
//! a lost frame, which is repaired (`repair/`). A frame sent by a lane takes one way through one queue, so frames of a stream arrive
//! in order. A late one is applied if it is still missing, and dropped otherwise.

mod arrivals;
mod gaps;
mod numbers;

pub(super) use arrivals::{Order, Streams};
pub use numbers::Numbers;
