//! Send queues: doubly linked lists through the states themselves ([`Store::links_mut`]).
//!
//! Queueing never allocates and never fails, and a state leaves its queue in constant time.

mod aging;
mod ids;
mod pacing;
mod prefetch_hints;
mod transition;

pub(super) use ids::IdQueues;
pub(in crate::sync) use pacing::Pacing;
pub(super) use transition::{Event, Step, step};

use crate::error::Error;
use crate::memory::{Heap, List, Owned};
use crate::state::{Cold, Queue};
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::Nanos;
use aging::Aging;
use prefetch_hints::PrefetchHints;

const END: u32 = Cold::NO_LINK;
const QUEUES: usize = 7;

/// Heads, tails and lengths of one lane's queues, and the ages of its compressed updates.
#[derive(Debug)]
pub(super) struct Queues {
    head: [u32; QUEUES],
    tail: [u32; QUEUES],
    len: [u32; QUEUES],
    hints: List<PrefetchHints>,
    /// Ages of [`Queue::UpdateCompressed`].
    aging: Aging,
    /// Ages of [`Queue::Repeat`].
    repeat_aging: Aging,
}

impl Queues {
    pub(super) fn new(update_age: Nanos, heap: Heap) -> Result<Self, Error> {
        let mut hints = heap.list("queues", QUEUES)?;
        for _ in 0..QUEUES {
            hints.push(PrefetchHints::new(heap)?);
        }
        Ok(Self {
            head: [END; QUEUES],
            tail: [END; QUEUES],
            len: [0; QUEUES],
            hints,
            aging: Aging::new(update_age),
            repeat_aging: Aging::new(update_age),
        })
    }

    /// As [`Self::new`], in memory of its own.
    #[inline(never)]
    pub(super) fn boxed(update_age: Nanos, heap: Heap) -> Result<Owned<Self>, Error> {
        heap.owned("queues", Self::new(update_age, heap)?)
    }

    pub(super) const fn memory_needed() -> usize {
        QUEUES * (size_of::<PrefetchHints>() + PrefetchHints::memory_needed())
    }

    /// Number of states in a queue.
    #[inline]
    pub(super) const fn len(&self, queue: Queue) -> u32 {
        self.len[queue as usize]
    }

    /// First state of a queue.
    pub(super) fn front(&self, queue: Queue) -> Option<Slot> {
        Slot(self.head[queue as usize]).some()
    }

    /// Compressed updates that are due.
    pub(super) const fn due_updates(&self) -> u32 {
        self.aging.due()
    }

    /// Repeats that are due.
    pub(super) const fn due_repeats(&self) -> u32 {
        self.repeat_aging.due()
    }

    /// When the next compressed update or repeat is due.
    pub(super) fn update_deadline(&self) -> Nanos {
        self.aging.deadline().min(self.repeat_aging.deadline())
    }

    fn aging_of(&mut self, queue: Queue) -> Option<&mut Aging> {
        match queue {
            Queue::UpdateCompressed => Some(&mut self.aging),
            Queue::Repeat => Some(&mut self.repeat_aging),
            _ => None,
        }
    }

    /// When the oldest compressed update that is not due was queued.
    pub(super) fn oldest_update(&self) -> Option<Nanos> {
        self.aging.oldest()
    }

    /// Makes the compressed updates and repeats due that have reached their age.
    pub(super) fn advance(&mut self, now: Nanos) {
        self.aging.advance(now);
        self.repeat_aging.advance(now);
    }

    pub(super) const fn set_update_age(&mut self, age: Nanos) {
        self.aging.set_age(age);
        self.repeat_aging.set_age(age);
    }

    /// Adds a state that is in no queue at the end.
    pub(super) fn push_back(&mut self, table: &mut impl Store, slot: Slot, queue: Queue, now: Nanos) {
        let last = self.tail[queue as usize];
        self.hints[queue as usize].push_back(slot);
        self.link(table, slot, queue, last, END);
        if let Some(aging) = self.aging_of(queue) {
            aging.push(now);
        }
    }

    /// Makes a queued compressed update the first of its queue, due at a time.
    pub(super) fn make_update_due(&mut self, table: &mut impl Store, slot: Slot, at: Nanos) {
        self.remove(table, slot);
        let queue = Queue::UpdateCompressed;
        let first = self.head[queue as usize];
        self.hints[queue as usize].push_front(slot);
        self.link(table, slot, queue, END, first);
        self.aging.push_due(at);
    }

    /// Makes the first compressed update, which is due, due at this time if it was later.
    pub(super) fn hasten(&mut self, at: Nanos) {
        self.aging.hasten(at);
    }

    /// Removes a state from its queue, if it is in one.
    pub(super) fn remove(&mut self, table: &mut impl Store, slot: Slot) {
        if let Some(aging) = self.aging_of(table.local(slot).queue()) {
            aging.remove();
        }
        self.unlink(table, slot);
    }

    /// Takes the first state of a queue and prefetches one that follows soon.
    pub(super) fn pop(&mut self, table: &mut impl Store, queue: Queue) -> Option<Slot> {
        let slot = self.front(queue)?;
        self.unlink(table, slot);
        if let Some(aging) = self.aging_of(queue) {
            aging.take_due(1);
        }
        let left = self.len(queue);
        if let Some(next) = self.hints[queue as usize].pop(slot, left) {
            table.prefetch(next);
        }
        Some(slot)
    }

    fn link(&mut self, table: &mut impl Store, slot: Slot, queue: Queue, previous: u32, next: u32) {
        table.local_mut(slot).set_queue(queue);
        let [previous_link, next_link] = table.links_mut(slot);
        (*previous_link, *next_link) = (previous, next);
        self.set_next(table, queue, previous, slot.0);
        self.set_previous(table, queue, next, slot.0);
        self.len[queue as usize] += 1;
    }

    fn unlink(&mut self, table: &mut impl Store, slot: Slot) {
        let local = table.local_mut(slot);
        let queue = local.queue();
        if queue == Queue::None {
            return;
        }
        local.set_queue(Queue::None);
        let [previous_link, next_link] = table.links_mut(slot);
        let (previous, next) = (*previous_link, *next_link);
        (*previous_link, *next_link) = (END, END);
        self.set_next(table, queue, previous, next);
        self.set_previous(table, queue, next, previous);
        self.len[queue as usize] -= 1;
    }

    fn set_next(&mut self, table: &mut impl Store, queue: Queue, at: u32, next: u32) {
        match Slot(at).some() {
            Some(slot) => *table.links_mut(slot)[1] = next,
            None => self.head[queue as usize] = next,
        }
    }

    fn set_previous(&mut self, table: &mut impl Store, queue: Queue, at: u32, previous: u32) {
        match Slot(at).some() {
            Some(slot) => *table.links_mut(slot)[0] = previous,
            None => self.tail[queue as usize] = previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture::{self, state};

    #[test]
    fn any_state_can_leave_its_queue_and_the_order_of_the_others_stays() {
        let mut table = fixture::table(8);
        let slots: Vec<Slot> = (0..4).map(|n| table.insert(&state(n)).unwrap()).collect();
        let queue = Queue::UpdateCompressed;
        for removed in 0..4 {
            let mut queues = Queues::new(0, Heap::SYSTEM).unwrap();
            for &slot in slots.iter().skip(1).chain(&slots[..1]) {
                queues.push_back(&mut table, slot, queue, 0);
            }
            queues.make_update_due(&mut table, slots[0], 0);
            assert_eq!(queues.len(queue), 4);
            queues.remove(&mut table, slots[removed]);
            queues.remove(&mut table, slots[removed]);
            let mut left = Vec::new();
            while let Some(slot) = queues.pop(&mut table, queue) {
                assert_eq!(table.hot(slot).local.queue(), Queue::None);
                left.push(slot);
            }
            let mut expected = slots.clone();
            expected.remove(removed);
            assert_eq!(left, expected);
            assert_eq!(queues.len(queue), 0);
        }
    }
}
