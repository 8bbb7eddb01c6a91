//! The receiver's side.

use crate::sync::message::PeerIndex;
use arrayvec::ArrayVec;
use pfsync::TrailerFields;

/// Streams that are remembered. The one that was silent for longest gives its place to a new one.
const MAX_STREAMS: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Stream {
    peer: PeerIndex,
    epoch: u64,
    flow: u8,
    lane: u8,
    /// The number that comes next.
    next: u64,
    /// The frame of all streams that was its last.
    last_frame: u64,
}

/// Where a frame is in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sync) enum Order {
    /// It is the next one, the first one of its stream, or has no number.
    Next,
    /// So many before it are missing.
    Gap(u64),
    /// Its turn is over: it is late, or came twice.
    Late,
}

/// The streams of all peers.
#[derive(Debug, Default)]
pub(in crate::sync) struct Streams {
    streams: ArrayVec<Stream, MAX_STREAMS>,
    frames: u64,
    /// The stream of the last frame.
    last: usize,
}

impl Streams {
    /// Notes a frame. Cost: a comparison if it is of the last frame's stream, otherwise one for each stream.
    pub(in crate::sync) fn receive(&mut self, peer: PeerIndex, fields: &TrailerFields) -> Order {
        let TrailerFields { epoch, flow, lane, sequence, .. } = *fields;
        if sequence == 0 {
            return Order::Next;
        }
        self.frames += 1;
        let is_same = |stream: &Stream| {
            (stream.peer, stream.epoch, stream.flow, stream.lane) == (peer, epoch, flow, lane)
        };
        if !self.streams.get(self.last).is_some_and(is_same) {
            match self.streams.iter().position(is_same) {
                Some(index) => self.last = index,
                None => self.add(Stream { peer, epoch, flow, lane, next: sequence, last_frame: 0 }),
            }
        }
        let stream = &mut self.streams[self.last];
        stream.last_frame = self.frames;
        let Some(missing) = sequence.checked_sub(stream.next) else { return Order::Late };
        stream.next = sequence.saturating_add(1);
        if missing == 0 { Order::Next } else { Order::Gap(missing) }
    }

    #[cold]
    fn add(&mut self, stream: Stream) {
        if self.streams.is_full() {
            let oldest = (0..self.streams.len()).min_by_key(|&index| self.streams[index].last_frame);
            self.last = oldest.unwrap_or(0);
            self.streams[self.last] = stream;
        } else {
            self.last = self.streams.len();
            self.streams.push(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(epoch: u64, lane: u8, sequence: u64) -> TrailerFields {
        TrailerFields { epoch, lane, sequence, ..TrailerFields::default() }
    }

    #[test]
    fn missing_and_late_frames_of_each_stream_are_found() {
        let mut streams = Streams::default();
        let mut order = |lane, sequence| streams.receive(0, &frame(5, lane, sequence));
        assert_eq!([order(0, 7), order(1, 1), order(0, 8), order(1, 2)], [Order::Next; 4]);
        assert_eq!([order(0, 12), order(1, 4)], [Order::Gap(3), Order::Gap(1)]);
        assert_eq!([order(0, 10), order(0, 12), order(1, 0)], [Order::Late, Order::Late, Order::Next]);
        assert_eq!([order(0, 13), order(1, 5)], [Order::Next; 2]);
        assert_eq!(order(0, u64::MAX), Order::Gap(u64::MAX - 14));
        assert_eq!(order(0, u64::MAX), Order::Next, "it ends there");
    }

    #[test]
    fn a_restart_another_peer_and_another_flow_begin_streams() {
        let mut streams = Streams::default();
        assert_eq!(streams.receive(0, &frame(5, 0, 100)), Order::Next);
        assert_eq!(streams.receive(0, &frame(6, 0, 1)), Order::Next);
        assert_eq!(streams.receive(1, &frame(5, 0, 3)), Order::Next);
        assert_eq!(streams.receive(0, &TrailerFields { flow: 1, ..frame(5, 0, 9) }), Order::Next);
        assert_eq!(streams.receive(0, &frame(5, 0, 102)), Order::Gap(1));
    }

    #[test]
    fn a_flood_of_streams_takes_no_more_memory_and_spares_the_busy_one() {
        let mut streams = Streams::default();
        for epoch in 1..10_000 {
            assert_eq!(streams.receive(0, &frame(epoch, 0, 1)), Order::Next);
            assert_eq!(streams.receive(0, &frame(0, 0, epoch)), Order::Next);
        }
        assert_eq!(streams.streams.len(), MAX_STREAMS);
    }
}
