//! What the packet path is given.

use crate::packet::{Direction, Link};
use crate::time::Nanos;

/// What the packets of one burst have in common.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// Which way they cross the interface whose states they are matched against.
    pub direction: Direction,
    /// What they begin with.
    pub link: Link,
    /// Whether [`PacketView::hash`] was made by a card with this engine's RSS key.
    pub trust_hash: bool,
    /// The host's clock.
    pub now: Nanos,
}

/// One packet, wherever it lies.
#[derive(Clone, Copy, Debug)]
pub struct PacketView<'a> {
    /// Its first piece, all of it that may be read.
    pub data: &'a [u8],
    /// Bytes of the whole packet, all pieces.
    pub packet_length: u32,
    /// The card's RSS hash, if it gave one.
    pub hash: Option<u32>,
}
