//! What each lane reports of its imports to the sync lane.

use crate::sync::RefusedImports;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A lane's report. Only the lane writes it, in its own cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Board {
    applied: AtomicU32,
    states: AtomicU64,
    updates: AtomicU64,
    space: AtomicU32,
}

/// The imports of a lane at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Messages of the sync lane applied so far, modulo 2^32. What follows includes them.
    pub applied: u32,
    /// What was refused for lack of space so far.
    pub refused: RefusedImports,
    /// States of peers for which there is space.
    pub space: u32,
}

impl Board {
    pub(super) fn publish(&self, report: &ImportReport) {
        self.states.store(report.refused.states, Ordering::Relaxed);
        self.updates.store(report.refused.updates, Ordering::Relaxed);
        self.space.store(report.space, Ordering::Relaxed);
        self.applied.store(report.applied, Ordering::Release);
    }

    pub(super) fn read(&self) -> ImportReport {
        let applied = self.applied.load(Ordering::Acquire);
        let refused = RefusedImports {
            states: self.states.load(Ordering::Relaxed),
            updates: self.updates.load(Ordering::Relaxed),
        };
        ImportReport { applied, refused, space: self.space.load(Ordering::Relaxed) }
    }
}
