//! One scenario, in every order.

use loom::model::Builder;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Operations of both threads in one run, more than any scenario has.
const MAX_BRANCHES: usize = 10_000;

/// Runs it in every order, or in those where a thread is interrupted so often at most; says in how many.
///
/// # Panics
/// When the scenario does in some order, or loom finds a race or a leak.
pub fn explore(preemptions: Option<usize>, scenario: impl Fn() + Sync + Send + 'static) -> usize {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut builder = Builder::new();
    builder.max_branches = MAX_BRANCHES;
    builder.max_threads = 2;
    // The environment bounds nothing.
    (builder.preemption_bound, builder.max_duration, builder.max_permutations) = (preemptions, None, None);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    runs.load(Ordering::Relaxed)
}

/// Something that has to happen in at least one order, or the scenario tries less than it says.
#[derive(Clone, Default)]
pub struct Seen(Arc<AtomicBool>);

impl Seen {
    /// It happened.
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// # Panics
    /// When it happened in no order.
    pub fn must(&self, what: &str) {
        assert!(self.0.load(Ordering::Relaxed), "in no order {what}");
    }
}
