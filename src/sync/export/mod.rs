//! Export: what a lane sends to its peers, and when.
//!
//! Changes are noted here, a few instructions each, and built into messages when a frame is written (`frame/`), so many
//! changes of a state become one message. A state is in at most one queue (`queue/`).
//!
//! Three differences from OpenBSD's sender are deliberate. A compressed update is sent at its own age (`queue/aging.rs`),
//! not whenever a frame is full: the load on the link follows the number of states, not of packets. An urgent message
//! shares its frame with older messages that still fit. Inserts and deletes have an age of their own, much shorter than
//! pf's second, because a takeover loses those that wait.

mod answer_limit;
mod control;
mod deferred;
mod events;
mod exposure;
mod frame;
mod hello;
mod hot_update;
mod imported;
mod min_age;
mod queue;
mod requeue;
mod seal;
mod streams;
mod unacknowledged;

pub use deferred::NotHeld;
pub use events::Removal;
pub use exposure::Exposure;
pub use frame::Flushed;
pub use hello::{HELLO_BYTES, HELLO_GROUP, HelloBytes};
pub use imported::RefusedImports;

use crate::error::Error;
use crate::memory::{Heap, List, Owned};
use crate::state::{MaxDrift, Queue};
use crate::sync::bulk::Walks;
use crate::sync::counters::{PeerCounters, SyncCounters};
use crate::sync::ends::Ends;
use crate::sync::equality::LaneComparison;
use crate::sync::import::Clears;
use crate::sync::repair::Repairs;
use crate::sync::seal::Seals;
use crate::sync::settings::{Defer, MAX_PEERS, SyncSettings, Tuning};
use crate::sync::store::Store;
use crate::sync::stream::Numbers;
use crate::table::Slot;
use crate::time::Nanos;
use answer_limit::{AnswerPace, RequestLimit};
use control::ControlQueue;
use deferred::Deferred;
use frame::Batch;
use hello::HelloQueue;
use imported::ImportedStates;
use queue::{IdQueues, Pacing, Queues};
use seal::Sealing;
use streams::{Heartbeats, MAX_REPORTS, Report, Roots};
use unacknowledged::Unacknowledged;

/// The export of one lane. What only frames need is in memory of its own, so that it is small enough to be built on a stack.
///
/// The exports of two lanes never share a cache line, nor a pair of lines that a core prefetches together.
#[derive(Debug)]
#[repr(align(128))]
pub struct Exporter {
    settings: SyncSettings,
    is_active: bool,
    queues: Owned<Queues>,
    ids: IdQueues,
    control: ControlQueue,
    hellos: Owned<HelloQueue>,
    numbers: Numbers,
    sealing: Sealing,
    repairs: Repairs,
    /// Reports for the senders of streams.
    reports: List<Report>,
    heartbeats: Heartbeats,
    comparison: Owned<LaneComparison>,
    roots: Roots,
    /// Time of the last flush.
    flushed_at: Nanos,
    pub(super) pacing: Pacing,
    batch: Batch,
    pub(super) walks: Owned<Walks>,
    pub(super) clears: Clears,
    deferred: Deferred,
    request_limit: RequestLimit,
    answer_pace: AnswerPace,
    pub(super) imported: ImportedStates,
    /// Ended states, and the ids of new ones.
    pub ends: Ends,
    /// Imports refused for lack of space.
    pub refused: RefusedImports,
    /// IPv4 identification of the next frame.
    packet_id: u16,
    unacknowledged: Unacknowledged,
    /// States of all lanes; `None` to use the lane's own number.
    total_states: Option<u32>,
    max_drift: MaxDrift,
    /// Messages sent by this lane, and results of messages received.
    pub counters: Owned<SyncCounters>,
    /// The same by peer.
    pub peer_counters: Owned<[PeerCounters; MAX_PEERS]>,
}

impl Exporter {
    /// Builds the export of a lane and allocates all its memory.
    ///
    /// # Errors
    /// As [`SyncSettings::check`].
    pub fn new(settings: SyncSettings) -> Result<Owned<Self>, Error> {
        Self::new_in(&settings, None, Heap::SYSTEM)
    }

    /// As [`Self::new`], with memory of `heap` and the sizes for a table of this capacity.
    ///
    /// # Errors
    /// As [`SyncSettings::check`]; [`Error::OutOfMemory`].
    #[inline(never)]
    pub fn new_in(settings: &SyncSettings, capacity: Option<u32>, heap: Heap) -> Result<Owned<Self>, Error> {
        settings.check()?;
        let settings = match capacity {
            Some(states) => settings.try_clone()?.for_capacity(states),
            None => settings.try_clone()?,
        };
        let is_active = settings.is_active();
        let exporter = Self {
            is_active,
            queues: Queues::boxed(settings.update_age, heap)?,
            ids: IdQueues::new(&settings, heap)?,
            hellos: HelloQueue::boxed(heap)?,
            numbers: Numbers::default(),
            sealing: Sealing::default(),
            repairs: Repairs::new(&settings, heap)?,
            reports: heap.list("reports of streams", MAX_REPORTS)?,
            heartbeats: Heartbeats::default(),
            comparison: LaneComparison::boxed(&settings, heap)?,
            roots: Roots::default(),
            flushed_at: 0,
            control: ControlQueue::new(is_active, heap)?,
            pacing: Pacing::new(&settings),
            batch: Batch::new(heap)?,
            walks: Walks::boxed(heap)?,
            clears: Clears::new(heap)?,
            deferred: Deferred::new(if is_active { settings.defer } else { Defer::default() }, heap)?,
            request_limit: RequestLimit::new(if is_active { settings.table_capacity } else { 0 }, heap)?,
            answer_pace: AnswerPace::default(),
            imported: ImportedStates::default(),
            ends: Ends::default(),
            refused: RefusedImports::default(),
            packet_id: 0,
            unacknowledged: Unacknowledged::default(),
            total_states: None,
            max_drift: MaxDrift::from_percent(settings.max_drift_percent),
            counters: heap.zeroed("counters of replication")?,
            peer_counters: heap.zeroed("counters of peers")?,
            settings,
        };
        heap.owned("the export", exporter)
    }

    /// Builds the export of lane `lane` with `capacity` states.
    ///
    /// # Errors
    /// As [`Self::new_in`].
    #[inline(never)]
    pub(crate) fn for_lane(
        (settings, seals): (&SyncSettings, &Seals),
        (lane, capacity): (u8, u32),
        ends: Ends,
        epoch: u64,
        heap: Heap,
    ) -> Result<Owned<Self>, Error> {
        let mut exporter = Self::new_in(settings, Some(capacity), heap)?;
        exporter.ends = ends;
        exporter.set_numbers(Numbers::new(epoch, lane));
        exporter.set_seals(seals, lane, heap)?;
        Ok(exporter)
    }

    /// Numbers the frames to pfplane peers; without it they have no numbers.
    pub const fn set_numbers(&mut self, numbers: Numbers) {
        self.numbers = numbers;
    }

    /// Returns the bytes that [`Self::new_in`] allocates.
    #[must_use]
    pub fn memory_needed(settings: &SyncSettings) -> usize {
        let is_active = settings.is_active();
        size_of::<Self>()
            + size_of::<HelloQueue>()
            + size_of::<Walks>()
            + size_of::<Report>() * MAX_REPORTS
            + size_of::<SyncCounters>()
            + size_of::<[PeerCounters; MAX_PEERS]>()
            + size_of::<Queues>()
            + Queues::memory_needed()
            + IdQueues::memory_needed(settings)
            + ControlQueue::memory_needed(is_active)
            + Batch::memory_needed()
            + Clears::memory_needed()
            + Deferred::memory_needed(if is_active { settings.defer } else { Defer::default() })
            + Repairs::memory_needed(settings)
            + LaneComparison::memory_needed(settings)
            + RequestLimit::memory_needed(if is_active { settings.table_capacity } else { 0 })
            + settings.sealer_memory()
    }

    /// The settings in use.
    #[must_use]
    pub const fn settings(&self) -> &SyncSettings {
        &self.settings
    }

    /// Whether there is a peer to send to.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.is_active
    }

    /// How far a TCP connection may move between two updates.
    #[inline]
    #[must_use]
    pub const fn max_drift(&self) -> MaxDrift {
        self.max_drift
    }

    /// Returns how many more states of peers the lane can hold.
    #[must_use]
    pub fn import_space(&self, table: &impl Store) -> u32 {
        let quota = self.settings.max_imported.unwrap_or(u32::MAX);
        table.space().min(quota.saturating_sub(self.imported.total()))
    }

    /// Sets the number of states of all lanes, for adaptive timeouts. Until then the lane's own number is used.
    pub const fn set_total_states(&mut self, states: u32) {
        self.total_states = Some(states);
    }

    /// Whether the lane, which holds `states`, has any that a peer did not send first.
    #[must_use]
    pub const fn has_own_states(&self, states: u32) -> bool {
        states > self.imported.total()
    }

    /// The number of states for adaptive timeouts.
    pub(super) fn total_states(&self, table: &impl Store) -> u32 {
        self.total_states.unwrap_or_else(|| table.len())
    }

    /// Changes pace and limits to a checked tuning.
    pub fn tune(&mut self, tuning: &Tuning) {
        tuning.apply_to(&mut self.settings);
        self.queues.set_update_age(self.settings.update_age);
        // Waiting messages may be due now.
        self.pacing.wake();
    }

    /// Number of inserts and deletes that wait.
    fn waiting_creations(&self) -> usize {
        self.queues.len(Queue::Insert) as usize + self.ids.deletes.len()
    }

    /// Moves a state to a queue.
    fn enqueue(&mut self, table: &mut impl Store, slot: Slot, queue: Queue, now: Nanos) {
        self.queues.remove(table, slot);
        if queue == Queue::Insert {
            self.pacing.note_creation(self.waiting_creations(), self.settings.insert_age, now);
        }
        self.queues.push_back(table, slot, queue, now);
        *table.updates_mut(slot) = 0;
        table.changed(slot);
        match queue {
            Queue::UpdateCompressed => self.pacing.wake_at(self.queues.update_deadline()),
            Queue::Insert => self.check_fill(),
            Queue::MinAge => self.pacing.note_too_young(now, self.settings.filter.min_age),
            _ => self.pacing.wake(),
        }
    }

    fn check_fill(&mut self) {
        self.pacing.check_fill(self.queues.len(Queue::Insert), self.ids.deletes.len());
    }

    /// Makes the state's queued message due now.
    #[cold]
    fn make_urgent(&mut self, table: &mut impl Store, slot: Slot) {
        self.make_due(table, slot, 0);
    }

    /// Makes the state's queued message due at a time before its age. It is sent earlier with any other frame. A state whose
    /// count has reached `maxupd` is due already.
    #[cold]
    fn make_due(&mut self, table: &mut impl Store, slot: Slot, at: Nanos) {
        match table.local(slot).queue() {
            Queue::UpdateCompressed => {
                let maxupd = self.settings.maxupd.max(1);
                let updates = table.updates_mut(slot);
                if *updates < maxupd {
                    *updates = maxupd;
                    self.queues.make_update_due(table, slot, at);
                }
                self.queues.hasten(at);
                self.pacing.wake_at(at);
            }
            Queue::Insert => self.pacing.make_creations_due(),
            Queue::None | Queue::Update | Queue::InsertAck | Queue::MinAge | Queue::Repeat => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture::{MS, Node, S, settings, state};
    use crate::sync::{Removal, WalkOrder};
    use pfsync::{Action, Profile};

    #[test]
    fn the_mtu_can_be_as_small_as_one_state() {
        let with_mtu = |mtu| SyncSettings { mtu, ..settings(&[Profile::OpenBsd6]) };
        assert!(with_mtu(307).check().is_err());
        let mut node = Node::new(with_mtu(308));
        (0..10).for_each(|n| _ = node.insert(n));
        assert_eq!(node.wait(S).sent(), vec![vec![(Action::Insert, 1)]; 10]);
    }

    #[test]
    fn without_peers_or_switched_off_nothing_is_queued() {
        let off = SyncSettings { enabled: false, ..settings(&[Profile::OpenBsd6]) };
        for settings in [off, settings(&[])] {
            let mut node = Node::new(settings);
            let slot = node.insert(0);
            node.update(slot);
            node.exporter.bulk_request();
            node.remove(slot, Removal::Ended);
            assert!(node.wait(100 * S).sent().is_empty());
            assert_eq!(node.exporter.delete_capacity(), usize::MAX);
        }
    }

    #[test]
    fn a_new_tuning_takes_effect_at_once_and_restarts_no_walk() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6]));
        (0..200).for_each(|n| _ = node.put(&state(n)));
        let late = node.insert(500);
        node.exporter.bulk_walk(&node.table, WalkOrder { peer: 0, generation: 1 });
        assert_eq!(node.sent(), vec![vec![(Action::Update, 5)]; 8]);
        node.update(late);
        let tuning = Tuning { insert_age_ms: 2000, bulk_frames: 100, ..Tuning::of(node.exporter.settings()) };
        node.exporter.tune(&tuning);
        assert_eq!(node.wait(MS).sent(), vec![vec![(Action::Update, 5)]; 32], "the other 160, and no insert");
        assert!(node.exporter.take_finished_walk().is_some());
        node.exporter.tune(&Tuning { insert_age_ms: 1, ..tuning });
        assert_eq!(node.wait(MS).sent(), [[(Action::Insert, 1)]]);
        node.update(late);
        node.wait(S / 2);
        assert!(node.sent().is_empty());
        node.exporter.tune(&Tuning { update_age_ms: 100, ..tuning });
        assert_eq!(node.sent(), [[(Action::UpdateCompressed, 1)]]);
    }
}
