//! Packets as DPDK mbufs: the only room that knows DPDK.
//!
//! [`view`] reads the first segment of an mbuf that stays the host's; [`FrameMbufs`] owns mbufs taken from the host's
//! pool until they are handed to the host, and gives back what is left. Fields are read through [`RteMbuf`], an overlay
//! whose offsets the shim of `dpdk-sys` asserts against DPDK's own headers, so no call into C is made for a packet.

mod frames;
mod overlay;
mod rewrite;
mod view;

pub use frames::{FrameMbufs, MAX_FRAMES, data_room};
pub use overlay::RteMbuf;
pub use rewrite::rewrite;
pub use view::{MbufView, room, view};

#[cfg(test)]
pub(crate) mod tests;
