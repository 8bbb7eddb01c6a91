//! The receiver's side: which frames arrived, and what is reported to the sender.

use super::gaps::Gaps;
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::sync::message::PeerIndex;
use crate::time::{NANOS_PER_SECOND, Nanos};
use pfsync::{FrameRange, StreamName, StreamOption, TakenFrames, TrailerFields, trailer_flags};

/// Streams that are remembered. The one that was silent for longest gives its place to a new one.
const MAX_STREAMS: usize = 64;
/// Maximum frames that are requested before the first one of a stream, if it is received while this node loads all states: they
/// may have been lost behind the start of the transfer.
const MAX_OVERLAP: u64 = 256;
/// Old frames in a row after which the stream counts as started again, with numbers that it had before.
const MAX_LATE: u32 = 64;
/// Minimum interval between two reports of all streams.
const REPORT_INTERVAL: Nanos = 250_000;
/// A stream that was silent for longer is not asked for frames: nobody would answer.
const MAX_SILENCE: Nanos = 3 * NANOS_PER_SECOND;
/// A node that lives sends a frame at least each second.
const MAX_HEARTBEAT_GAP: Nanos = 3 * NANOS_PER_SECOND / 2;
/// Gaps of a stream that was silent for this long are given up.
const MAX_ABSENCE: Nanos = 60 * NANOS_PER_SECOND;
/// A gap that is open for this long, while frames are received, speaks against a takeover.
const PATIENCE: Nanos = NANOS_PER_SECOND;
/// After this time, while frames are received, a gap is given up: all states are requested.
const MAX_GAP_AGE: Nanos = 10 * NANOS_PER_SECOND;

#[derive(Clone, Debug)]
struct Stream {
    peer: PeerIndex,
    name: StreamName,
    /// The first number that was wanted.
    first: u64,
    /// The number that comes next.
    next: u64,
    gaps: Gaps,
    /// Frames that did not arrive so far; wraps.
    lost: u32,
    /// Old frames since the last one in order.
    late: u32,
    /// The sender wants to know how far the stream was received.
    report_due: bool,
    last_seen: Nanos,
}

impl Stream {
    /// Closes the gaps: all states are requested instead, so nothing of before counts as received.
    fn give_up_gaps(&mut self) {
        self.gaps.clear();
        self.first = self.next;
    }

    /// Whether frames were still received this long after the oldest gap was found.
    fn has_gap_of(&self, age: Nanos) -> bool {
        self.gaps.since().is_some_and(|since| self.last_seen.saturating_sub(since) >= age)
    }
}

/// Where a frame is in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sync) enum Order {
    /// It is the next one, the first one of its stream, or has no number.
    Next,
    /// This number of frames before it are missing.
    Gap(u64),
    /// It is late, and was missing until now.
    Late,
    /// It came twice, or is not missed any more: what it carries is known or out of date.
    Old,
}

/// The streams of all peers.
#[derive(Debug)]
pub(in crate::sync) struct Streams {
    streams: List<Stream>,
    capacity: usize,
    /// The stream of the last frame.
    last: usize,
    /// No report is due before this time.
    next_report: Nanos,
    /// When the last reports were sent.
    reported: Nanos,
    /// Gaps that were given up while frames were received: all states must be requested.
    pub abandoned: u64,
    /// Gaps of streams that ended.
    pub ended_with_gaps: u64,
}

impl Streams {
    pub(in crate::sync) fn new(is_numbered: bool, heap: Heap) -> Result<Self, Error> {
        let capacity = Self::capacity(is_numbered);
        Ok(Self {
            streams: heap.list("streams of peers", capacity)?,
            capacity,
            last: 0,
            next_report: Nanos::MAX,
            reported: 0,
            abandoned: 0,
            ended_with_gaps: 0,
        })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(in crate::sync) const fn memory_needed(is_numbered: bool) -> usize {
        Self::capacity(is_numbered) * size_of::<Stream>()
    }

    const fn capacity(is_numbered: bool) -> usize {
        if is_numbered { MAX_STREAMS } else { 0 }
    }

    /// Notes a frame. `is_loading`: all states are being requested, so earlier frames of an unknown stream do not matter.
    ///
    /// Cost: a comparison if it is of the last frame's stream, otherwise one for each stream.
    pub(in crate::sync) fn receive(
        &mut self,
        peer: PeerIndex,
        fields: &TrailerFields,
        is_loading: bool,
        now: Nanos,
    ) -> Order {
        let (name, sequence) = (fields.stream(), fields.sequence);
        if sequence == 0 || self.capacity == 0 {
            return Order::Next;
        }
        let is_same = |stream: &Stream| (stream.peer, stream.name) == (peer, name);
        if !self.streams.get(self.last).is_some_and(is_same) {
            match self.streams.iter().position(is_same) {
                Some(index) => self.last = index,
                None => self.add(peer, name, first_wanted(sequence, is_loading)),
            }
        }
        let stream = &mut self.streams[self.last];
        stream.last_seen = now;
        if fields.flags & trailer_flags::REPORT != 0 {
            stream.report_due = true;
            self.next_report = self.next_report.min(self.reported + REPORT_INTERVAL);
        }
        let Some(missing) = sequence.checked_sub(stream.next) else {
            if stream.gaps.fill(sequence) {
                stream.report_due = true;
                self.next_report = self.next_report.min(self.reported + REPORT_INTERVAL);
                return Order::Late;
            }
            stream.late += 1;
            if stream.late < MAX_LATE {
                return Order::Old;
            }
            (stream.next, stream.late) = (sequence.saturating_add(1), 0);
            stream.give_up_gaps();
            return Order::Next;
        };
        stream.late = 0;
        let first = core::mem::replace(&mut stream.next, sequence.saturating_add(1));
        if missing == 0 {
            return Order::Next;
        }
        stream.lost = stream.lost.wrapping_add(missing as u32);
        stream.gaps.open(first, sequence, now);
        self.next_report = self.next_report.min(self.reported + REPORT_INTERVAL);
        Order::Gap(missing)
    }

    #[cold]
    fn add(&mut self, peer: PeerIndex, name: StreamName, next: u64) {
        let gaps = Gaps::default();
        let stream =
            Stream { peer, name, first: next, next, gaps, lost: 0, late: 0, report_due: false, last_seen: 0 };
        if self.streams.len() < self.capacity {
            self.last = self.streams.len();
            self.streams.push(stream);
            return;
        }
        let oldest = (0..self.streams.len()).min_by_key(|&index| self.streams[index].last_seen);
        self.last = oldest.unwrap_or(0);
        self.ended_with_gaps += u64::from(!self.streams[self.last].gaps.is_empty());
        self.streams[self.last] = stream;
    }

    /// Notes that what these frames carried was sent again in their stream, that of the last frame received.
    pub(in crate::sync) fn mended(&mut self, frames: FrameRange) {
        if let Some(stream) = self.streams.get_mut(self.last) {
            stream.gaps.close(frames);
            // The sender may wait for it.
            stream.report_due = true;
            self.next_report = self.next_report.min(self.reported + REPORT_INTERVAL);
        }
    }

    /// Returns how many frames are missing and not repaired.
    pub(in crate::sync) fn unrepaired(&self) -> u64 {
        self.streams.iter().fold(0, |sum, stream| sum.saturating_add(stream.gaps.frames()))
    }

    /// Returns the run of the node that sent the last frame with a number.
    pub(in crate::sync) fn last_epoch(&self) -> u64 {
        self.streams.get(self.last).map_or(0, |stream| stream.name.epoch)
    }

    /// Whether frames of the run of the last frame are missing and not repaired.
    pub(in crate::sync) fn has_gap_in_last(&self) -> bool {
        self.streams.get(self.last).is_some_and(|last| self.has_gap(last.peer, last.name.epoch))
    }

    /// Whether frames of a peer's run are missing and not repaired.
    pub(in crate::sync) fn has_gap(&self, peer: PeerIndex, epoch: u64) -> bool {
        let is_of = |stream: &Stream| stream.peer == peer && stream.name.epoch == epoch;
        self.streams.iter().any(|stream| is_of(stream) && !stream.gaps.is_empty())
    }

    /// Whether a gap has been open for long although frames are received. A dead node repairs nothing.
    pub(in crate::sync) fn has_old_gap(&self, now: Nanos) -> bool {
        let is_alive = |stream: &Stream| now.saturating_sub(stream.last_seen) < MAX_HEARTBEAT_GAP;
        self.streams.iter().any(|stream| is_alive(stream) && stream.has_gap_of(PATIENCE))
    }

    /// Passes on the reports that are due, as far as `send` has space for them; with `is_behind` no progress, because this node
    /// has not applied what it received. Cost: a comparison if none is due.
    pub(in crate::sync) fn report(
        &mut self,
        is_behind: bool,
        now: Nanos,
        mut send: impl FnMut(PeerIndex, StreamOption) -> bool,
    ) {
        if now < self.next_report {
            return;
        }
        self.reported = now;
        for stream in &mut self.streams {
            if stream.has_gap_of(MAX_GAP_AGE) {
                stream.give_up_gaps();
                self.abandoned += 1;
            }
            let silence = now.saturating_sub(stream.last_seen);
            if silence > MAX_ABSENCE && !stream.gaps.is_empty() {
                stream.give_up_gaps();
                self.ended_with_gaps += 1;
            }
            let Stream { peer, name, .. } = *stream;
            if stream.report_due && !is_behind {
                let last = stream.next - 1;
                let taken_last = stream.gaps.first().map_or(last, |missing| missing - 1);
                let taken = Some(TakenFrames { first: stream.first, last: taken_last });
                let took = StreamOption::Took { stream: name, last, lost: stream.lost, taken };
                stream.report_due = !send(peer, took);
            }
            while silence <= MAX_SILENCE
                && let Some(frames) = stream.gaps.take_due(now)
            {
                if !send(peer, StreamOption::Lost { stream: name, frames }) {
                    break;
                }
            }
        }
        let ask_at = self
            .streams
            .iter()
            .map(|stream| if stream.report_due { now } else { stream.gaps.ask_at().max(stream.last_seen) });
        self.next_report = ask_at.min().unwrap_or(Nanos::MAX).max(now + REPORT_INTERVAL);
    }
}

/// Returns the first number of an unknown stream that is wanted.
const fn first_wanted(sequence: u64, is_loading: bool) -> u64 {
    match sequence.checked_sub(MAX_OVERLAP) {
        Some(first) if is_loading && first > 0 => first,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;
    const S: Nanos = NANOS_PER_SECOND;

    fn streams() -> Streams {
        Streams::new(true, Heap::SYSTEM).unwrap()
    }

    fn frame(epoch: u64, lane: u8, sequence: u64) -> TrailerFields {
        TrailerFields { epoch, lane, sequence, ..TrailerFields::default() }
    }

    fn reports(streams: &mut Streams, now: Nanos) -> Vec<StreamOption> {
        let mut reports = Vec::new();
        streams.report(false, now, |peer, option| {
            assert_eq!(peer, 0);
            reports.push(option);
            true
        });
        reports
    }

    fn lost(epoch: u64, lane: u8, first: u64, count: u32) -> StreamOption {
        let stream = StreamName { epoch, flow: 0, lane };
        StreamOption::Lost { stream, frames: FrameRange { first, count } }
    }

    #[test]
    fn missing_and_late_frames_of_each_stream_are_found() {
        let mut streams = streams();
        let mut order = |lane, sequence| streams.receive(0, &frame(5, lane, sequence), false, 0);
        assert_eq!([order(0, 1), order(1, 1), order(0, 2), order(1, 2)], [Order::Next; 4]);
        assert_eq!([order(0, 6), order(1, 4)], [Order::Gap(3), Order::Gap(1)]);
        assert_eq!([order(0, 4), order(0, 6), order(1, 0)], [Order::Late, Order::Old, Order::Next]);
        assert_eq!(
            [order(0, 7), order(1, 5), order(1, 3), order(1, 3)],
            [Order::Next, Order::Next, Order::Late, Order::Old]
        );
        assert_eq!(order(0, u64::MAX), Order::Gap(u64::MAX - 8));
        assert_eq!(order(0, u64::MAX), Order::Next, "it ends there");
        assert_eq!(streams.unrepaired(), u64::MAX - 8 + 3);
    }

    #[test]
    fn a_restart_another_peer_and_another_flow_begin_streams() {
        let mut streams = streams();
        let mut order = |peer, fields| streams.receive(peer, &fields, false, 0);
        assert_eq!(order(0, frame(5, 0, 1)), Order::Next);
        assert_eq!(order(0, frame(6, 0, 1)), Order::Next);
        assert_eq!(order(1, frame(5, 0, 3)), Order::Gap(2), "its first frames are missing");
        assert_eq!(order(0, TrailerFields { flow: 1, ..frame(5, 0, 1) }), Order::Next);
        assert_eq!(order(0, frame(5, 0, 3)), Order::Gap(1));
    }

    #[test]
    fn a_node_that_loads_all_states_asks_for_few_frames_before_the_first() {
        for (sequence, missing) in [(1, 0), (2, 1), (256, 255), (257, 256), (1_000_000, 256)] {
            let order = streams().receive(0, &frame(5, 0, sequence), true, 0);
            assert_eq!(order, if missing == 0 { Order::Next } else { Order::Gap(missing) }, "{sequence}");
        }
    }

    #[test]
    fn a_stream_that_starts_again_with_old_numbers_is_followed() {
        let mut streams = streams();
        (1..100).for_each(|n| _ = streams.receive(0, &frame(5, 0, n), false, 0));
        let orders: Vec<_> = (1..=65).map(|n| streams.receive(0, &frame(5, 0, n), false, 0)).collect();
        assert!(orders[..63].iter().all(|order| *order == Order::Old));
        assert_eq!(orders[63..], [Order::Next; 2]);
    }

    #[test]
    fn a_flood_of_streams_takes_no_more_memory_and_spares_the_busy_one() {
        let mut streams = streams();
        for epoch in 1..10_000 {
            assert_eq!(streams.receive(0, &frame(epoch, 0, 1), false, epoch), Order::Next);
            assert_eq!(streams.receive(0, &frame(0, 0, epoch), false, epoch), Order::Next);
        }
        assert_eq!(streams.streams.len(), MAX_STREAMS);
    }

    #[test]
    fn gaps_are_reported_until_they_are_mended() {
        let mut streams = streams();
        streams.receive(0, &frame(5, 0, 1), false, S);
        assert!(reports(&mut streams, S).is_empty());
        streams.receive(0, &frame(5, 0, 4), false, S);
        assert_eq!(reports(&mut streams, S), [lost(5, 0, 2, 2)]);
        assert!(reports(&mut streams, S + 19 * MS).is_empty());
        assert_eq!(reports(&mut streams, S + 20 * MS), [lost(5, 0, 2, 2)]);
        assert!(streams.has_gap(0, 5) && !streams.has_gap(1, 5) && !streams.has_gap(0, 6));
        streams.receive(0, &frame(5, 0, 5), false, S + 30 * MS);
        streams.mended(FrameRange { first: 2, count: 2 });
        assert!(!streams.has_gap(0, 5) && streams.unrepaired() == 0);
        let took = StreamOption::Took {
            stream: frame(5, 0, 1).stream(),
            last: 5,
            lost: 2,
            taken: Some(TakenFrames { first: 1, last: 5 }),
        };
        assert_eq!(reports(&mut streams, 9 * S), [took], "the sender learns that nothing is missing");
        assert!(reports(&mut streams, 10 * S).is_empty());
    }

    #[test]
    fn reports_have_an_interval_and_wait_for_space() {
        let mut streams = streams();
        streams.receive(0, &TrailerFields { flags: trailer_flags::REPORT, ..frame(5, 0, 1) }, false, S);
        let took = |last, lost, taken| {
            let (stream, taken) = (frame(5, 0, 1).stream(), Some(TakenFrames { first: 1, last: taken }));
            StreamOption::Took { stream, last, lost, taken }
        };
        streams.report(false, S, |_, _| false);
        assert!(reports(&mut streams, S + 1).is_empty());
        assert_eq!(reports(&mut streams, S + REPORT_INTERVAL), [took(1, 0, 1)]);
        streams.receive(0, &TrailerFields { flags: trailer_flags::REPORT, ..frame(5, 0, 3) }, false, S);
        assert!(reports(&mut streams, S + REPORT_INTERVAL + 1).is_empty());
        assert_eq!(reports(&mut streams, S + 2 * REPORT_INTERVAL), [took(3, 1, 1), lost(5, 0, 2, 1)]);
    }

    #[test]
    fn a_gap_that_nobody_repairs_is_given_up_and_a_dead_peer_is_not_asked() {
        let mut streams = streams();
        let receive = |streams: &mut Streams, n, now| _ = streams.receive(0, &frame(5, 0, n), false, now);
        receive(&mut streams, 1, S);
        receive(&mut streams, 3, S);
        receive(&mut streams, 4, 2 * S);
        assert!(streams.has_old_gap(3 * S) && !streams.has_old_gap(4 * S), "the peer may have died");
        receive(&mut streams, 5, 11 * S);
        assert!(reports(&mut streams, 11 * S).is_empty());
        assert_eq!((streams.abandoned, streams.unrepaired()), (1, 0));
        receive(&mut streams, 7, 20 * S);
        assert!(!streams.has_old_gap(20 * S));
        assert_eq!(reports(&mut streams, 20 * S).len(), 1);
        assert!(reports(&mut streams, 24 * S).is_empty());
        assert!(reports(&mut streams, 90 * S).is_empty());
        assert_eq!((streams.abandoned, streams.ended_with_gaps, streams.unrepaired()), (1, 1, 0));
    }
}
