//! What a lane has to tell its peers, and when.
//!
//! Changes are noted here, a few instructions each, and rendered when a frame is written (`flush.rs`), so that many
//! changes of a state become one message. A state is in one queue at most (`queue.rs`).
//!
//! Three things differ from OpenBSD's sender, on purpose. A compressed update leaves at its own age (`aging.rs`), not
//! whenever a frame has filled up: the load on the link follows the number of states, not that of packets. Urgent
//! messages take the ones before them along only as far as their frame has room. Inserts and deletes have an age of
//! their own, much shorter than pf's second, because they are what a takeover loses.

use super::aging::Aging;
use super::batch::Batch;
use super::clearing::Clearings;
use super::counters::{PeerCounters, SyncCounters};
use super::limiter::Limiter;
use super::message::PeerIndex;
use super::one_shot::OneShot;
use super::queue::{Event, Queues, Step, step};
use super::ring::Ring;
use super::settings::{PEERS_MOST, SyncSettings};
use super::walk::Walks;
use crate::error::Error;
use crate::state::{LocalFlags, Queue, StateId, fold_counts, pf_flags};
use crate::table::{Slot, Table};
use crate::time::{Nanos, TICKS_PER_SECOND, Tick};
use crate::wire::PROTOCOL;

const TCP: u8 = 6;
/// Both nodes see the flow if a peer's update came less than so many seconds ago (protocol 6.3).
const NETWORK_RECENT_S: u32 = 2;

/// Why a state is about to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Its time is over. Peers that see its traffic know better: without local traffic nothing is said.
    Expired,
    /// It makes room for a new connection, or an operator ended it.
    Ended,
    /// A peer said so. Never echoed.
    Network,
    /// All are removed: one clear is sent instead ([`Outbound::clear`]).
    Flush,
}

/// The sending side of one lane.
#[derive(Debug)]
pub struct Outbound {
    pub(super) settings: SyncSettings,
    pub(super) queues: Queues,
    pub(super) aging: Aging,
    pub(super) deletes: Ring<StateId>,
    pub(super) requests: Ring<(PeerIndex, StateId)>,
    pub(super) one_shots: Ring<OneShot>,
    pub(super) one_shot_peer: PeerIndex,
    pub(super) batch: Box<Batch>,
    pub(super) walks: Walks,
    pub(super) clearings: Clearings,
    /// States here that came from peers.
    pub(super) imported_now: u32,
    /// Nothing is to be written before this.
    pub(super) deadline: Nanos,
    /// When the oldest waiting insert or delete came.
    pub(super) creations_since: Nanos,
    /// Inserts or deletes have filled a frame or must not wait.
    pub(super) creations_due: bool,
    /// Inserts and deletes that fill a frame, as bytes of the first peer's dialect.
    frame_bytes: usize,
    state_bytes: usize,
    pub(super) identification: u16,
    pub(super) odd_turn: bool,
    request_limit: Limiter,
    answer_limit: Limiter,
    stale_limit: Limiter,
    ended: Ring<StateId>,
    /// What this lane sent, and what it did with messages.
    pub counters: SyncCounters,
    /// What was sent to each peer.
    pub peer_counters: [PeerCounters; PEERS_MOST],
    active: bool,
    states_everywhere: Option<u32>,
}

const ONE_SHOTS: usize = 64;
const ENDED: usize = 4096;

impl Outbound {
    /// The sending side of a lane. All memory is had now.
    ///
    /// # Errors
    /// As [`SyncSettings::check`].
    pub fn new(settings: SyncSettings) -> Result<Self, Error> {
        settings.check()?;
        let active = settings.enabled && !settings.peers.is_empty();
        let sized = |count: u32| if active { count as usize } else { 0 };
        let mut outbound = Self {
            queues: Queues::new(),
            aging: Aging::new(settings.update_age),
            deletes: Ring::new(sized(settings.deletes)),
            requests: Ring::new(sized(settings.requests)),
            one_shots: Ring::new(sized(64).min(ONE_SHOTS)),
            one_shot_peer: 0,
            batch: Box::default(),
            walks: Walks::default(),
            clearings: Clearings::default(),
            imported_now: 0,
            deadline: Nanos::MAX,
            creations_since: 0,
            creations_due: false,
            frame_bytes: 0,
            state_bytes: 0,
            identification: 0,
            odd_turn: false,
            request_limit: Limiter::new(),
            answer_limit: Limiter::new(),
            stale_limit: Limiter::new(),
            ended: Ring::new(if settings.tell_ends { ENDED } else { 0 }),
            counters: SyncCounters::default(),
            peer_counters: [PeerCounters::default(); PEERS_MOST],
            active,
            states_everywhere: None,
            settings,
        };
        outbound.measure();
        Ok(outbound)
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
    pub const fn set_states_everywhere(&mut self, states: u32) {
        self.states_everywhere = Some(states);
    }

    /// States that adaptive timeouts count.
    pub(super) fn states(&self, table: &Table) -> u32 {
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

    /// A state was made for a packet: call it after [`Table::insert`].
    pub fn inserted(&mut self, table: &mut Table, slot: Slot, now: Nanos) {
        if !self.may_tell(table, slot) {
            return;
        }
        self.happened(table, slot, Event::Inserted, now);
        if table.hot(slot).local.has(LocalFlags::DEFERRED) {
            self.creations_due = true;
            self.deadline = 0;
        }
    }

    /// A packet of the state passed. Cost: a few instructions on the hot record when the state is queued already.
    #[inline]
    pub fn updated(&mut self, table: &mut Table, slot: Slot, now: Nanos) {
        if !self.active {
            return;
        }
        let hot = table.hot_mut(slot);
        match step(Event::Updated, hot.local.queue()) {
            Step::Stay => {}
            Step::Count => {
                if hot.key.proto == TCP {
                    hot.updates = hot.updates.saturating_add(1);
                    if hot.updates == self.settings.maxupd.max(1) {
                        self.hurry(table, slot);
                    }
                }
            }
            _ => self.update_new(table, slot, now),
        }
        if table.hot(slot).local.has(LocalFlags::NETWORK_RECENT) {
            self.seen_by_both(table, slot, now);
        }
    }

    #[inline(never)]
    fn update_new(&mut self, table: &mut Table, slot: Slot, now: Nanos) {
        if self.may_tell(table, slot) {
            self.happened(table, slot, Event::Updated, now);
        }
    }

    /// Both nodes see the flow when a peer updated it less than two seconds ago: each tells the other at once.
    #[cold]
    fn seen_by_both(&mut self, table: &mut Table, slot: Slot, now: Nanos) {
        let since = Tick::from_nanos(now).since(table.cold(slot).network_update);
        let limit = (NETWORK_RECENT_S * TICKS_PER_SECOND).cast_signed();
        if (0..limit).contains(&since) {
            self.hurry(table, slot);
        } else {
            table.hot_mut(slot).local.clear(LocalFlags::NETWORK_RECENT);
        }
    }

    /// The state is about to be removed: call it before [`Table::remove`], whatever the reason.
    pub fn removed(&mut self, table: &mut Table, slot: Slot, now: Nanos, why: Removal) {
        let id = table.cold(slot).id;
        // Our own of an earlier run come back from peers too.
        let imported = table.hot(slot).local.has(LocalFlags::IMPORTED);
        if self.settings.tell_ends && imported && !self.ended.push(id) {
            self.counters.ends_lost += 1;
        }
        if !self.active {
            return;
        }
        if imported {
            self.imported_now = self.imported_now.saturating_sub(1);
        }
        let queue = table.hot(slot).local.queue();
        self.leave(table, slot);
        if step(Event::Deleted, queue) == Step::Forget
            || !self.may_tell(table, slot)
            || matches!(why, Removal::Network | Removal::Flush)
        {
            return;
        }
        if why == Removal::Expired && !table.hot(slot).local.has(LocalFlags::LOCAL_TRAFFIC) {
            self.counters.silent_ends += 1;
            return;
        }
        self.note_creation(now);
        if !self.deletes.push(id) {
            self.counters.deletes_lost += 1;
        }
        self.check_fill();
    }

    /// How many more deletes may be noted. A sweep that ends many states stops here until the next flush: states that
    /// have expired can wait, no lookup returns them.
    #[must_use]
    pub const fn delete_room(&self) -> usize {
        if self.active { self.deletes.room() } else { usize::MAX }
    }

    /// A peer asked for the state. Leaves at once, whole.
    pub fn requested(&mut self, table: &mut Table, slot: Slot, now: Nanos) {
        if !self.may_tell(table, slot) {
            return;
        }
        if self.answer_limit.allows(table.cold(slot).id, Tick::from_nanos(now)) {
            self.happened(table, slot, Event::Requested, now);
        } else {
            self.counters.limited += 1;
        }
    }

    /// A peer's update was older than what we know: tell it, at once, but once a second only, so that two nodes that
    /// disagree settle.
    pub fn stale_reply(&mut self, table: &mut Table, slot: Slot, now: Nanos) {
        if !self.may_tell(table, slot) {
            return;
        }
        if self.stale_limit.allows(table.cold(slot).id, Tick::from_nanos(now)) {
            self.happened(table, slot, Event::Updated, now);
            self.hurry(table, slot);
        } else {
            self.counters.limited += 1;
        }
    }

    /// A peer that holds a packet waits for this. Leaves at once.
    pub fn acknowledge(&mut self, table: &mut Table, slot: Slot, now: Nanos) {
        if self.may_tell(table, slot) {
            self.happened(table, slot, Event::Acknowledged, now);
        }
    }

    /// A peer told of a state that is not here: ask that peer for it. Leaves at once; once a second for each identity.
    pub fn request(&mut self, peer: PeerIndex, id: StateId, now: Nanos) {
        if !self.active || usize::from(peer) >= self.settings.peers.len() {
            return;
        }
        if !self.request_limit.allows(id, Tick::from_nanos(now)) {
            self.counters.limited += 1;
        } else if self.requests.push((peer, id)) {
            self.deadline = 0;
        } else {
            // The next update of it asks again: nothing was asked now.
            self.request_limit.forget(id);
            self.counters.requests_lost += 1;
        }
    }

    /// The next foreign identity whose state ended, for the directory of the sync lane.
    pub fn take_ended(&mut self) -> Option<StateId> {
        self.ended.pop()
    }

    /// States that must never be synchronised: by rule, and those of pfsync itself.
    fn may_tell(&self, table: &Table, slot: Slot) -> bool {
        let hot = table.hot(slot);
        self.active && hot.pf_flags & pf_flags::NOSYNC == 0 && hot.key.proto != PROTOCOL
    }

    fn happened(&mut self, table: &mut Table, slot: Slot, event: Event, now: Nanos) {
        let Step::To(queue) = step(event, table.hot(slot).local.queue()) else { return };
        self.leave(table, slot);
        self.join(table, slot, queue, now);
    }

    fn leave(&mut self, table: &mut Table, slot: Slot) {
        if table.hot(slot).local.queue() == Queue::UpdateCompressed {
            self.aging.left();
        }
        self.queues.unlink(table, slot);
    }

    fn join(&mut self, table: &mut Table, slot: Slot, queue: Queue, now: Nanos) {
        if queue == Queue::Insert {
            self.note_creation(now);
        }
        self.queues.push_back(table, slot, queue);
        let (hot, _, cold) = table.records_mut(slot);
        hot.updates = 0;
        cold.version = cold.version.wrapping_add(1);
        fold_counts(hot, cold);
        match queue {
            Queue::UpdateCompressed => {
                self.aging.arrived(now);
                self.deadline = self.deadline.min(self.aging.deadline());
            }
            Queue::Insert => self.check_fill(),
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

    pub(super) fn creations_waiting(&self) -> usize {
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
    fn hurry(&mut self, table: &mut Table, slot: Slot) {
        match table.hot(slot).local.queue() {
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
            Queue::None | Queue::Update | Queue::InsertAck => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, settings, state, timeouts};
    use super::super::{Exposure, Flushed, PeerSettings, WalkOrder};
    use super::*;
    use crate::state::Record;
    use crate::wire::envelope::{Address, Envelope};
    use crate::wire::{Action, FrameReader, Profile};

    const MS: Nanos = 1_000_000;
    const S: Nanos = 1000 * MS;

    struct Node {
        table: Table,
        outbound: Outbound,
        now: Nanos,
    }

    impl Node {
        fn new(settings: SyncSettings) -> Self {
            Self { table: fixture::table(4096), outbound: Outbound::new(settings).unwrap(), now: 0 }
        }

        fn open() -> Self {
            Self::new(settings(&[Profile::OpenBsd6]))
        }

        fn put(&mut self, record: &Record) -> Slot {
            self.table.insert(record).unwrap()
        }

        fn insert(&mut self, n: u32) -> Slot {
            let slot = self.put(&state(n));
            self.outbound.inserted(&mut self.table, slot, self.now);
            slot
        }

        fn update(&mut self, slot: Slot) {
            self.outbound.updated(&mut self.table, slot, self.now);
        }

        fn remove(&mut self, slot: Slot, why: Removal) {
            self.outbound.removed(&mut self.table, slot, self.now, why);
            self.table.remove(slot);
        }

        fn flush_into(&mut self, buffer: &mut [u8]) -> Option<Flushed> {
            self.outbound.flush(&mut self.table, &timeouts(), self.now, buffer)
        }

        /// Regions of every frame that is due now, by peer.
        fn frames(&mut self) -> Vec<(PeerIndex, Vec<(Action, u16)>)> {
            let mut buffer = [0; 2000];
            let mut frames = Vec::new();
            while let Some(Flushed { length, peer }) = self.flush_into(&mut buffer) {
                assert!(length <= 1500);
                frames.push((peer, regions(&buffer[..length])));
                assert!(frames.len() < 10_000);
            }
            assert!(!self.outbound.due(self.now));
            frames
        }

        /// The same, of one peer.
        fn said(&mut self) -> Vec<Vec<(Action, u16)>> {
            self.frames().into_iter().map(|(_, regions)| regions).collect()
        }

        fn wait(&mut self, time: Nanos) -> &mut Self {
            self.now += time;
            self
        }
    }

    fn regions(packet: &[u8]) -> Vec<(Action, u16)> {
        let envelope = Envelope::parse(packet).unwrap();
        let mut reader = FrameReader::new(&packet[envelope.payload]).unwrap();
        let mut regions = Vec::new();
        while let Some(region) = reader.next_region() {
            let region = region.unwrap();
            if region.action() != Action::Eof {
                regions.push((region.action(), region.count()));
            }
        }
        regions
    }

    #[test]
    fn a_new_state_leaves_after_its_age_and_a_change_after_pf_s_second() {
        let mut node = Node::open();
        let slot = node.insert(0);
        node.update(slot);
        assert!(node.wait(10 * MS - 1).said().is_empty());
        assert_eq!(node.wait(1).said(), [[(Action::Insert, 1)]]);
        node.update(slot);
        node.update(slot);
        assert!(node.wait(S - 1).said().is_empty());
        assert_eq!(node.wait(1).said(), [[(Action::UpdateCompressed, 1)]]);
        assert!(node.wait(10 * S).said().is_empty());
    }

    #[test]
    fn a_busy_state_is_told_once_a_second_however_many_packets_and_states_there_are() {
        let mut node = Node::open();
        let slots: Vec<Slot> = (0..500).map(|n| node.insert(n)).collect();
        node.wait(10 * MS).said();
        let mut told = 0;
        for _ in 0..300 {
            for &slot in &slots {
                // Not TCP, so that `maxupd` does not apply.
                node.table.hot_mut(slot).updates = 0;
                node.update(slot);
            }
            told += node.said().iter().flatten().map(|(_, count)| u32::from(*count)).sum::<u32>();
            node.wait(10 * MS);
        }
        assert!((1000..=1500).contains(&told), "{told} in 3 s");
    }

    #[test]
    fn what_no_peer_was_told_of_ends_without_a_word() {
        let mut node = Node::open();
        let unsent = node.insert(0);
        node.remove(unsent, Removal::Ended);
        assert!(node.wait(S).said().is_empty());
        let sent = node.insert(1);
        node.wait(S).said();
        node.update(sent);
        node.remove(sent, Removal::Expired);
        assert_eq!(node.wait(S).said(), [[(Action::DeleteCompressed, 1)]]);
        assert!(node.wait(S).said().is_empty());
    }

    #[test]
    fn a_state_without_local_traffic_expires_in_silence_and_is_ended_aloud() {
        for (why, said) in
            [(Removal::Expired, 0), (Removal::Ended, 1), (Removal::Network, 0), (Removal::Flush, 0)]
        {
            let mut node = Node::open();
            let mut record = state(0);
            record.hot.local = LocalFlags(LocalFlags::IMPORTED);
            let slot = node.put(&record);
            node.remove(slot, why);
            assert_eq!(node.wait(S).said().len(), said, "{why:?}");
        }
    }

    #[test]
    fn maxupd_counts_tcp_updates_behind_the_first_one() {
        for (maxupd, packets) in [(0, 2), (1, 2), (5, 6), (255, 256)] {
            let mut node = Node::new(SyncSettings { maxupd, ..settings(&[Profile::OpenBsd6]) });
            let slot = node.put(&state(0));
            for packet in 1..=packets {
                node.update(slot);
                assert_eq!(node.said().len(), usize::from(packet == packets), "maxupd {maxupd}, {packet}");
            }
            let mut other = state(2);
            other.hot.key.proto = 17;
            let slot = node.put(&other);
            (0..1000).for_each(|_| node.update(slot));
            assert!(node.said().is_empty());
        }
    }

    #[test]
    fn a_state_that_both_nodes_see_is_told_at_once_for_two_seconds() {
        let mut node = Node::open();
        let slot = node.put(&state(0));
        node.table.hot_mut(slot).local.set(LocalFlags::NETWORK_RECENT);
        for wait in [0, S, S - 1] {
            node.wait(wait).update(slot);
            assert_eq!(node.said(), [[(Action::UpdateCompressed, 1)]]);
        }
        node.wait(1).update(slot);
        assert!(node.said().is_empty());
        assert!(!node.table.hot(slot).local.has(LocalFlags::NETWORK_RECENT));
    }

    #[test]
    fn answers_leave_at_once_and_once_a_second() {
        let mut node = Node::open();
        let slot = node.put(&state(0));
        for (expected, event) in [
            (Action::Update, Outbound::requested as fn(&mut Outbound, &mut Table, Slot, Nanos)),
            (Action::UpdateCompressed, Outbound::stale_reply),
        ] {
            event(&mut node.outbound, &mut node.table, slot, node.now);
            assert_eq!(node.said(), [[(expected, 1)]]);
            node.wait(S - 10 * MS);
            event(&mut node.outbound, &mut node.table, slot, node.now);
            assert!(node.said().is_empty());
            node.wait(10 * MS);
            event(&mut node.outbound, &mut node.table, slot, node.now);
            assert_eq!(node.said(), [[(expected, 1)]]);
        }
        node.outbound.acknowledge(&mut node.table, slot, node.now);
        assert_eq!(node.said(), [[(Action::InsertAck, 1)]]);
        assert_eq!(node.outbound.counters.limited, 2);
    }

    #[test]
    fn requests_go_once_to_the_peer_that_told_of_the_state() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6, Profile::FreeBsd1400]));
        for n in [1, 2, 1, 2] {
            node.outbound.request(1, StateId { id: n, creator: 9 }, node.now);
        }
        node.outbound.request(0, StateId { id: 3, creator: 9 }, node.now);
        node.outbound.request(8, StateId { id: 4, creator: 9 }, node.now);
        let request = |count| vec![(Action::UpdateRequest, count)];
        assert_eq!(node.frames(), [(1, request(2)), (0, request(1))]);
        node.wait(S);
        node.outbound.request(1, StateId { id: 1, creator: 9 }, node.now);
        assert_eq!(node.frames(), [(1, request(1))]);
    }

    #[test]
    fn every_peer_is_told_everything_in_its_own_dialect() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6, Profile::FreeBsd1500, Profile::FreeBsd1301]));
        let slots: Vec<Slot> = (0..20).map(|n| node.insert(n)).collect();
        let mut told = [0; 3];
        for (peer, regions) in node.wait(S).frames() {
            told[usize::from(peer)] += regions.iter().map(|(_, count)| count).sum::<u16>();
        }
        assert_eq!(told, [20; 3]);
        assert!(
            node.outbound.peer_counters[..3]
                .iter()
                .all(|peer| peer.frames_sent > 0 && peer.bytes_sent > 5000)
        );
        node.remove(slots[0], Removal::Ended);
        node.update(slots[1]);
        let expected = vec![(Action::UpdateCompressed, 1), (Action::DeleteCompressed, 1)];
        node.wait(S);
        assert_eq!(node.frames(), [(0, expected.clone()), (1, expected.clone()), (2, expected)]);
    }

    #[test]
    fn a_full_frame_leaves_at_once() {
        let mut node = Node::open();
        for n in 0..5 {
            assert!(node.said().is_empty());
            node.insert(n);
        }
        node.insert(5);
        let said = node.said();
        assert_eq!(said[0], [(Action::Insert, 5)]);
        node.wait(S);
        assert_eq!(said.len() + node.said().len(), 2);
    }

    #[test]
    fn a_reused_key_is_told_after_the_delete_of_its_former_owner() {
        let mut node = Node::open();
        let slots: Vec<Slot> = (0..300).map(|n| node.put(&state(n))).collect();
        for &slot in &slots {
            node.remove(slot, Removal::Ended);
        }
        let mut again = state(299);
        again.cold.id.id = 9999;
        let slot = node.put(&again);
        node.outbound.inserted(&mut node.table, slot, node.now);
        let said: Vec<_> = node.wait(S).said().concat();
        let deletes = said.iter().filter(|(action, _)| *action == Action::DeleteCompressed);
        assert_eq!(deletes.map(|(_, count)| count).sum::<u16>(), 300);
        assert_eq!(said.last(), Some(&(Action::Insert, 1)));
    }

    #[test]
    fn a_full_ring_of_deletes_is_counted_and_the_sweep_can_see_it_coming() {
        let mut node = Node::new(SyncSettings { deletes: 3, ..settings(&[Profile::OpenBsd6]) });
        for n in 0..5 {
            let slot = node.put(&state(n));
            assert_eq!(node.outbound.delete_room(), 3usize.saturating_sub(n as usize));
            node.remove(slot, Removal::Ended);
        }
        assert_eq!(node.outbound.counters.deletes_lost, 2);
        assert_eq!(node.wait(S).said(), [[(Action::DeleteCompressed, 3)]]);
        assert_eq!(node.outbound.delete_room(), 3);
    }

    #[test]
    fn a_buffer_without_room_loses_nothing() {
        let mut node = Node::open();
        node.insert(0);
        node.wait(S);
        for length in [0, 19, 40, 300] {
            assert_eq!(node.flush_into(&mut vec![0; length]), None);
            assert!(node.outbound.due(node.now));
        }
        assert_eq!(node.outbound.counters.no_room, 4);
        assert_eq!(node.said(), [[(Action::Insert, 1)]]);
    }

    #[test]
    fn a_buffer_that_becomes_shorter_within_a_batch_loses_nothing() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6, Profile::OpenBsd6]));
        (0..5).for_each(|n| _ = node.insert(n));
        node.wait(S);
        assert_eq!(node.flush_into(&mut [0; 1500]).unwrap().peer, 0);
        let mut frames = 0;
        while let Some(flushed) = node.flush_into(&mut [0; 400]) {
            assert_eq!(flushed.peer, 1);
            frames += 1;
        }
        assert_eq!((frames, node.outbound.counters.inserts_sent), (5, 10));
    }

    #[test]
    fn the_mtu_can_be_lowered_at_run_time_down_to_one_state() {
        let mut node = Node::open();
        (0..10).for_each(|n| _ = node.insert(n));
        assert!(node.outbound.set_mtu(307).is_err());
        node.outbound.set_mtu(308).unwrap();
        assert_eq!(node.wait(S).said(), vec![vec![(Action::Insert, 1)]; 10]);
    }

    #[test]
    fn without_peers_or_switched_off_nothing_is_queued() {
        let off = SyncSettings { enabled: false, ..settings(&[Profile::OpenBsd6]) };
        for settings in [off, settings(&[])] {
            let mut node = Node::new(settings);
            let slot = node.insert(0);
            node.update(slot);
            node.outbound.clear(None);
            node.outbound.bulk_request();
            node.remove(slot, Removal::Ended);
            assert!(node.wait(100 * S).said().is_empty());
            assert_eq!(node.outbound.delete_room(), usize::MAX);
        }
    }

    #[test]
    fn states_that_must_not_be_synchronised_are_never_mentioned() {
        for change in
            [(|record: &mut Record| record.hot.pf_flags |= pf_flags::NOSYNC) as fn(&mut Record), |record| {
                record.hot.key.proto = PROTOCOL
            }]
        {
            let mut node = Node::open();
            let mut record = state(0);
            change(&mut record);
            let slot = node.put(&record);
            let Node { table, outbound, now, .. } = &mut node;
            outbound.inserted(table, slot, *now);
            outbound.updated(table, slot, *now);
            outbound.requested(table, slot, *now);
            outbound.acknowledge(table, slot, *now);
            outbound.stale_reply(table, slot, *now);
            outbound.bulk_walk(table, WalkOrder { peer: 0, generation: 1 });
            node.remove(slot, Removal::Ended);
            assert!(node.wait(10 * S).said().is_empty());
        }
    }

    #[test]
    fn a_flush_of_all_states_is_one_clear_and_no_deletes() {
        let mut node = Node::open();
        let slots: Vec<Slot> = (0..9).map(|n| node.insert(n)).collect();
        node.wait(S).said();
        slots.into_iter().for_each(|slot| node.remove(slot, Removal::Flush));
        node.outbound.clear(None);
        assert_eq!(node.wait(S).said(), [[(Action::Clear, 1)]]);
    }

    #[test]
    fn exposure_counts_what_no_peer_was_sent_yet() {
        let mut node = Node::open();
        let slot = node.insert(0);
        let old = node.put(&state(1));
        node.update(old);
        node.now += 5 * MS;
        let exposure = node.outbound.exposure(node.now);
        assert_eq!(exposure, Exposure { creations: 1, changes: 1, oldest: 5 * MS });
        node.wait(5 * MS).said();
        assert_eq!(node.outbound.exposure(node.now).creations, 0);
        node.remove(old, Removal::Ended);
        node.remove(slot, Removal::Ended);
        node.wait(S).said();
        assert_eq!(node.outbound.exposure(node.now), Exposure::default());
    }

    #[test]
    fn a_bulk_transfer_begins_and_ends_with_its_marks_and_keeps_its_pace() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6, Profile::FreeBsd1400]));
        (0..100).for_each(|n| _ = node.put(&state(n)));
        node.outbound.bulk_start(1);
        node.outbound.bulk_walk(&node.table, WalkOrder { peer: 1, generation: 1 });
        let mut frames = node.frames();
        assert_eq!(frames.remove(0), (1, vec![(Action::BulkStatus, 1)]));
        assert_eq!(frames, vec![(1, vec![(Action::Update, 5)]); 8]);
        assert!(node.wait(MS - 1).frames().is_empty());
        assert_eq!(node.wait(1).frames().len(), 8);
        assert_eq!(node.outbound.take_finished_walk(), None);
        assert_eq!(node.wait(MS).frames().len(), 4);
        assert_eq!(node.outbound.take_finished_walk(), Some(WalkOrder { peer: 1, generation: 1 }));
        node.outbound.bulk_end(1, 0);
        assert_eq!(node.frames(), [(1, vec![(Action::BulkStatus, 1)])]);
        assert_eq!(node.outbound.counters.bulk_states_sent, 100);
    }

    #[test]
    fn an_empty_table_is_walked_as_well() {
        let mut node = Node::open();
        node.outbound.bulk_walk(&node.table, WalkOrder { peer: 0, generation: 7 });
        assert!(node.said().is_empty());
        assert_eq!(node.outbound.take_finished_walk(), Some(WalkOrder { peer: 0, generation: 7 }));
    }

    #[test]
    fn ipv6_peers_get_their_frames_over_ipv6() {
        let mut six = settings(&[]);
        six.peers.push(PeerSettings::group(Profile::FreeBsd1500, Address::V6([1; 16])));
        let mut node = Node::new(six);
        node.insert(0);
        node.wait(S);
        let mut buffer = [0; 1500];
        let flushed = node.flush_into(&mut buffer).unwrap();
        assert_eq!(buffer[0] >> 4, 6);
        assert_eq!(regions(&buffer[..flushed.length]), [(Action::Insert, 1)]);
        assert_eq!(node.outbound.counters.opackets6, 1);
    }
}
