//! Packets: the builder of the library's own tests, and the destination of a frame.

#[path = "../../../tests/support/mod.rs"]
mod support;

pub use support::Packet;

use pfsync::envelope::Address;

/// Destination of an IPv4 packet.
pub fn v4_destination(packet: &[u8]) -> Address {
    Address::V4(*packet[16..].first_chunk().expect("a whole header"))
}

/// Destination of an IPv6 packet.
pub fn v6_destination(packet: &[u8]) -> Address {
    Address::V6(*packet[24..].first_chunk().expect("a whole header"))
}
