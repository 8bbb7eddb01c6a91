//! What one core owns and does (L4): its states, its sync queues, its counters, and a burst's way through them.

mod counters;

pub use counters::LaneCounters;
