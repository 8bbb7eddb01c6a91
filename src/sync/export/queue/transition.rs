//! What an event does to a state in the send queues, as a table.

use crate::state::Queue;

/// What happened to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(in crate::sync::export) enum Event {
    /// Created, and below the minimum age.
    CreatedTooYoung,
    Inserted,
    Updated,
    Requested,
    Acknowledged,
    Deleted,
}

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sync::export) enum Step {
    /// Nothing: the queued message covers it.
    Stay,
    /// Nothing, but the update counts towards `maxupd`.
    Count,
    /// Moves the state from its queue to this one.
    To(Queue),
    /// Removes the state from its queue and queues a delete.
    Delete,
    /// Removes the state from its queue; no peer knows it, so no delete is sent.
    Forget,
}

use Step::{Count, Delete, Forget, Stay, To};

/// OpenBSD `pfsync_update_state`, `pfsync_update_state_req`, `pfsync_delete_state`; protocol 6.2.
///
/// An update replaces a queued acknowledgement: the waiting peer accepts it as one.
#[rustfmt::skip]
static STEPS: [[Step; 7]; 6] = [
    //               None                      Insert  Update  UpdateCompressed   InsertAck                   MinAge             Repeat
    /* too young */[To(Queue::MinAge),           Stay,   Stay,   Stay,              Stay,                       Stay,              Stay],
    /* inserted */ [To(Queue::Insert),           Stay,   Stay,   Stay,              Stay,                       To(Queue::Insert), To(Queue::Insert)],
    /* updated */  [To(Queue::UpdateCompressed), Stay,   Count,  Count,             To(Queue::UpdateCompressed), Stay,             To(Queue::UpdateCompressed)],
    /* requested */[To(Queue::Update),           Stay,   Stay,   To(Queue::Update), To(Queue::Update),          Stay,              To(Queue::Update)],
    /* acked */    [To(Queue::InsertAck),        Stay,   Stay,   Stay,              Stay,                       Stay,              To(Queue::InsertAck)],
    /* deleted */  [Delete,                      Forget, Delete, Delete,            Delete,                     Forget,            Delete],
];

/// Returns what `event` does to a state in `queue`.
#[inline]
pub(in crate::sync::export) fn step(event: Event, queue: Queue) -> Step {
    STEPS[event as usize][queue as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_is_queued_only_for_states_that_peers_know() {
        assert_eq!(step(Event::Deleted, Queue::Insert), Step::Forget);
        assert_eq!(step(Event::Deleted, Queue::MinAge), Step::Forget);
        let known = [Queue::None, Queue::Update, Queue::UpdateCompressed, Queue::InsertAck, Queue::Repeat];
        for queue in known {
            assert_eq!(step(Event::Deleted, queue), Step::Delete);
        }
    }

    #[test]
    fn a_queued_insert_covers_every_update() {
        for event in [Event::Inserted, Event::Updated, Event::Requested, Event::Acknowledged] {
            assert_eq!(step(event, Queue::Insert), Step::Stay);
        }
    }
}
