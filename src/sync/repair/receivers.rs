//! The nodes that receive one stream, and how far each has taken it.

use crate::time::{NANOS_PER_SECOND, Nanos};
use arrayvec::ArrayVec;
use pfsync::TakenFrames;

/// Nodes of one peer that are known. One more takes the place of the one that was silent for longest.
const MAX_NODES: usize = 4;
/// A node that reports nothing for longer is not waited for.
const MAX_SILENCE: Nanos = 3 * NANOS_PER_SECOND;
/// Minimum interval between frames that request a report, if nobody waits for it.
const REQUEST_INTERVAL: Nanos = 1_000_000;

#[derive(Clone, Copy, Debug)]
struct Receiver {
    /// The run of the node.
    run: u64,
    taken: TakenFrames,
    reported: Nanos,
}

/// The nodes behind one peer.
#[derive(Debug)]
pub(super) struct Receivers {
    nodes: ArrayVec<Receiver, MAX_NODES>,
    max_nodes: usize,
    /// The last frame that requested a report which is missing, and when it was sent.
    requested: Option<(u64, Nanos)>,
    /// No other frame requests a report before.
    next_request: Nanos,
    /// All that was sent before was taken.
    pub since: Nanos,
}

impl Receivers {
    /// Of a peer of at most `max_nodes` nodes.
    pub(super) fn new(max_nodes: usize) -> Self {
        let max_nodes = max_nodes.clamp(1, MAX_NODES);
        Self { nodes: ArrayVec::new(), max_nodes, requested: None, next_request: 0, since: 0 }
    }

    /// Whether a node has ever reported. A stock system does not.
    pub(super) const fn have_reported(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// Returns the number of the last frame that all of them have taken, without those that were silent for long.
    pub(super) fn taken(&self, now: Nanos) -> u64 {
        let newest = self.nodes.iter().map(|node| node.reported).max().unwrap_or(0);
        let limit = newest.min(now).saturating_sub(MAX_SILENCE);
        self.nodes.iter().filter(|node| node.reported >= limit).map(|node| node.taken.last).min().unwrap_or(0)
    }

    /// Notes what a node has taken. Returns whether it lacks what was sent before: it is another run, or has given up gaps.
    pub(super) fn report(&mut self, run: u64, taken: TakenFrames, now: Nanos) -> bool {
        let lacks = self.note(Receiver { run, taken, reported: now });
        if let Some((frame, requested)) = self.requested
            && self.taken(now) >= frame
        {
            (self.requested, self.since) = (None, requested);
        }
        lacks
    }

    fn note(&mut self, report: Receiver) -> bool {
        let is_behind = report.taken.first > 1;
        if let Some(node) = self.nodes.iter_mut().find(|node| node.run == report.run) {
            let lacks = is_behind && node.taken.first < report.taken.first;
            let last = node.taken.last.max(report.taken.last);
            *node = Receiver { taken: TakenFrames { last, ..report.taken }, ..report };
            return lacks;
        }
        if self.nodes.len() == self.max_nodes
            && let Some(oldest) = self.nodes.iter_mut().min_by_key(|node| node.reported)
        {
            *oldest = report;
        } else {
            self.nodes.push(report);
        }
        is_behind
    }

    /// Returns whether a frame with this number is to request a report. `is_urgent`: somebody waits for it.
    pub(super) fn request(&mut self, frame: u64, is_urgent: bool, now: Nanos) -> bool {
        if !is_urgent && now < self.next_request {
            return false;
        }
        self.next_request = now.saturating_add(REQUEST_INTERVAL);
        self.requested.get_or_insert((frame, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Nanos = NANOS_PER_SECOND;

    const fn frames(first: u64, last: u64) -> TakenFrames {
        TakenFrames { first, last }
    }

    #[test]
    fn all_nodes_of_a_group_must_have_taken_a_frame_except_silent_ones() {
        let mut nodes = Receivers::new(3);
        assert!(!nodes.have_reported());
        assert!(!nodes.report(1, frames(1, 50), S));
        assert!(!nodes.report(2, frames(1, 40), S));
        assert_eq!(nodes.taken(S), 40);
        assert!(!nodes.report(1, frames(1, 45), 2 * S));
        assert!(!nodes.report(2, frames(1, 60), 2 * S));
        assert_eq!(nodes.taken(2 * S), 50, "a report that was overtaken takes nothing back");
        assert!(!nodes.report(1, frames(1, 90), 6 * S));
        assert_eq!(nodes.taken(6 * S), 90);
    }

    #[test]
    fn a_run_lacks_what_it_has_not_requested() {
        let mut nodes = Receivers::new(1);
        assert!(!nodes.report(1, frames(1, 50), S));
        assert!(nodes.report(2, frames(40, 45), S), "another run");
        assert_eq!(nodes.taken(S), 45, "it takes the place of the other one");
        assert!(!nodes.report(2, frames(40, 60), S));
        assert!(nodes.report(2, frames(70, 75), S), "it has given up a gap");
        assert!(!nodes.report(3, frames(1, 70), S), "all was repaired");
    }

    #[test]
    fn reports_are_requested_once_a_millisecond_and_at_once_if_somebody_waits() {
        let mut nodes = Receivers::new(1);
        assert!(nodes.request(1, false, S));
        assert!(!nodes.request(2, false, S + 999_999));
        assert!(nodes.request(3, true, S + 999_999));
        assert!(!nodes.request(4, false, S + 1_999_998));
        assert!(nodes.request(5, false, S + 1_999_999));
        nodes.report(1, frames(1, 1), S + 2_000_000);
        assert_eq!(nodes.since, S, "all that was sent before frame 1 was taken");
    }
}
