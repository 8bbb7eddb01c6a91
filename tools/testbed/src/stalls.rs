//! Watches whether the machine runs at all. A virtual machine whose host limits its processor time stands still for tens of
//! milliseconds at a time, and a master that does not run for two intervals has lost its role: that is not the firewalls' fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::{self, MILLISECOND, Nanos};
use crate::failure::{Context, Fallible, fail};

const INTERVAL: Duration = Duration::from_millis(1);
/// A thread that sleeps for a millisecond continues within this on a machine that runs.
const SHORTEST: Nanos = 5 * MILLISECOND;
/// Stalls that are remembered; a machine with more is of no use.
const MAX_STALLS: usize = 10_000;

/// A time in which a sleeping thread was not continued, although its sleep was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// When the thread went to sleep.
    pub at: Nanos,
    /// How long it slept.
    pub length: Nanos,
}

impl Stall {
    /// Returns the stall if a sleep from `asleep` until `awake` was one.
    fn of(asleep: Nanos, awake: Nanos) -> Option<Stall> {
        let length = awake.saturating_sub(asleep);
        (length > SHORTEST).then_some(Stall { at: asleep, length })
    }
}

/// A thread that sleeps again and again.
pub struct StallWatch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Stall>>,
}

impl StallWatch {
    /// Starts it. It has the priority of the thread that calls.
    pub fn start() -> Fallible<StallWatch> {
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("stalls".into())
            .spawn(move || watch(&ends))
            .context(|| "start the thread that watches whether the machine stands still")?;
        Ok(StallWatch { is_over, thread })
    }

    /// Ends it. Returns all stalls.
    pub fn finish(self) -> Fallible<Vec<Stall>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .or_else(|_| fail("the thread that watches whether the machine stands still panicked"))
    }
}

fn watch(is_over: &AtomicBool) -> Vec<Stall> {
    let mut stalls = Vec::new();
    while !is_over.load(Ordering::Relaxed) && stalls.len() < MAX_STALLS {
        let asleep = clock::now();
        thread::sleep(INTERVAL);
        stalls.extend(Stall::of(asleep, clock::now()));
    }
    stalls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_sleep_is_a_stall() {
        assert_eq!(Stall::of(7, 7 + SHORTEST), None);
        assert_eq!(Stall::of(7, 8 + SHORTEST), Some(Stall { at: 7, length: SHORTEST + 1 }));
    }

    #[test]
    fn the_watch_ends_when_it_is_told_to() {
        let watch = StallWatch::start().expect("a thread");
        let stalls = watch.finish().expect("it did not panic");
        assert!(stalls.iter().all(|stall| stall.length > SHORTEST));
    }
}
