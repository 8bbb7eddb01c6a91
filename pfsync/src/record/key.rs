//! Address families and keys.

use crate::profile::Version;

/// An address family: IPv4, IPv6, or another number as it was received.
///
/// The systems number IPv6 differently, so the number on the wire depends on the [`Version`]. This type holds version 6's
/// number, so that most records need no translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Family(u8);

impl Family {
    /// IPv4: 2 on every system.
    pub const V4: Self = Self(2);
    /// IPv6: 24 on OpenBSD, 28 on FreeBSD.
    pub const V6: Self = Self(24);
    /// No family: 0 on the wire.
    pub const NONE: Self = Self(0);

    /// Returns the family of a number on the wire. In version 6, FreeBSD's number for IPv6 is accepted too.
    #[inline(always)]
    #[must_use]
    pub const fn from_number(number: u8, version: Version) -> Self {
        match (number, version) {
            (28, Version::V6) => Self::V6,
            (_, Version::V6) => Self(number),
            (_, Version::V5) => Self(Self::exchange_24_and_28(number)),
        }
    }

    /// Returns the number on the wire.
    ///
    /// For a family that is neither IPv4 nor IPv6, this is the number that was read if it was read from the same version.
    #[inline(always)]
    #[must_use]
    pub const fn number(self, version: Version) -> u8 {
        match version {
            Version::V6 => self.0,
            Version::V5 => Self::exchange_24_and_28(self.0),
        }
    }

    /// Exchanges 24 and 28: the number of IPv6 in one version is an unknown family in the other.
    #[inline(always)]
    const fn exchange_24_and_28(number: u8) -> u8 {
        if number | 4 == 28 { number ^ 4 } else { number }
    }

    /// Returns whether the family is IPv4 or IPv6.
    #[inline]
    #[must_use]
    pub const fn is_ip(self) -> bool {
        matches!(self, Self::V4 | Self::V6)
    }

    /// Returns the address with the bytes that this family does not use set to zero: FreeBSD hashes all sixteen
    /// (`pf_hashkey`), so a state with stray bytes never matches a packet there.
    #[inline(always)]
    pub(crate) fn masked(self, address: &[u8; 16]) -> [u8; 16] {
        // A table instead of a branch, because families mix. Byte by byte compiles to one operation on sixteen bytes.
        let keep = &KEEP[matches!(self, Self::V4) as usize];
        core::array::from_fn(|at| address[at] & keep[at])
    }
}

/// The bytes of an address that a family uses: of IPv6 and unknown families (0), of IPv4 (1).
static KEEP: [[u8; 16]; 2] = [[255; 16], [255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]];

/// One key of a state. Slot 0 is the host beyond the interface, slot 1 the host on this side (pf's `pf_state_key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StateKey {
    /// Addresses in network order. An IPv4 address is in the first four bytes; the others are zero.
    pub addr: [[u8; 16]; 2],
    /// Ports in network order.
    pub port: [[u8; 2]; 2],
    /// Routing domain. Version 6 only.
    pub rdomain: u16,
    /// Address family.
    pub family: Family,
    /// IP protocol.
    pub proto: u8,
}

impl StateKey {
    /// A key with every field zero.
    pub const EMPTY: Self =
        Self { addr: [[0; 16]; 2], port: [[0; 2]; 2], rdomain: 0, family: Family::NONE, proto: 0 };

    /// Returns both addresses without stray bytes.
    #[inline(always)]
    pub(crate) fn masked(&self) -> [[u8; 16]; 2] {
        [self.family.masked(&self.addr[0]), self.family.masked(&self.addr[1])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_written_as_it_was_read() {
        for version in [Version::V5, Version::V6] {
            for number in 0..=255 {
                let back = Family::from_number(number, version).number(version);
                if (number, version) == (28, Version::V6) {
                    assert_eq!(back, 24, "version 6 reads FreeBSD's number and never writes it");
                } else {
                    assert_eq!(back, number, "{version}");
                }
            }
        }
    }

    #[test]
    fn other_numbers_for_ipv6_are_unknown_families() {
        for (number, version) in [(10, Version::V5), (10, Version::V6), (24, Version::V5), (0, Version::V6)] {
            assert!(!Family::from_number(number, version).is_ip(), "{number} in {version}");
        }
    }

    #[test]
    fn stray_bytes_after_an_ipv4_address_are_cleared() {
        let mut clean = [0; 16];
        clean[..4].fill(7);
        assert_eq!(Family::V4.masked(&[7; 16]), clean);
        assert_eq!(Family::V6.masked(&[7; 16]), [7; 16]);
    }
}
