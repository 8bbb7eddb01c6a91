//! The key of a connection, under pf's slot rule.
//!
//! An inbound packet has its source in slot 0 and its destination in slot 1; an outbound packet has them the other way
//! round. So slot 0 is the host beyond the interface and slot 1 the host on our side, and a request and its reply have
//! the same key (`protocol` section 7.1; OpenBSD `pf_setup_pdesc`).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A 16-bit number in network byte order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct Be16(pub [u8; 2]);

impl Be16 {
    /// Converts from host byte order.
    #[inline]
    #[must_use]
    pub const fn new(value: u16) -> Self {
        Self(value.to_be_bytes())
    }

    /// Converts to host byte order.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u16 {
        u16::from_be_bytes(self.0)
    }
}

/// The direction in which a packet crosses the interface. The numbers are pf's, and pfsync's on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Into the host: matches wire keys, source in slot 0.
    In = 1,
    /// Out of the host: matches stack keys, source in slot 1.
    Out = 2,
}

impl Direction {
    /// Returns the opposite direction.
    #[inline]
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::In => Self::Out,
            Self::Out => Self::In,
        }
    }

    /// Returns the slot (0 or 1) of a packet's source.
    #[inline]
    #[must_use]
    pub const fn source_slot(self) -> usize {
        match self {
            Self::In => 0,
            Self::Out => 1,
        }
    }
}

/// Address family. The numbers are this library's; those of operating systems differ.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct Family(pub(super) u8);

impl Family {
    /// The family of an empty record's key.
    pub const NONE: Self = Self(0);
    /// IPv4.
    pub const V4: Self = Self(4);
    /// IPv6.
    pub const V6: Self = Self(6);
}

/// Addresses, ports, family and protocol of a connection: 40 bytes without padding, compared as a whole.
///
/// An IPv4 address fills the first four bytes of its slot; the other twelve are zero. For ICMP and ICMPv6 queries the
/// initiator's port slot holds the identifier and the other slot the request type (`protocol` section 7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Key {
    /// The two addresses in network byte order.
    pub addr: [[u8; 16]; 2],
    /// The two ports.
    pub port: [Be16; 2],
    /// Routing domain (VRF) in host byte order, 0 for the default one. No header has it: [`Self::put_in`] sets it.
    pub rdomain: u16,
    /// Address family.
    pub family: Family,
    /// IP protocol number.
    pub proto: u8,
}

const _: () = assert!(size_of::<Key>() == 40 && align_of::<Key>() == 8);

impl AsRef<Self> for Key {
    #[inline(always)]
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Key {
    /// Builds a key from numbers whose little-endian bytes are those of the fields.
    ///
    /// It stores whole words because the hash and the comparison load whole words: a load that is wider than the
    /// preceding stores stalls until they have left the store buffer.
    #[inline(always)]
    pub(super) const fn from_words(addr: [u128; 2], ports: u32, family: Family, proto: u8) -> Self {
        let [first, second] = addr;
        let rest = ports as u64 | (family.0 as u64) << 48 | (proto as u64) << 56;
        let words = [first as u64, (first >> 64) as u64, second as u64, (second >> 64) as u64, rest];
        let [a, b, c, d, e] = words;
        zerocopy::transmute!([a.to_le(), b.to_le(), c.to_le(), d.to_le(), e.to_le()])
    }

    /// Puts the key into a routing domain. It stores a whole word, as `from_words` does.
    #[inline(always)]
    pub fn put_in(&mut self, rdomain: u16) {
        /// Everything but the routing domain in the last word of a key.
        const OTHERS: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        let [high, low] = rdomain.to_ne_bytes();
        let words: &mut [u64; 5] = zerocopy::transmute_mut!(self);
        words[4] = words[4] & OTHERS | u64::from_ne_bytes([0, 0, 0, 0, high, low, 0, 0]);
    }

    /// The key of an empty record. No packet has it.
    pub const EMPTY: Self =
        Self { addr: [[0; 16]; 2], port: [Be16([0; 2]); 2], rdomain: 0, family: Family::NONE, proto: 0 };

    /// Returns the key with both slots exchanged.
    #[must_use]
    pub const fn swapped(&self) -> Self {
        Self { addr: [self.addr[1], self.addr[0]], port: [self.port[1], self.port[0]], ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn putting_a_key_into_a_routing_domain_changes_nothing_else() {
        let key = Key::from_words([u128::MAX, 7], 0x1234_5678, Family::V6, 17);
        for rdomain in [0, 1, 0x1234, u16::MAX, 0] {
            let mut moved = Key { rdomain: 99, ..key };
            moved.put_in(rdomain);
            assert_eq!(moved, Key { rdomain, ..key });
        }
    }
}
