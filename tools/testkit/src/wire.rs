//! A wire in virtual time that loses, duplicates, delays and reorders frames.

use crate::random::Random;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

/// Default latency of an unimpaired wire.
const LATENCY_NS: u64 = 100_000;

/// How the wire treats frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Impairment {
    /// Frames in a thousand that are lost.
    pub loss_per_mille: u64,
    /// Frames in a thousand that arrive twice.
    pub duplicate_per_mille: u64,
    /// Additional latency of every frame.
    pub delay_ns: u64,
    /// Random latency on top, so that frames are reordered.
    pub jitter_ns: u64,
}

/// What happened to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Arrives after this many nanoseconds.
    Once(u64),
    /// Arrives twice.
    Twice,
    /// Lost.
    Lost,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    at: u64,
    number: u64,
    to: usize,
    bytes: Rc<[u8]>,
}

/// The wire, with the frames in flight.
pub struct Wire {
    /// Latency of a frame without impairment; with 0 it arrives in the step in which it is sent.
    pub latency_ns: u64,
    /// What it does to frames now.
    pub impairment: Impairment,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    sent: u64,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            latency_ns: LATENCY_NS,
            impairment: Impairment::default(),
            in_flight: BinaryHeap::new(),
            sent: 0,
        }
    }
}

impl Wire {
    /// Returns the number of frames in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends a frame to node `to`, as the impairment allows.
    pub fn send(&mut self, to: usize, bytes: &Rc<[u8]>, now: u64, random: &mut Random) -> Delivery {
        let Impairment { loss_per_mille, duplicate_per_mille, .. } = self.impairment;
        if loss_per_mille > 0 && random.chance(loss_per_mille) {
            return Delivery::Lost;
        }
        let after = self.deliver(to, Rc::clone(bytes), now, random);
        if duplicate_per_mille > 0 && random.chance(duplicate_per_mille) {
            self.deliver(to, Rc::clone(bytes), now, random);
            return Delivery::Twice;
        }
        Delivery::Once(after)
    }

    /// Sends a frame that is not lost; returns its latency.
    pub fn deliver(&mut self, to: usize, bytes: Rc<[u8]>, now: u64, random: &mut Random) -> u64 {
        let Impairment { delay_ns, jitter_ns, .. } = self.impairment;
        let jitter = if jitter_ns > 0 { random.below(jitter_ns) } else { 0 };
        let after = self.latency_ns + delay_ns + jitter;
        self.sent += 1;
        self.in_flight.push(Reverse(InFlight { at: now + after, number: self.sent, to, bytes }));
        after
    }

    /// Removes and returns the next frame that has arrived by `now`, with its receiver.
    pub fn receive(&mut self, now: u64) -> Option<(usize, Rc<[u8]>)> {
        if self.in_flight.peek()?.0.at > now {
            return None;
        }
        self.in_flight.pop().map(|Reverse(frame)| (frame.to, frame.bytes))
    }

    /// Drops all frames in flight to a node.
    pub fn clear(&mut self, to: usize) {
        self.in_flight.retain(|Reverse(frame)| frame.to != to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u8) -> Rc<[u8]> {
        [n].into()
    }

    #[test]
    fn an_unimpaired_wire_delivers_every_frame_in_order() {
        let (mut wire, mut random) = (Wire::default(), Random::new(1));
        for n in 0..3 {
            assert_eq!(wire.send(1, &frame(n), 0, &mut random), Delivery::Once(LATENCY_NS));
        }
        assert_eq!(wire.receive(LATENCY_NS - 1), None);
        for n in 0..3 {
            assert_eq!(wire.receive(LATENCY_NS), Some((1, frame(n))));
        }
        assert_eq!(wire.in_flight(), 0);
    }

    #[test]
    fn an_impaired_wire_loses_duplicates_and_reorders() {
        let impairment =
            Impairment { loss_per_mille: 200, duplicate_per_mille: 100, delay_ns: 0, jitter_ns: 5_000_000 };
        let (mut wire, mut random) = (Wire { impairment, ..Wire::default() }, Random::new(1));
        let mut count = [0; 3];
        for n in 0..=255 {
            count[match wire.send(0, &frame(n), 0, &mut random) {
                Delivery::Once(_) => 0,
                Delivery::Twice => 1,
                Delivery::Lost => 2,
            }] += 1;
        }
        assert!(count.iter().all(|&count| count > 10), "{count:?}");
        let mut arrived = Vec::new();
        while let Some((_, bytes)) = wire.receive(u64::MAX) {
            arrived.push(bytes[0]);
        }
        assert_eq!(arrived.len(), count[0] + 2 * count[1]);
        assert!(!arrived.is_sorted());
    }

    #[test]
    fn frames_to_a_dead_node_can_be_cleared() {
        let (mut wire, mut random) = (Wire::default(), Random::new(1));
        wire.send(0, &frame(0), 0, &mut random);
        wire.send(1, &frame(1), 0, &mut random);
        wire.clear(0);
        assert_eq!(wire.receive(u64::MAX), Some((1, frame(1))));
        assert_eq!(wire.receive(u64::MAX), None);
    }
}
