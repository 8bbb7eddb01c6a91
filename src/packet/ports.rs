//! The two numbers that stand for a packet's ends: ports, or what an ICMP query has instead.

use super::Be16;

/// Of the source and of the destination: a number whose little-endian bytes are both, as they stand in the header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports(u32);

impl Ports {
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn new(source: Be16, destination: Be16) -> Self {
        let ([a, b], [c, d]) = (source.0, destination.0);
        Self(u32::from_le_bytes([a, b, c, d]))
    }

    /// Those at the head of a TCP, UDP or SCTP header.
    #[inline(always)]
    pub(super) fn of_header<const N: usize>(header: &[u8; N]) -> Self {
        Self(header.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)))
    }

    /// The number, source first.
    #[inline(always)]
    pub(super) const fn in_order(self) -> u32 {
        self.0
    }

    /// The number, destination first.
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
        let ports = Ports::of_header(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(ports == Ports::new(Be16([1, 2]), Be16([3, 4])));
        assert_eq!(ports.in_order().to_le_bytes(), [1, 2, 3, 4]);
        assert_eq!(ports.swapped().to_le_bytes(), [3, 4, 1, 2]);
    }
}
