//! Address families and keys.

use super::profile::Version;

/// An address family, free of the systems' own numbers (`protocol` section 0.3): IPv4, IPv6, or any other number as
/// it came.
///
/// Inside it is the number of version 6, so that most records need no translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Family(u8);

impl Family {
    /// IPv4: 2 everywhere.
    pub const V4: Self = Self(2);
    /// IPv6: 24 on OpenBSD, 28 on FreeBSD.
    pub const V6: Self = Self(24);
    /// No family: 0 on the wire.
    pub const NONE: Self = Self(0);

    /// The family of a number on the wire. Version 6 tolerates FreeBSD's number, as OpenBSD's users once needed.
    #[inline(always)]
    #[must_use]
    pub const fn of(number: u8, version: Version) -> Self {
        match (number, version) {
            (28, Version::V6) => Self::V6,
            (_, Version::V6) => Self(number),
            (_, Version::V5) => Self(Self::exchanged(number)),
        }
    }

    /// The number on the wire.
    ///
    /// Of a family that is neither IPv4 nor IPv6 it is the number that was read, if it was read from this version.
    #[inline(always)]
    #[must_use]
    pub const fn number(self, version: Version) -> u8 {
        match version {
            Version::V6 => self.0,
            Version::V5 => Self::exchanged(self.0),
        }
    }

    /// 24 for 28 and 28 for 24: what one version calls IPv6 is nothing in the other.
    #[inline(always)]
    const fn exchanged(number: u8) -> u8 {
        if number | 4 == 28 { number ^ 4 } else { number }
    }

    /// Whether it is IPv4 or IPv6.
    #[inline]
    #[must_use]
    pub const fn is_ip(self) -> bool {
        matches!(self, Self::V4 | Self::V6)
    }

    /// The address with the bytes that this family does not use set to zero: FreeBSD hashes all sixteen
    /// (`protocol` section 3.6).
    #[inline(always)]
    pub(super) fn masked(self, address: &[u8; 16]) -> [u8; 16] {
        // A table instead of a branch: families mix. Byte by byte, so that it becomes one operation of sixteen bytes.
        let keep = &KEEP[matches!(self, Self::V4) as usize];
        core::array::from_fn(|at| address[at] & keep[at])
    }
}

/// The bytes of an address that count, for others than IPv4 and for IPv4.
static KEEP: [[u8; 16]; 2] = [[255; 16], [255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]];

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
    #[inline(always)]
    pub(super) fn masked(&self) -> [[u8; 16]; 2] {
        [self.family.masked(&self.addr[0]), self.family.masked(&self.addr[1])]
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
        for (number, version) in [(10, Version::V5), (10, Version::V6), (24, Version::V5), (0, Version::V6)] {
            assert!(!Family::of(number, version).is_ip(), "{number} in {version:?}");
        }
    }

    #[test]
    fn stray_bytes_behind_an_ipv4_address_are_cleared() {
        let mut clean = [0; 16];
        clean[..4].fill(7);
        assert_eq!(Family::V4.masked(&[7; 16]), clean);
        assert_eq!(Family::V6.masked(&[7; 16]), [7; 16]);
    }
}
