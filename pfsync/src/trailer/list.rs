//! Elements: numbers that stand for states where two nodes compare what they hold.

use super::stream::long;
use crate::record::Identity;

pub(super) const ELEMENT_BYTES: usize = 8;

/// Returns the number that stands for a state. Equal numbers of two states are as rare as equal random numbers of 64 bits, unless
/// their creator wants them: ids are no secret.
#[must_use]
pub const fn element_of(id: Identity) -> u64 {
    // The finalizer of MurmurHash3, once for each half.
    mix(mix(id.id ^ 0x9e37_79b9_7f4a_7c15) ^ (id.creator as u64))
}

const fn mix(mut n: u64) -> u64 {
    n ^= n >> 33;
    n = n.wrapping_mul(0xff51_afd7_ed55_8ccd);
    n ^= n >> 33;
    n = n.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    n ^ n >> 33
}

/// Up to [`Self::MAX`] elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elements {
    elements: [u64; Self::MAX],
    count: u8,
}

impl Elements {
    /// How many there can be.
    pub const MAX: usize = 8;

    /// Adds one. Returns false if there is no space.
    #[must_use]
    pub fn push(&mut self, element: u64) -> bool {
        let Some(free) = self.elements.get_mut(usize::from(self.count)) else { return false };
        *free = element;
        self.count += 1;
        true
    }

    /// Returns the elements.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.elements.iter().take(self.count.into()).copied()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Reads as many as there are; `None` if there is not one.
    pub(super) fn parse(value: &mut &[u8]) -> Option<Self> {
        let mut elements = Self::default();
        while usize::from(elements.count) < Self::MAX
            && let Some(element) = long(value)
        {
            let _ = elements.push(element);
        }
        (!elements.is_empty()).then_some(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_of_an_identity_change_the_whole_element() {
        let base = element_of(Identity { id: 1, creator: 1 });
        for bit in 0..96 {
            let (id, creator) = if bit < 64 { (1 ^ 1 << bit, 1) } else { (1, 1 ^ 1 << (bit - 64)) };
            let changed = (element_of(Identity { id, creator }) ^ base).count_ones();
            assert!((12..=52).contains(&changed), "bit {bit} changes {changed}");
        }
        assert_eq!(base, 8_265_609_475_098_896_503, "the value that other nodes compute");
    }
}
