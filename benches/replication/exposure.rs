//! What it costs to keep current what would be lost if the node died now.
//!
//! The exposure has no operations of its own: it is read off the queues' lengths, the time of the oldest creation and the
//! counts by age, which the queues keep as states join and leave. So the keeping alone is timed: the library's `aging.rs`
//! as it is, and the counts beside it written out as `Queues` and `Exporter` have them, without links and records.

#[expect(dead_code, unused_imports, reason = "the bench asks for no deadline, and runs no unit tests")]
#[path = "../../src/sync/export/queue/aging.rs"]
mod aging;

use crate::harness::rounds;
use aging::Aging;
use pfplane::internals::state::Queue;
use pfplane::internals::sync::SyncSettings;
use pfplane::internals::time::Nanos;
use pfplane_testkit::Random;
use std::hint::black_box;

/// Changes between two readings of the clock.
pub const CHANGES: usize = 1 << 16;
/// A million changes a second.
const STEP: Nanos = 1000;
const QUEUES: usize = 6;
/// Compressed updates that wait when the stream begins, so that there are some to leave.
const WAITING: u32 = 1000;
/// Of a hundred changes so many are of each kind: joins of a queue, or a leave from among the compressed updates.
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

/// What the exposure is read off.
struct Kept {
    len: [u32; QUEUES],
    creations_since: Nanos,
    aging: Aging,
}

impl Kept {
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

    /// Frames take what is due, and all that waits elsewhere.
    fn flush(&mut self, now: Nanos) {
        self.aging.advance(now);
        let due = self.aging.due();
        self.aging.take_due(due);
        let left = self.len[Queue::UpdateCompressed as usize] - due;
        self.len = [0; QUEUES];
        self.len[Queue::UpdateCompressed as usize] = left;
    }
}

/// A stream of changes, and what is kept of it.
pub struct Keeper {
    changes: Vec<Change>,
    kept: Kept,
    now: Nanos,
}

impl Keeper {
    /// Changes come in runs of one kind, so many long: 1 is the worst that a processor's guesses can meet.
    pub fn new(run: usize) -> Self {
        let mut random = Random::new(11);
        let kinds: Vec<Change> = (0..CHANGES / run).map(|_| drawn(random.below_u32(100))).collect();
        let changes = kinds.into_iter().flat_map(|kind| std::iter::repeat_n(kind, run)).collect();
        let age = SyncSettings::default().update_age;
        let mut kept = Kept { len: [0; QUEUES], creations_since: 0, aging: Aging::new(age) };
        (0..WAITING).for_each(|_| kept.note(Change::Joins(Queue::UpdateCompressed), 0));
        Self { changes, kept, now: 0 }
    }

    /// Nanoseconds a change.
    pub fn keep(&mut self) -> f64 {
        let Self { changes, kept, now } = self;
        let (ns, ()) = rounds::time(|| {
            for change in &*changes {
                *now += STEP;
                kept.note(*black_box(change), *now);
            }
        });
        black_box(&*kept);
        kept.flush(*now);
        ns / CHANGES as f64
    }

    /// The same stream told apart by kind, as the queues must, of which nothing is kept.
    pub fn tell_apart(&mut self) -> f64 {
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

    /// The same stream, of which nothing is kept.
    pub fn pass_by(&mut self) -> f64 {
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
