//! What a lane has to tell its peers, and when.
//!
//! Changes are noted here, a few instructions each, and rendered when a frame is written (`flush.rs`), so that many
//! changes of a state become one message. A state is in one queue at most (`queue.rs`).
//!
//! Three things differ from OpenBSD's sender, on purpose. A compressed update leaves at its own age (`aging.rs`), not
//! whenever a frame has filled up: the load on the link follows the number of states, not that of packets. Urgent
//! messages take the ones before them along only as far as their frame has room. Inserts and deletes have an age of
//! their own, much shorter than pf's second, because they are what a takeover loses.

mod aging;
mod ahead;
mod batch;
mod choose;
mod clearing;
mod control_message;
mod defer;
mod events;
mod exposure;
mod filter;
mod flush;
mod frame;
mod limiter;
mod queue;
mod ring;
mod tuning;
mod unsent;

pub(super) use clearing::SLOTS_AT_ONCE;
pub use defer::{Defer, NotHeld, PF_DELAY};
pub use events::Removal;
pub use exposure::Exposure;
pub use filter::Filter;
pub use flush::Flushed;
pub(super) use ring::Ring;
pub use tuning::Tuning;

use crate::error::Error;
use crate::state::{Queue, StateId};
use crate::sync::bulk::Walks;
use crate::sync::counters::SyncCounters;
use crate::sync::message::PeerIndex;
use crate::sync::peer_counters::PeerCounters;
use crate::sync::settings::{MAX_PEERS, SyncSettings};
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::Nanos;
use aging::Aging;
use batch::Batch;
use clearing::Clearings;
use control_message::ControlMessage;
use defer::Held;
use limiter::Limiter;
use queue::Queues;

/// The sending side of one lane.
#[derive(Debug)]
pub struct Exporter {
    settings: SyncSettings,
    queues: Queues,
    aging: Aging,
    deletes: Ring<StateId>,
    requests: Ring<(PeerIndex, StateId)>,
    control_messages: Ring<ControlMessage>,
    one_shot_peer: PeerIndex,
    batch: Box<Batch>,
    pub(super) walks: Walks,
    pub(super) clearings: Clearings,
    held: Held,
    /// States here that came from peers.
    pub(super) imported_now: u32,
    /// The same by peer.
    imported_from: [u32; MAX_PEERS],
    /// Nothing is to be written before this.
    pub(super) deadline: Nanos,
    /// Nor before this: the port refuses frames.
    not_before: Nanos,
    /// When the oldest waiting insert or delete came.
    creations_since: Nanos,
    /// When the first of the young states is old enough, about.
    ripe_at: Nanos,
    /// Inserts or deletes have filled a frame or must not wait.
    creations_due: bool,
    /// Inserts and deletes that fill a frame, as bytes of the first peer's dialect.
    frame_bytes: usize,
    state_bytes: usize,
    identification: u16,
    odd_turn: bool,
    request_limit: Limiter,
    answer_limit: Limiter,
    stale_limit: Limiter,
    ended: Ring<StateId>,
    /// What this lane sent, and what it did with messages.
    pub counters: SyncCounters,
    /// What was sent to each peer.
    pub peer_counters: [PeerCounters; MAX_PEERS],
    active: bool,
    states_everywhere: Option<u32>,
}

const ONE_SHOTS: usize = 64;
const ENDED: usize = 4096;

impl Exporter {
    /// The sending side of a lane. All memory is had now.
    ///
    /// # Errors
    /// As [`SyncSettings::check`].
    pub fn new(settings: SyncSettings) -> Result<Self, Error> {
        settings.check()?;
        let active = settings.enabled && !settings.peers.is_empty();
        let sized = |count: u32| if active { count as usize } else { 0 };
        let mut exporter = Self {
            queues: Queues::new(),
            aging: Aging::new(settings.update_age),
            deletes: Ring::new(sized(settings.max_deletes)),
            requests: Ring::new(sized(settings.max_requests)),
            control_messages: Ring::new(sized(64).min(ONE_SHOTS)),
            one_shot_peer: 0,
            batch: Box::default(),
            walks: Walks::default(),
            clearings: Clearings::default(),
            held: Held::new(if active { settings.defer } else { Defer::default() }),
            imported_now: 0,
            imported_from: [0; MAX_PEERS],
            deadline: Nanos::MAX,
            not_before: 0,
            creations_since: 0,
            ripe_at: Nanos::MAX,
            creations_due: false,
            frame_bytes: 0,
            state_bytes: 0,
            identification: 0,
            odd_turn: false,
            request_limit: Limiter::new(),
            answer_limit: Limiter::new(),
            stale_limit: Limiter::new(),
            ended: Ring::new(if settings.report_ends { ENDED } else { 0 }),
            counters: SyncCounters::default(),
            peer_counters: [PeerCounters::default(); MAX_PEERS],
            active,
            states_everywhere: None,
            settings,
        };
        exporter.measure();
        Ok(exporter)
    }

    /// The settings in use.
    #[must_use]
    pub const fn settings(&self) -> &SyncSettings {
        &self.settings
    }

    /// Whether there is anybody to tell.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active
    }

    /// States of all lanes, for adaptive timeouts. Without a word of it the lane's own count stands for all.
    pub const fn set_total_states(&mut self, states: u32) {
        self.states_everywhere = Some(states);
    }

    /// States that adaptive timeouts count.
    pub(super) fn states(&self, table: &impl Store) -> u32 {
        self.states_everywhere.unwrap_or_else(|| table.len())
    }

    /// Sets the longest IP packet, for instance when the device's MTU has changed.
    ///
    /// # Errors
    /// [`Error::Setting`] when a whole state would not fit; the old one stays.
    pub fn set_mtu(&mut self, mtu: u32) -> Result<(), Error> {
        let changed = SyncSettings { mtu, ..self.settings.clone() };
        changed.check()?;
        self.settings = changed;
        self.measure();
        Ok(())
    }

    fn measure(&mut self) {
        let rooms = self
            .settings
            .peers
            .iter()
            .map(|peer| self.settings.mtu_of(peer).saturating_sub(peer.overhead(self.settings.trailer)));
        self.frame_bytes = rooms.min().unwrap_or(0);
        let states = self.settings.peers.iter().map(|peer| peer.profile.state_bytes());
        self.state_bytes = states.max().unwrap_or(0);
    }

    fn leave(&mut self, table: &mut impl Store, slot: Slot) {
        if table.local(slot).queue() == Queue::UpdateCompressed {
            self.aging.left();
        }
        self.queues.unlink(table, slot);
    }

    fn join(&mut self, table: &mut impl Store, slot: Slot, queue: Queue, now: Nanos) {
        if queue == Queue::Insert {
            self.note_creation(now);
        }
        self.queues.push_back(table, slot, queue);
        *table.updates_mut(slot) = 0;
        table.changed(slot);
        match queue {
            Queue::UpdateCompressed => {
                self.aging.arrived(now);
                self.deadline = self.deadline.min(self.aging.deadline());
            }
            Queue::Insert => self.check_fill(),
            Queue::MinAge => {
                self.ripe_at = self.ripe_at.min(now.saturating_add(self.settings.filter.min_age));
                self.deadline = self.deadline.min(self.ripe_at);
            }
            _ => self.deadline = 0,
        }
    }

    /// Before an insert or a delete joins.
    fn note_creation(&mut self, now: Nanos) {
        if self.creations_waiting() == 0 {
            self.creations_since = now;
        }
        self.deadline = self.deadline.min(self.creations_since.saturating_add(self.settings.insert_age));
    }

    fn creations_waiting(&self) -> usize {
        self.queues.len(Queue::Insert) as usize + self.deletes.len()
    }

    /// A frame full of inserts and deletes leaves at once.
    fn check_fill(&mut self) {
        let bytes = self.queues.len(Queue::Insert) as usize * self.state_bytes + self.deletes.len() * 12;
        if bytes >= self.frame_bytes {
            self.creations_due = true;
            self.deadline = 0;
        }
    }

    /// The state's queued message leaves at once.
    #[cold]
    fn make_urgent(&mut self, table: &mut impl Store, slot: Slot) {
        match table.local(slot).queue() {
            Queue::UpdateCompressed => {
                self.leave(table, slot);
                self.queues.push_front(table, slot, Queue::UpdateCompressed);
                self.aging.jumped();
                self.deadline = 0;
            }
            Queue::Insert => {
                self.creations_due = true;
                self.deadline = 0;
            }
            Queue::None | Queue::Update | Queue::InsertAck | Queue::MinAge => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Removal;
    use crate::sync::fixture::{Node, S, settings};
    use pfsync::{Action, Profile};

    #[test]
    fn the_mtu_can_be_lowered_at_run_time_down_to_one_state() {
        let mut node = Node::open();
        (0..10).for_each(|n| _ = node.insert(n));
        assert!(node.exporter.set_mtu(307).is_err());
        node.exporter.set_mtu(308).unwrap();
        assert_eq!(node.wait(S).said(), vec![vec![(Action::Insert, 1)]; 10]);
    }

    #[test]
    fn without_peers_or_switched_off_nothing_is_queued() {
        let off = SyncSettings { enabled: false, ..settings(&[Profile::OpenBsd6]) };
        for settings in [off, settings(&[])] {
            let mut node = Node::new(settings);
            let slot = node.insert(0);
            node.update(slot);
            node.exporter.clear(None);
            node.exporter.bulk_request();
            node.remove(slot, Removal::Ended);
            assert!(node.wait(100 * S).said().is_empty());
            assert_eq!(node.exporter.delete_capacity(), usize::MAX);
        }
    }
}
