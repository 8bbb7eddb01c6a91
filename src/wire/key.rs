//! Address families and keys.

use super::profile::Version;

/// An address family, free of the systems' own numbers (`protocol` section 0.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4: 2 everywhere.
    V4,
    /// IPv6: 24 on OpenBSD, 28 on FreeBSD.
    V6,
    /// Any other number, as it came.
    Other(u8),
}

impl Family {
    /// No family: 0 on the wire.
    pub const NONE: Self = Self::Other(0);

    /// The family of a number on the wire. Version 6 tolerates FreeBSD's number, as OpenBSD's users once needed.
    #[inline]
    #[must_use]
    pub const fn of(number: u8, version: Version) -> Self {
        match (number, version) {
            (2, _) => Self::V4,
            (28, _) | (24, Version::V6) => Self::V6,
            _ => Self::Other(number),
        }
    }

    /// The number on the wire.
    #[inline]
    #[must_use]
    pub const fn number(self, version: Version) -> u8 {
        match (self, version) {
            (Self::V4, _) => 2,
            (Self::V6, Version::V6) => 24,
            (Self::V6, Version::V5) => 28,
            (Self::Other(number), _) => number,
        }
    }

    /// Whether it is IPv4 or IPv6.
    #[inline]
    #[must_use]
    pub const fn is_ip(self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// The address with the bytes that this family does not use set to zero: FreeBSD hashes all sixteen
    /// (`protocol` section 3.6).
    #[inline]
    pub(super) fn masked(self, address: [u8; 16]) -> [u8; 16] {
        // A table instead of a branch: families mix.
        let keep = KEEP[matches!(self, Self::V4) as usize];
        (u128::from_ne_bytes(address) & keep).to_ne_bytes()
    }
}

/// The bytes of an address that count, for others than IPv4 and for IPv4.
static KEEP: [u128; 2] =
    [u128::MAX, u128::from_ne_bytes([255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])];

/// One key of a state. Slot 0 is the host beyond the interface, slot 1 the host on our side (`protocol` section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StateKey {
    /// Network order; an IPv4 address fills the first four bytes, the others are zero.
    pub addr: [[u8; 16]; 2],
    /// As in the packet.
    pub port: [[u8; 2]; 2],
    /// Routing domain; only version 6 carries it.
    pub rdomain: u16,
    /// Address family.
    pub family: Family,
    /// IP protocol.
    pub proto: u8,
}

impl StateKey {
    /// The key of nothing.
    pub const EMPTY: Self =
        Self { addr: [[0; 16]; 2], port: [[0; 2]; 2], rdomain: 0, family: Family::NONE, proto: 0 };

    /// Both addresses without stray bytes.
    #[inline]
    pub(super) fn masked(&self) -> [[u8; 16]; 2] {
        [self.family.masked(self.addr[0]), self.family.masked(self.addr[1])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_as_itself() {
        for version in [Version::V5, Version::V6] {
            for number in 0..=255 {
                let back = Family::of(number, version).number(version);
                if (number, version) == (28, Version::V6) {
                    assert_eq!(back, 24, "FreeBSD's number is read under version 6 and never written");
                } else {
                    assert_eq!(back, number, "{version:?}");
                }
            }
        }
    }

    #[test]
    fn this_machine_s_own_number_for_ipv6_is_not_taken() {
        assert_eq!(Family::of(10, Version::V5), Family::Other(10));
        assert_eq!(Family::of(10, Version::V6), Family::Other(10));
        assert_eq!(Family::of(24, Version::V5), Family::Other(24));
    }

    #[test]
    fn stray_bytes_behind_an_ipv4_address_are_cleared() {
        let mut clean = [0; 16];
        clean[..4].fill(7);
        assert_eq!(Family::V4.masked([7; 16]), clean);
        assert_eq!(Family::V6.masked([7; 16]), [7; 16]);
    }
}
