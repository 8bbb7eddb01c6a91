//! What a message does to the lane that owns the state (protocol section 5).

use crate::packet::protocol::TCP;
use crate::state::{Cold, Hot, IfName, LocalFlags, Record, StateId, Timeouts, peer_state, pf_flags};
use crate::sync::export::Exporter;
use crate::sync::export::Removal;
use crate::sync::export::SLOTS_AT_ONCE;
use crate::sync::message::{Body, MessageRef, PeerIndex};
use crate::sync::peer_counters::PeerCounters;
use crate::sync::store::Store;
use crate::sync::translate::{key_of, record_of};
use crate::table::{InsertError, Slot};
use crate::time::{Nanos, TICKS_PER_SECOND, Tick};
use core::cmp::Ordering;
use pfsync::{CompressedUpdate, FullState, StatePeer};

/// Activity of two views of one connection that differs by less says nothing.
const CLEARLY_LATER: i32 = 5 * TICKS_PER_SECOND.cast_signed();

/// Whether the state in a slot makes room for a record.
type Yields<'a, S> = fn(&Applier<'a, S>, Slot, &Record) -> bool;

/// How far a connection has come: no further than both sides established, since an end may be that of an earlier
/// connection.
fn progress(hot: &Hot) -> u8 {
    let of_side =
        |state: u8| if state >= peer_state::PROXY_SRC { 0 } else { state.min(peer_state::ESTABLISHED) };
    hot.peer_state.iter().map(|&state| of_side(state)).sum()
}

/// A TCP connection that both sides have closed or that was reset.
fn is_closed(hot: &Hot) -> bool {
    hot.key.proto == TCP && hot.peer_state.iter().all(|&state| state >= peer_state::FIN_WAIT_2)
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The state was taken in.
    Inserted(Slot),
    /// The update was merged, or found stale on both sides.
    Merged {
        /// The state.
        slot: Slot,
        /// A held packet of it may go now.
        release: bool,
    },
    /// The peer has the state: a held packet of it may go now.
    Released(Slot),
    /// The state was removed.
    Removed,
    /// So many states were removed; the others follow, see [`Exporter::step_clears`].
    Cleared(u32),
    /// The state will be sent.
    Answered(Slot),
    /// The state is not known and was asked for.
    Requested,
    /// The state is not known. A directory entry that named this lane is wrong.
    Unknown(StateId),
    /// The state was not taken in.
    Refused(Refused),
    /// Not a matter of one lane: the caller's.
    NotApplied,
}

/// Why a state was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A state with this identity is there. An insert is no update.
    Duplicate,
    /// A live state has the key.
    KeyCollision,
    /// The table is full.
    TableFull,
    /// So many states of peers are here that no more are taken in.
    Quota,
    /// It may only be merged, and there is nothing to merge it into.
    Invalid,
}

/// Does what a message says. `timeouts` are those of the engine.
///
/// Cost: a lookup by identity, then the records of the state; a clear looks at a bounded number of slots.
pub fn apply(
    table: &mut impl Store,
    exporter: &mut Exporter,
    timeouts: &Timeouts,
    message: &MessageRef<'_>,
    now: Nanos,
) -> Applied {
    let mut applier =
        Applier { table, exporter, timeouts, now, tick: Tick::from_nanos(now), peer: message.peer };
    let applied = match &message.body {
        Body::Insert(state) => applier.insert(state, message.peer),
        Body::Update { state, insertable } => applier.update(state, *insertable, message.peer),
        Body::UpdateCompressed(update) => applier.update_compressed(update, message.peer),
        Body::Delete(id) => applier.delete(*id),
        Body::InsertAck(id) => applier.acknowledged(*id),
        Body::UpdateRequest(id) => applier.requested(*id),
        Body::Clear { creator, ifname } => applier.clear(*creator, *ifname),
        Body::BulkRequest(_) => Applied::NotApplied,
    };
    if let Some(of_peer) = applier.of_peer() {
        of_peer.imported += u64::from(matches!(applied, Applied::Inserted(_)));
        of_peer.refused += u64::from(matches!(applied, Applied::Refused(_)));
        of_peer.badstate += u64::from(matches!(applied, Applied::Unknown(_)));
    }
    applied
}

struct Applier<'a, S> {
    table: &'a mut S,
    exporter: &'a mut Exporter,
    timeouts: &'a Timeouts,
    now: Nanos,
    tick: Tick,
    peer: PeerIndex,
}

impl<'a, S: Store> Applier<'a, S> {
    fn of_peer(&mut self) -> Option<&mut PeerCounters> {
        self.exporter.peer_counters.get_mut(usize::from(self.peer))
    }

    fn insert(&mut self, state: &FullState, peer: PeerIndex) -> Applied {
        self.enqueue_message(state, peer, Self::may_replace)
    }

    fn enqueue_message(&mut self, state: &FullState, peer: PeerIndex, yields: Yields<'a, S>) -> Applied {
        let record = record_of(state, self.timeouts, self.tick, peer + 1);
        match self.insert_record(&record, yields) {
            Ok(slot) => {
                self.exporter.counters.imported += 1;
                if state.state_flags & pf_flags::ACK != 0 {
                    self.exporter.acknowledge(self.table, slot, self.now);
                }
                Applied::Inserted(slot)
            }
            Err(why) => self.refuse(why),
        }
    }

    fn refuse(&mut self, why: Refused) -> Applied {
        let counters = &mut self.exporter.counters;
        match why {
            Refused::KeyCollision => counters.key_collision += 1,
            Refused::TableFull => counters.table_full += 1,
            Refused::Quota => counters.over_quota += 1,
            Refused::Duplicate => counters.duplicates += 1,
            Refused::Invalid => counters.badval_update += 1,
        }
        Applied::Refused(why)
    }

    const fn is_quota_used(&self) -> bool {
        self.exporter.imported_now >= self.exporter.settings().max_imported
    }

    /// Inserts, making room where a state with one of the keys has ended or is not ours to keep. There are two keys, so
    /// there may be two such states.
    fn insert_record(&mut self, record: &Record, yields: Yields<'a, S>) -> Result<Slot, Refused> {
        if self.is_quota_used() {
            return Err(Refused::Quota);
        }
        for _ in 0..3 {
            match self.table.insert(record) {
                Ok(slot) => {
                    self.exporter.count_imported(record.cold.origin_peer, 1);
                    return Ok(slot);
                }
                Err(InsertError::Full) => return Err(Refused::TableFull),
                Err(InsertError::Id(_)) => return Err(Refused::Duplicate),
                // A frame that came twice must not push out the state that it made, which is newer by now.
                Err(InsertError::Key(_)) if self.table.find_id(record.cold.id).is_some() => {
                    return Err(Refused::Duplicate);
                }
                Err(InsertError::Key(other)) if yields(self, other, record) => {
                    self.remove(other);
                    self.exporter.counters.replaced += 1;
                }
                Err(InsertError::Key(_)) => return Err(Refused::KeyCollision),
            }
        }
        Err(Refused::KeyCollision)
    }

    /// Whether a state makes room for a new one with its key: a TCP connection that both sides have closed (OpenBSD
    /// `pf_state_key_attach`), a state whose time is over, and one that only a peer ever had traffic of: that peer, or the
    /// one that has taken over from it, knows better.
    fn may_replace(&self, slot: Slot, _: &Record) -> bool {
        let local = self.table.local(slot);
        let foreign = local.has(LocalFlags::IMPORTED) && !local.has(LocalFlags::LOCAL_TRAFFIC);
        foreign || self.is_over(&self.table.record(slot))
    }

    fn is_over(&self, Record { hot, cold, .. }: &Record) -> bool {
        is_closed(hot) || self.has_expired(hot, cold)
    }

    /// Whether a state makes room for a peer's whole view of the same connection under another identity.
    ///
    /// Two nodes make a state each when the connection's first packets take two ways, and then neither would ever take in
    /// the other's. All nodes judge alike, so that one of the two is left: that which has come further, then that with
    /// later traffic, then that with the lower identity. One that is closed on both sides may be of an earlier connection.
    fn peer_wins(&self, slot: Slot, record: &Record) -> bool {
        let own = self.table.record(slot);
        let (ours, theirs) = (&own.hot, &record.hot);
        let later = theirs.last_activity.since(ours.last_activity);
        let by_identity = record.cold.id < own.cold.id;
        self.is_over(&own)
            || !is_closed(theirs)
                && match progress(theirs).cmp(&progress(ours)) {
                    Ordering::Equal if later.unsigned_abs() > CLEARLY_LATER.unsigned_abs() => later > 0,
                    Ordering::Equal => by_identity,
                    other => other.is_gt(),
                }
    }

    fn has_expired(&self, hot: &Hot, cold: &Cold) -> bool {
        let own = hot.local.has(LocalFlags::OVERRIDE).then_some(cold.timeout_override_s);
        self.timeouts.expired(hot, own, self.tick, self.exporter.states(self.table))
    }

    fn remove(&mut self, slot: Slot) {
        self.exporter.removed(self.table, slot, self.now, Removal::Network);
        self.table.remove(slot);
    }

    fn update(&mut self, state: &FullState, insertable: bool, peer: PeerIndex) -> Applied {
        match self.table.find_id(state.id.into()) {
            Some(slot) => self.merge(slot, &state.src, &state.dst, state.timeout),
            None if insertable => {
                let applied = self.enqueue_message(state, peer, Self::peer_wins);
                if let Applied::Refused(why) = applied {
                    self.exporter.counters.badstate += 1;
                    self.correct(why, state);
                }
                applied
            }
            None => self.refuse(Refused::Invalid),
        }
    }

    /// Our state of the connection outdoes the peer's: tell it.
    fn correct(&mut self, why: Refused, state: &FullState) {
        if why == Refused::KeyCollision
            && let Some(ours) = self.table.find_key(&key_of(&state.key[0]))
        {
            self.exporter.answer_request(self.table, ours, self.now);
        }
    }

    fn update_compressed(&mut self, update: &CompressedUpdate, peer: PeerIndex) -> Applied {
        let id = update.id.into();
        match self.table.find_id(id) {
            Some(slot) => self.merge(slot, &update.src, &update.dst, update.timeout),
            None if update.id.creator == 0 => self.unknown(id),
            // What could not be taken in is not asked for: its next update may find room.
            None if !self.table.has_room() => self.refuse(Refused::TableFull),
            None if self.is_quota_used() => self.refuse(Refused::Quota),
            None => {
                self.exporter.request_state(peer, id, self.now);
                Applied::Requested
            }
        }
    }

    /// The newer view of each side stays. Where the peer has seen newer traffic than we have, the state is the peer's to
    /// end: only local traffic makes it ours again.
    fn merge(&mut self, slot: Slot, src: &StatePeer, dst: &StatePeer, timeout: u8) -> Applied {
        let stale = self.table.merge(slot, src, dst, timeout, self.tick);
        let local = self.table.local_mut(slot);
        if stale.sides() == 0 {
            local.clear(LocalFlags::LOCAL_TRAFFIC);
        }
        local.set(LocalFlags::NETWORK_RECENT);
        let release = self.release(slot);
        self.exporter.counters.merged += 1;
        if stale.sides() > 0 {
            self.exporter.counters.stale += 1;
            if let Some(of_peer) = self.of_peer() {
                of_peer.stale += 1;
            }
            self.exporter.answer_stale_update(self.table, slot, self.now);
        }
        Applied::Merged { slot, release }
    }

    /// Any word of the state from a peer shows that the peer has it.
    fn release(&mut self, slot: Slot) -> bool {
        let held = self.exporter.release(self.table, slot);
        self.exporter.counters.released += u64::from(held);
        held
    }

    fn unknown(&mut self, id: StateId) -> Applied {
        self.exporter.counters.badstate += 1;
        Applied::Unknown(id)
    }

    fn delete(&mut self, id: StateId) -> Applied {
        let Some(slot) = self.table.find_id(id) else { return self.unknown(id) };
        self.remove(slot);
        self.exporter.counters.removed += 1;
        Applied::Removed
    }

    fn acknowledged(&mut self, id: StateId) -> Applied {
        match self.table.find_id(id) {
            Some(slot) if self.release(slot) => Applied::Released(slot),
            Some(slot) => Applied::Merged { slot, release: false },
            None => Applied::Unknown(id),
        }
    }

    fn requested(&mut self, id: StateId) -> Applied {
        let Some(slot) = self.table.find_id(id) else { return self.unknown(id) };
        if self.table.pf_flags(slot) & pf_flags::NOSYNC != 0 {
            return self.unknown(id);
        }
        self.exporter.answer_request(self.table, slot, self.now);
        Applied::Answered(slot)
    }

    /// The beginning at once, the rest in housekeeping.
    fn clear(&mut self, creator: u32, ifname: Option<IfName>) -> Applied {
        if !self.exporter.clearings.begin(self.table, creator, ifname, self.tick) {
            self.exporter.counters.clears_lost += 1;
            return Applied::Cleared(0);
        }
        Applied::Cleared(self.exporter.step_clears(self.table, SLOTS_AT_ONCE, self.now))
    }
}
