//! The destination of an IP packet.

use pfsync::envelope::Address;

/// Destination of an IPv4 packet.
pub fn v4_destination(packet: &[u8]) -> Address {
    Address::V4(*packet[16..].first_chunk().expect("a whole header"))
}

/// Destination of an IPv6 packet.
pub fn v6_destination(packet: &[u8]) -> Address {
    Address::V6(*packet[24..].first_chunk().expect("a whole header"))
}
