//! Progress lines on standard output.

use crate::clock::{self, Nanos, seconds_since};

/// Prints lines with the time since the run began.
pub struct Screen {
    origin: Nanos,
    next_status: Nanos,
}

impl Screen {
    /// Starts the clock of a run.
    pub fn start() -> Screen {
        Screen { origin: clock::now(), next_status: 0 }
    }

    /// Prints one line.
    pub fn print(&self, text: &str) {
        println!("{:7.2} s  {text}", seconds_since(self.origin, clock::now()));
    }

    /// Whether `interval` has passed since this last returned true.
    pub fn status_is_due(&mut self, interval: Nanos) -> bool {
        let now = clock::now();
        let is_due = now >= self.next_status;
        if is_due {
            self.next_status = now + interval;
        }
        is_due
    }
}
