//! Which states are replicated. Short-lived flows, such as DNS queries, may be excluded.

use crate::packet::protocol::PFSYNC;
use crate::time::{NANOS_PER_TICK, Nanos};

/// Which states are replicated. States of `no-sync` rules and of pfsync itself never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    excluded: [u64; 4],
    /// A state is sent once it has reached this age, rounded up to ticks; one that ends earlier is never sent.
    pub min_age: Nanos,
}

impl Default for Filter {
    fn default() -> Self {
        let mut filter = Self { excluded: [0; 4], min_age: 0 };
        filter.exclude(PFSYNC);
        filter
    }
}

impl Filter {
    /// Excludes all states of an IP protocol.
    pub const fn exclude(&mut self, proto: u8) {
        self.excluded[(proto >> 6) as usize] |= 1 << (proto & 63);
    }

    /// Whether states of an IP protocol are replicated.
    #[inline]
    #[must_use]
    pub const fn includes(&self, proto: u8) -> bool {
        self.excluded[(proto >> 6) as usize] & (1 << (proto & 63)) == 0
    }

    /// The minimum age in ticks, plus the tick that had already begun when the state was created.
    pub(in crate::sync) fn min_ticks(&self) -> i32 {
        i32::try_from(self.min_age.div_ceil(NANOS_PER_TICK)).map_or(i32::MAX, |ticks| ticks.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_included_except_pfsync_and_the_excluded_ones() {
        let mut filter = Filter::default();
        assert_eq!((0..=255).filter(|&proto| !filter.includes(proto)).collect::<Vec<_>>(), [PFSYNC]);
        for proto in [0, 17, 64, 255] {
            filter.exclude(proto);
            assert!(!filter.includes(proto) && filter.includes(proto ^ 1));
        }
    }
}
