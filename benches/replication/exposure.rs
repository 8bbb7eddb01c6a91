//! The cost of maintaining the exposure: what would be lost if the node died now.
//!
//! The exposure has no operations of its own. It is computed from the queues' lengths, the time of the oldest creation and
//! the counts by age, which the queues maintain as states join and leave. This times the maintenance alone: the library's
//! `aging.rs`, and the same counts as in `Queues` and `Exporter`, without links and records.

#[expect(dead_code, unused_imports, reason = "the bench uses no deadline, and runs no unit tests")]
#[path = "../../src/sync/export/queue/aging.rs"]
mod aging;

use crate::harness::rounds;
use aging::Aging;
use pfplane::internals::state::Queue;
use pfplane::internals::sync::SyncSettings;
use pfplane::internals::time::Nanos;
use pfplane_testkit::Random;
use std::hint::black_box;

/// Changes in a timed block.
pub(crate) const CHANGES: usize = 1 << 16;
/// A million changes per second.
const STEP: Nanos = 1000;
const QUEUES: usize = 6;
/// Compressed updates that are queued when the stream starts, so that some can leave.
const WAITING: u32 = 1000;
/// The percentage of each kind of change.
const MIX: [(Change, u32); 5] = [
    (Change::Joins(Queue::UpdateCompressed), 65),
    (Change::Joins(Queue::Insert), 12),
    (Change::Joins(Queue::Update), 3),
    (Change::Joins(Queue::InsertAck), 5),
    (Change::Leaves(Queue::UpdateCompressed), 15),
];

#[derive(Clone, Copy)]
enum Change {
    Joins(Queue),
    Leaves(Queue),
}

/// The counters from which the exposure is computed.
struct Counters {
    len: [u32; QUEUES],
    creations_since: Nanos,
    aging: Aging,
}

impl Counters {
    #[inline(always)]
    fn note(&mut self, change: Change, now: Nanos) {
        match change {
            Change::Joins(queue) => {
                if queue == Queue::Insert && self.len[Queue::Insert as usize] == 0 {
                    self.creations_since = now;
                }
                self.len[queue as usize] += 1;
                if queue == Queue::UpdateCompressed {
                    self.aging.push(now);
                }
            }
            Change::Leaves(queue) => {
                if queue == Queue::UpdateCompressed {
                    self.aging.remove();
                }
                self.len[queue as usize] -= 1;
            }
        }
    }

    /// Sends the compressed updates that are due, and all other messages.
    fn flush(&mut self, now: Nanos) {
        self.aging.advance(now);
        let due = self.aging.due();
        self.aging.take_due(due);
        let left = self.len[Queue::UpdateCompressed as usize] - due;
        self.len = [0; QUEUES];
        self.len[Queue::UpdateCompressed as usize] = left;
    }
}

/// A stream of changes, and the counters.
pub(crate) struct Keeper {
    changes: Vec<Change>,
    counters: Counters,
    now: Nanos,
}

impl Keeper {
    /// Draws changes in runs of one kind. A length of 1 is the worst case for branch prediction.
    pub(crate) fn new(run: usize) -> Self {
        let mut random = Random::new(11);
        let kinds: Vec<Change> = (0..CHANGES / run).map(|_| drawn(random.below_u32(100))).collect();
        let changes = kinds.into_iter().flat_map(|kind| std::iter::repeat_n(kind, run)).collect();
        let age = SyncSettings::default().update_age;
        let mut counters = Counters { len: [0; QUEUES], creations_since: 0, aging: Aging::new(age) };
        (0..WAITING).for_each(|_| counters.note(Change::Joins(Queue::UpdateCompressed), 0));
        Self { changes, counters, now: 0 }
    }

    /// Returns nanoseconds per change to maintain the counters.
    pub(crate) fn maintain(&mut self) -> f64 {
        let Self { changes, counters, now } = self;
        let (ns, ()) = rounds::time(|| {
            for change in &*changes {
                *now += STEP;
                counters.note(*black_box(change), *now);
            }
        });
        black_box(&*counters);
        counters.flush(*now);
        ns / CHANGES as f64
    }

    /// As [`Self::maintain`], but only dispatches by kind.
    pub(crate) fn dispatch(&mut self) -> f64 {
        let Self { changes, now, .. } = self;
        let (ns, ()) = rounds::time(|| {
            for change in &*changes {
                *now += STEP;
                match *black_box(change) {
                    Change::Joins(Queue::Insert) => _ = black_box(*now),
                    Change::Joins(Queue::UpdateCompressed) => _ = black_box(*now + 1),
                    Change::Joins(_) => _ = black_box(*now + 2),
                    Change::Leaves(_) => _ = black_box(*now + 3),
                }
            }
        });
        ns / CHANGES as f64
    }

    /// As [`Self::maintain`], but only reads the changes.
    pub(crate) fn skip(&mut self) -> f64 {
        let Self { changes, now, .. } = self;
        let (ns, ()) = rounds::time(|| {
            for change in &*changes {
                *now += STEP;
                black_box((*black_box(change), *now));
            }
        });
        ns / CHANGES as f64
    }
}

fn drawn(mut percent: u32) -> Change {
    for (change, share) in MIX {
        if percent < share {
            return change;
        }
        percent -= share;
    }
    MIX[0].0
}
