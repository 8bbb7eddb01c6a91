//! The key of a connection, under pf's slot rule.
//!
//! For an inbound packet the source goes to slot 0 and the destination to slot 1, for an outbound packet the other
//! way round. Slot 0 is therefore always the host out there beyond the interface, slot 1 the host on our side, and
//! a request and its reply crossing the same interface have the same key (`protocol` section 7.1; OpenBSD
//! `pf_setup_pdesc`).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A 16-bit number kept as the packet carries it, most significant byte first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct Be16(pub [u8; 2]);

impl Be16 {
    /// From a value in the processor's order.
    #[inline]
    #[must_use]
    pub const fn new(value: u16) -> Self {
        Self(value.to_be_bytes())
    }

    /// The value in the processor's order.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u16 {
        u16::from_be_bytes(self.0)
    }
}

/// Which way a packet crosses the interface whose states it is matched against.
///
/// The numbers are pf's own and those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Into the host: matched against wire keys, source in slot 0.
    In = 1,
    /// Out of the host: matched against stack keys, source in slot 1.
    Out = 2,
}

impl Direction {
    /// The opposite direction.
    #[inline]
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::In => Self::Out,
            Self::Out => Self::In,
        }
    }

    /// The slot (0 or 1) that holds a packet's source.
    #[inline]
    #[must_use]
    pub const fn source_slot(self) -> usize {
        match self {
            Self::In => 0,
            Self::Out => 1,
        }
    }
}

/// Address family: our own numbers, never an operating system's (those differ, see `wire`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct Family(pub(super) u8);

impl Family {
    /// No family: the key of an empty record.
    pub const NONE: Self = Self(0);
    /// IPv4.
    pub const V4: Self = Self(4);
    /// IPv6.
    pub const V6: Self = Self(6);
}

/// Addresses, ports, family and protocol of a connection: 40 bytes, no padding, compared as a whole.
///
/// An IPv4 address fills the first four bytes of its slot, the other twelve are zero. For ICMP and ICMPv6 queries
/// the initiator's port slot holds the identifier and the other slot the request type (`protocol` section 7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Key {
    /// The two addresses in network order.
    pub addr: [[u8; 16]; 2],
    /// The two ports as in the packet.
    pub port: [Be16; 2],
    /// Routing domain, 0 where there is none. In the processor's order.
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
    /// A key from numbers whose little-endian bytes are the fields'; both pairs from slot 0.
    ///
    /// It is written in whole words, as the hash and the comparison read it: a load that is wider than the stores
    /// before it waits until those have left the core.
    #[inline(always)]
    pub(super) const fn from_words(addr: [u128; 2], ports: u32, family: Family, proto: u8) -> Self {
        let [first, second] = addr;
        let rest = ports as u64 | (family.0 as u64) << 48 | (proto as u64) << 56;
        let words = [first as u64, (first >> 64) as u64, second as u64, (second >> 64) as u64, rest];
        let [a, b, c, d, e] = words;
        zerocopy::transmute!([a.to_le(), b.to_le(), c.to_le(), d.to_le(), e.to_le()])
    }

    /// The key of a record that holds nothing. No packet has it.
    pub const EMPTY: Self =
        Self { addr: [[0; 16]; 2], port: [Be16([0; 2]); 2], rdomain: 0, family: Family::NONE, proto: 0 };

    /// The same connection with the slots exchanged.
    #[must_use]
    pub const fn swapped(&self) -> Self {
        Self { addr: [self.addr[1], self.addr[0]], port: [self.port[1], self.port[0]], ..*self }
    }
}
