//! A packet's two ports, or the ICMP identifier and type that take their place in the key.

use crate::packet::Be16;

/// Source and destination port in one number, whose little-endian bytes are those of the header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports(u32);

impl Ports {
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn new(source: Be16, destination: Be16) -> Self {
        let ([a, b], [c, d]) = (source.0, destination.0);
        Self(u32::from_le_bytes([a, b, c, d]))
    }

    /// Reads the first four bytes of a TCP, UDP or SCTP header.
    #[inline(always)]
    pub(super) fn from_header<const N: usize>(header: &[u8; N]) -> Self {
        Self(header.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)))
    }

    /// Returns the number with the source first.
    #[inline(always)]
    pub(super) const fn in_order(self) -> u32 {
        self.0
    }

    /// Returns the number with the destination first.
    #[inline(always)]
    pub(super) const fn swapped(self) -> u32 {
        self.0.rotate_left(16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_keep_their_bytes_in_either_order() {
        let ports = Ports::from_header(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(ports == Ports::new(Be16([1, 2]), Be16([3, 4])));
        assert_eq!(ports.in_order().to_le_bytes(), [1, 2, 3, 4]);
        assert_eq!(ports.swapped().to_le_bytes(), [3, 4, 1, 2]);
    }
}
