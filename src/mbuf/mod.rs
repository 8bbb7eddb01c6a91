//! Packets as DPDK mbufs: the only module that knows DPDK.
//!
//! [`view`] reads the first segment of an mbuf that the host owns. [`FrameMbufs`] owns mbufs allocated from the host's pool
//! until it hands them to the host, and frees what is left. Fields are read through [`RteMbuf`], an overlay
//! whose offsets the shim of `dpdk-sys` asserts against DPDK's own headers, so packets cost no call into C.

mod frames;
mod overlay;
mod rewrite;
mod view;

pub use frames::{FrameMbufs, MAX_FRAMES, data_room};
pub use overlay::RteMbuf;
pub use rewrite::rewrite;
pub use view::{Checksums, MbufView, buffer, stripped_tags, view};

#[cfg(test)]
pub(crate) mod tests;
