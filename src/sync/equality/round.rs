//! One sketch, from the building of this node's own to the difference with the peer's.

use super::SIZES;
use crate::time::{NANOS_PER_SECOND, Nanos};
use pfsync::CellRun;

/// A sketch whose first or last cells arrive later is given up and requested again: a frame was lost. The peer takes about as
/// long to build its own as this node took, which is a matter of the tables' sizes; it has twice that time, and this.
const PATIENCE: Nanos = 600_000_000;
/// This node's own sketch takes no longer, unless a lane does not run or its answer had no space.
const MAX_BUILD: Nanos = 30 * NANOS_PER_SECOND;
pub(super) const MAX_RUNS: usize = SIZES[SIZES.len() - 1] as usize / CellRun::MAX;

/// A sketch in flight.
#[derive(Debug)]
pub(super) struct Round {
    pub stream: usize,
    pub number: u32,
    pub began: Nanos,
    /// Lanes whose own sketch is not complete.
    pub building: u16,
    /// When the peer's was requested.
    pub requested: Option<Nanos>,
    /// When the first cells were received.
    pub cut: Option<Nanos>,
    /// Runs of cells that are missing, of the peer and of the lanes.
    pub runs_left: u32,
    pub arrived: [u64; MAX_RUNS / 64],
}

impl Round {
    pub(super) fn is_late(&self, now: Nanos) -> bool {
        match self.requested {
            None => now.saturating_sub(self.began) > MAX_BUILD,
            Some(at) => now.saturating_sub(at) > PATIENCE + 2 * (at - self.began),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_as_long_for_its_sketch_as_a_table_of_this_size_takes() {
        const MS: Nanos = 1_000_000;
        let mut round = Round {
            stream: 0,
            number: 1,
            began: 0,
            building: 1,
            requested: None,
            cut: None,
            runs_left: u32::MAX,
            arrived: [0; MAX_RUNS / 64],
        };
        assert_eq!([1000, 30_000, 30_001].map(|ms| round.is_late(ms * MS)), [false, false, true]);
        // A small table, and one of 32 million states.
        for (built, late) in [(1, 604), (8000, 24_601)] {
            round.requested = Some(built * MS);
            assert_eq!(
                [built, late - 1, late].map(|ms| round.is_late(ms * MS)),
                [false, false, true],
                "{built}"
            );
        }
    }
}
