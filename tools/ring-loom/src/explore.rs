//! Runs one scenario in every order.

use loom::model::Builder;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Maximum of operations in one run, more than any scenario has.
const MAX_BRANCHES: usize = 10_000;

/// Runs `scenario` in every order, or in those with a maximum of preemptions. Returns the number of orders.
///
/// # Panics
/// The scenario panics in some order, or loom finds a race or a leak.
pub fn explore(preemptions: Option<usize>, scenario: impl Fn() + Sync + Send + 'static) -> usize {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut builder = Builder::new();
    builder.max_branches = MAX_BRANCHES;
    builder.max_threads = 2;
    // Loom's environment variables must not limit the run.
    (builder.preemption_bound, builder.max_duration, builder.max_permutations) = (preemptions, None, None);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    runs.load(Ordering::Relaxed)
}

/// An event that must happen in at least one order; otherwise the scenario tests less than it claims.
#[derive(Clone, Default)]
pub struct Seen(Arc<AtomicBool>);

impl Seen {
    /// Notes that the event happened.
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Checks that the event happened.
    ///
    /// # Panics
    /// It happened in no order.
    pub fn must(&self, what: &str) {
        assert!(self.0.load(Ordering::Relaxed), "in no order {what}");
    }
}
