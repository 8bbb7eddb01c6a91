//! The sync queues: which one a state is in, and what an event does to that.
//!
//! A queue is a doubly linked list through the states themselves ([`Store::links_mut`]), so queueing never
//! allocates, never fails, and a state that ends leaves its queue in constant time.

use super::ahead::Ahead;
use crate::state::{Cold, Queue};
use crate::sync::store::Store;
use crate::table::Slot;

/// What happens to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Event {
    /// A state was made that is told of later, if it lives.
    Born,
    Inserted,
    Updated,
    Requested,
    Acknowledged,
    Deleted,
}

/// What an event does to the state's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: what is queued will say it.
    Stay,
    /// Nothing, but the update is counted against `maxupd`.
    Count,
    /// The state leaves the queue that it is in and joins this one.
    To(Queue),
    /// The state leaves its queue, and a delete is queued.
    Delete,
    /// The state leaves its queue, and nothing is said: no peer ever heard of it.
    Forget,
}

use Step::{Count, Delete, Forget, Stay, To};

/// OpenBSD `pfsync_update_state`, `pfsync_update_state_req`, `pfsync_delete_state`; protocol 6.2.
///
/// An acknowledgement gives way to an update: a waiting peer takes that for one.
#[rustfmt::skip]
static STEPS: [[Step; 6]; 6] = [
    //               None                      Insert  Update  UpdateCompressed   InsertAck                   Young
    /* born */     [To(Queue::MinAge),            Stay,   Stay,   Stay,              Stay,                       Stay],
    /* inserted */ [To(Queue::Insert),           Stay,   Stay,   Stay,              Stay,                       To(Queue::Insert)],
    /* updated */  [To(Queue::UpdateCompressed), Stay,   Count,  Count,             To(Queue::UpdateCompressed), Stay],
    /* requested */[To(Queue::Update),           Stay,   Stay,   To(Queue::Update), To(Queue::Update),          Stay],
    /* acked */    [To(Queue::InsertAck),        Stay,   Stay,   Stay,              Stay,                       Stay],
    /* deleted */  [Delete,                      Forget, Delete, Delete,            Delete,                     Forget],
];

/// What `event` does to a state that is in `queue`.
#[inline]
pub(super) fn step(event: Event, queue: Queue) -> Step {
    STEPS[event as usize][queue as usize]
}

const END: u32 = Cold::NO_LINK;
const QUEUES: usize = 6;

/// The heads, tails and lengths of the queues of one lane.
#[derive(Debug)]
pub(super) struct Queues {
    head: [u32; QUEUES],
    tail: [u32; QUEUES],
    len: [u32; QUEUES],
    ahead: [Ahead; QUEUES],
}

impl Queues {
    pub fn new() -> Self {
        let ahead = core::array::from_fn(|_| Ahead::new());
        Self { head: [END; QUEUES], tail: [END; QUEUES], len: [0; QUEUES], ahead }
    }

    /// States in a queue.
    #[inline]
    pub const fn len(&self, queue: Queue) -> u32 {
        self.len[queue as usize]
    }

    /// The first state of a queue.
    pub fn front(&self, queue: Queue) -> Option<Slot> {
        Slot(self.head[queue as usize]).some()
    }

    /// Puts a state that is in no queue behind the others.
    pub fn push_back(&mut self, table: &mut impl Store, slot: Slot, queue: Queue) {
        let last = self.tail[queue as usize];
        self.ahead[queue as usize].joined_at_end(slot);
        self.link(table, slot, queue, last, END);
    }

    /// Puts a state that is in no queue before the others.
    pub fn push_front(&mut self, table: &mut impl Store, slot: Slot, queue: Queue) {
        let first = self.head[queue as usize];
        self.ahead[queue as usize].joined_at_front(slot);
        self.link(table, slot, queue, END, first);
    }

    fn link(&mut self, table: &mut impl Store, slot: Slot, queue: Queue, previous: u32, next: u32) {
        table.local_mut(slot).set_queue(queue);
        let [before, behind] = table.links_mut(slot);
        (*before, *behind) = (previous, next);
        self.set_next(table, queue, previous, slot.0);
        self.set_previous(table, queue, next, slot.0);
        self.len[queue as usize] += 1;
    }

    /// Takes a state out of the queue that it is in, if it is in one.
    pub fn unlink(&mut self, table: &mut impl Store, slot: Slot) {
        let local = table.local_mut(slot);
        let queue = local.queue();
        if queue == Queue::None {
            return;
        }
        local.set_queue(Queue::None);
        let [before, behind] = table.links_mut(slot);
        let (previous, next) = (*before, *behind);
        (*before, *behind) = (END, END);
        self.set_next(table, queue, previous, next);
        self.set_previous(table, queue, next, previous);
        self.len[queue as usize] -= 1;
    }

    /// Takes the first state of a queue out of it. The memory of one whose turn comes soon is on its way afterwards.
    pub fn pop(&mut self, table: &mut impl Store, queue: Queue) -> Option<Slot> {
        let slot = self.front(queue)?;
        self.unlink(table, slot);
        if let Some(soon) = self.ahead[queue as usize].had_turn(slot, self.len(queue)) {
            table.prefetch(soon);
        }
        Some(slot)
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
    fn a_delete_is_said_once_and_only_of_what_a_peer_knows() {
        assert_eq!(step(Event::Deleted, Queue::Insert), Step::Forget);
        assert_eq!(step(Event::Deleted, Queue::MinAge), Step::Forget);
        for queue in [Queue::None, Queue::Update, Queue::UpdateCompressed, Queue::InsertAck] {
            assert_eq!(step(Event::Deleted, queue), Step::Delete);
        }
    }

    #[test]
    fn an_insert_swallows_every_update() {
        for event in [Event::Inserted, Event::Updated, Event::Requested, Event::Acknowledged] {
            assert_eq!(step(event, Queue::Insert), Step::Stay);
        }
    }

    #[test]
    fn any_state_leaves_from_anywhere_and_the_order_of_the_others_stands() {
        let mut table = fixture::table(8);
        let slots: Vec<Slot> = (0..4).map(|n| table.insert(&state(n)).unwrap()).collect();
        for leaving in 0..4 {
            let mut queues = Queues::new();
            for &slot in &slots[1..] {
                queues.push_back(&mut table, slot, Queue::Update);
            }
            queues.push_front(&mut table, slots[0], Queue::Update);
            assert_eq!(queues.len(Queue::Update), 4);
            queues.unlink(&mut table, slots[leaving]);
            queues.unlink(&mut table, slots[leaving]);
            let mut left = Vec::new();
            while let Some(slot) = queues.pop(&mut table, Queue::Update) {
                assert_eq!(table.hot(slot).local.queue(), Queue::None);
                left.push(slot);
            }
            let mut expected = slots.clone();
            expected.remove(leaving);
            assert_eq!(left, expected);
            assert_eq!(queues.len(Queue::Update), 0);
        }
    }
}
