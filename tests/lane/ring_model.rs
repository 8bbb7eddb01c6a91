//! The rings between lanes under every interleaving of their two ends.
//!
//! Each operation on a ring is atomic (`tools/ring-loom` checks that). So two threads can only
//! interleave whole operations. Every interleaving of a bounded number of steps runs here, against a plain queue.

use pfplane::internals::lane::{LaneMessage, RING_CAPACITY, Rings, SyncLaneMessage};
use pfplane::internals::memory::Heap;
use pfplane::internals::state::StateId;
use pfplane::internals::sync::WalkOrder;
use std::collections::VecDeque;

/// Steps of an interleaving. Each is one end's turn.
const STEPS: u32 = 8;
/// Free slots of the ring at the start: a few messages fill it.
const FREE: usize = 2;

fn order(generation: u32) -> WalkOrder {
    WalkOrder { peer: 0, generation }
}

/// Returns the ends of two lanes whose rings in both directions are nearly full.
fn nearly_full() -> (Rings, Rings, VecDeque<u32>) {
    let mut rings = Rings::connect(2, Heap::SYSTEM).unwrap();
    let (mut owner, mut sync) = (rings.pop().unwrap(), rings.pop().unwrap());
    let waiting = RING_CAPACITY - FREE;
    for n in 0..waiting as u32 {
        assert!(sync.send_to_lane(1, LaneMessage::Walk(order(n))));
        assert!(owner.send_to_sync_lane(SyncLaneMessage::WalkFinished(order(n))));
    }
    (sync, owner, (0..waiting as u32).collect())
}

/// A sender that keeps a message that does not fit, and sends it at its next turn, before anything newer.
struct Sender {
    next: u32,
    kept: Option<u32>,
}

impl Sender {
    const fn new() -> Self {
        Self { next: (RING_CAPACITY - FREE) as u32, kept: None }
    }

    /// Takes one turn. `push` returns whether the message fitted.
    fn turn(&mut self, naive: &mut VecDeque<u32>, push: impl FnOnce(u32) -> bool) {
        let message = self.kept.take().unwrap_or(self.next);
        let fits = naive.len() < RING_CAPACITY;
        assert_eq!(push(message), fits, "a message fits while a slot is free");
        if fits {
            naive.push_back(message);
            self.next = message + 1;
        } else {
            self.kept = Some(message);
        }
    }
}

#[test]
fn messages_to_an_owner_arrive_once_and_in_order_and_a_mark_passes_behind_them() {
    for schedule in 0u32..1 << STEPS {
        for marked_at in 0..STEPS {
            let (mut sync, mut owner, mut naive) = nearly_full();
            let mut sender = Sender::new();
            let mut before_mark: Option<u32> = None;
            let mut taken = None;
            for step in 0..STEPS {
                if step == marked_at {
                    sync.mark();
                    before_mark = naive.back().copied();
                }
                if schedule >> step & 1 == 0 {
                    sender.turn(&mut naive, |n| sync.send_to_lane(1, LaneMessage::Walk(order(n))));
                } else {
                    let Some(LaneMessage::Walk(given)) = owner.from_sync_lane() else {
                        panic!("the ring is empty")
                    };
                    assert_eq!(Some(given.generation), naive.pop_front(), "schedule {schedule:b}");
                    taken = Some(given.generation);
                }
                if let Some(last) = before_mark {
                    assert_eq!(sync.mark_passed(), taken >= Some(last), "schedule {schedule:b}");
                }
                assert_eq!(owner.waiting_from_sync_lane(), naive.len());
            }
        }
    }
}

#[test]
fn a_mark_passes_with_the_last_message_before_it() {
    let mut rings = Rings::connect(2, Heap::SYSTEM).unwrap();
    let (mut owner, mut sync) = (rings.pop().unwrap(), rings.pop().unwrap());
    for schedule in 0u32..1 << STEPS {
        let mut waiting: u32 = 0;
        let mut before_mark = None;
        for step in 0..STEPS {
            if step == STEPS / 2 {
                sync.mark();
                before_mark = Some(waiting);
            }
            if schedule >> step & 1 == 0 {
                assert!(sync.send_to_lane(1, LaneMessage::Walk(order(step))));
                waiting += 1;
            } else if owner.from_sync_lane().is_some() {
                waiting -= 1;
                before_mark = before_mark.map(|left| left.saturating_sub(1));
            }
            if let Some(left) = before_mark {
                assert_eq!(sync.mark_passed(), left == 0, "schedule {schedule:b}, step {step}");
            }
        }
        while owner.from_sync_lane().is_some() {}
        assert!(sync.mark_passed());
    }
}

#[test]
fn messages_to_the_sync_lane_are_sent_while_they_fit_and_kept_otherwise() {
    for schedule in 0u32..1 << STEPS {
        let (mut sync, mut owner, mut naive) = nearly_full();
        let mut sender = Sender::new();
        for step in 0..STEPS {
            if schedule >> step & 1 == 0 {
                assert_eq!(owner.has_space_to_sync_lane(), naive.len() < RING_CAPACITY);
                let end =
                    |n: u32| SyncLaneMessage::Ended { id: StateId { id: n.into(), creator: 1 }, applied: n };
                sender.turn(&mut naive, |n| owner.send_to_sync_lane(end(n)));
                continue;
            }
            let given = match sync.from_owner(1) {
                Some(SyncLaneMessage::WalkFinished(order)) => order.generation,
                Some(SyncLaneMessage::Ended { id, .. } | SyncLaneMessage::Refused(id)) => id.id as u32,
                Some(SyncLaneMessage::Answer(_)) | None => panic!("it was not sent"),
            };
            assert_eq!(Some(given), naive.pop_front(), "schedule {schedule:b}");
            assert_eq!(sync.waiting_from_owner(1), naive.len());
        }
    }
}
