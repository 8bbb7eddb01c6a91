//! Applies a message to the lane that owns the state (protocol section 5).

use super::applied::{Applied, Refused};
use super::merge::{Activity, Merged, PeerView};
use crate::packet::protocol::TCP;
use crate::state::{
    Cold, Extra, ExtraPart, FLOATING, Hot, IfName, LocalFlags, Record, StateId, Timeouts, peer_state,
    pf_flags,
};
use crate::sync::counters::PeerCounters;
use crate::sync::equality::Origin;
use crate::sync::export::{Exporter, Removal};
use crate::sync::message::{Body, MessageRef, PeerIndex};
use crate::sync::store::Store;
use crate::sync::translate::{extra_of, key_of, record_of};
use crate::table::{InsertError, Slot};
use crate::time::{Nanos, TICKS_PER_SECOND, Tick};
use core::cmp::Ordering;
use pfsync::{CompressedUpdate, FullState};

/// Two views of one connection whose last activity differs by less count as equally recent.
const CLEARLY_LATER: i32 = 5 * TICKS_PER_SECOND.cast_signed();

/// Decides whether a record may replace the state in a slot.
type CollisionPolicy<'a, S> = fn(&Applier<'a, S>, Slot, &Record) -> bool;

/// Returns the progress of a connection up to both sides being established; a later state may be the end of an earlier
/// connection.
fn progress(hot: &Hot) -> u8 {
    let of_side =
        |state: u8| if state >= peer_state::PROXY_SRC { 0 } else { state.min(peer_state::ESTABLISHED) };
    hot.peer_state.iter().map(|&state| of_side(state)).sum()
}

/// Whether both sides of a TCP connection have closed, or it was reset.
fn is_closed(hot: &Hot) -> bool {
    hot.key.proto == TCP && hot.peer_state.iter().all(|&state| state >= peer_state::FIN_WAIT_2)
}

/// Applies a message. `timeouts` are those of the engine.
///
/// Cost: a lookup by id, then the records of the state; a clear examines a bounded number of slots.
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
        Body::Insert(state) => applier.insert_new(state),
        Body::Update { state, insertable } => applier.update(state, *insertable),
        Body::UpdateCompressed(update) => applier.update_compressed(update),
        Body::Delete(id) => applier.delete(*id),
        Body::InsertAck(id) => applier.acknowledged(*id),
        Body::UpdateRequest(id) => applier.requested(*id),
        Body::Clear { creator, ifname } => applier.clear(*creator, *ifname),
        Body::Extra(id, part) => applier.keep_extra(*id, part),
        Body::Gone(id) => applier.gone(*id, message.origin),
        Body::BulkRequest(_) => Applied::NotApplied,
    };
    applier.note_origin(message, applied);
    if let Some(of_peer) = applier.of_peer() {
        of_peer.states_imported += u64::from(matches!(applied, Applied::Inserted(_)));
        of_peer.states_refused += u64::from(matches!(applied, Applied::Refused(_)));
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

    /// Inserts a state that a peer has created. Only this node creates states with its host id, so one of this run that is
    /// gone has ended, and one of an earlier run may come back. The state of another node has ended if a delete overtook its
    /// insert; a peer that uses an id again sends a younger state.
    fn insert_new(&mut self, state: &FullState) -> Applied {
        let id = state.id.into();
        if self.exporter.ends.ids.has_issued(id) && self.table.find_id(id).is_none() {
            return self.answer_ended(id);
        }
        self.insert(state, Self::may_replace)
    }

    fn answer_ended(&mut self, id: StateId) -> Applied {
        self.exporter.answer_ended(id, self.now);
        Applied::Ended
    }

    fn insert(&mut self, state: &FullState, may_replace: CollisionPolicy<'a, S>) -> Applied {
        if !self.exporter.settings().has_tables_of(state) {
            return self.refuse_state(state, Refused::RoutingTable);
        }
        let mut record = record_of(state, self.timeouts, self.tick, self.peer + 1);
        if self.exporter.ends.has_ended(record.cold.id, record.cold.creation, self.tick) {
            return self.answer_ended(record.cold.id);
        }
        record.cold.network_update = self.exporter.clears.time_of_import(self.tick);
        let extra = extra_of(state);
        match self.insert_record(&record, extra.as_ref(), may_replace) {
            Ok(slot) => {
                self.exporter.counters.states_imported += 1;
                self.exporter.counters.imports_incomplete += u64::from(self.table.is_incomplete(slot));
                if state.state_flags & pf_flags::ACK != 0 {
                    self.exporter.acknowledge(self.table, slot, self.now);
                }
                Applied::Inserted(slot)
            }
            Err(why) => self.refuse_state(state, why),
        }
    }

    fn refuse_state(&mut self, state: &FullState, why: Refused) -> Applied {
        let lacks_space = matches!(why, Refused::TableFull | Refused::Quota);
        self.exporter.refused.states += u64::from(lacks_space);
        if why.lasts() {
            self.exporter.postpone_request(state.id.into(), self.now);
        }
        self.refuse(why)
    }

    fn refuse(&mut self, why: Refused) -> Applied {
        let counters = &mut self.exporter.counters;
        match why {
            Refused::KeyCollision => counters.imports_refused_key_collision += 1,
            Refused::TableFull => counters.imports_refused_table_full += 1,
            Refused::Quota => counters.imports_refused_quota += 1,
            Refused::Duplicate => counters.inserts_duplicate += 1,
            Refused::Invalid => counters.badval_update += 1,
            Refused::RoutingTable => counters.imports_refused_routing_table += 1,
            Refused::Binding => counters.imports_refused_binding += 1,
        }
        Applied::Refused(why)
    }

    fn is_over_quota(&self) -> bool {
        self.exporter.settings().max_imported.is_some_and(|max| self.exporter.imported.total() >= max)
    }

    /// Inserts a record, replacing states (two at most) with one of its keys where the policy allows. Where there is no space
    /// it replaces a half-open connection that a peer sent, without a delete.
    fn insert_record(
        &mut self,
        record: &Record,
        extra: Option<&Extra>,
        may_replace: CollisionPolicy<'a, S>,
    ) -> Result<Slot, Refused> {
        if self.is_over_quota() && !self.evict_for(record) {
            return Err(Refused::Quota);
        }
        for _ in 0..4 {
            match self.table.insert(record, extra) {
                Ok(slot) => {
                    self.exporter.imported.count(record.cold.origin_peer, record.cold.id.creator, 1);
                    return Ok(slot);
                }
                Err(InsertError::Full) if self.evict_for(record) => {}
                Err(InsertError::Full) => return Err(Refused::TableFull),
                Err(InsertError::Id(_)) => return Err(Refused::Duplicate),
                // A duplicate frame must not replace the state that it created, which is newer by now.
                Err(InsertError::Key(_)) if self.table.find_id(record.cold.id).is_some() => {
                    return Err(Refused::Duplicate);
                }
                Err(InsertError::Key(other)) if self.is_bound_elsewhere(other, record) => {
                    return Err(Refused::Binding);
                }
                Err(InsertError::Key(other)) if self.is_another_live(other, record) => {
                    self.exporter.counters.imports_refused_translation_collision += 1;
                    return Err(Refused::KeyCollision);
                }
                Err(InsertError::Key(other)) if may_replace(self, other, record) => {
                    self.remove(other, Removal::Replaced);
                    self.exporter.counters.states_replaced += 1;
                }
                Err(InsertError::Key(_)) => return Err(Refused::KeyCollision),
            }
        }
        Err(Refused::KeyCollision)
    }

    /// Whether a state with the record's key is one that the same node keeps beside it: pf may bind states of one key to
    /// different interfaces.
    fn is_bound_elsewhere(&self, slot: Slot, record: &Record) -> bool {
        let (ours, theirs) = (self.table.ifname(slot), record.cold.ifname);
        ours != theirs
            && ours != FLOATING
            && theirs != FLOATING
            && self.table.id(slot).creator == record.cold.id.creator
            && !self.is_over(&self.table.record(slot))
    }

    /// Removes a half-open connection of a peer to make space for a new state. Returns false if there is none.
    fn evict_for(&mut self, record: &Record) -> bool {
        let is_new = self.table.find_id(record.cold.id).is_none();
        let Some(evicted) = self.table.evictable_import().filter(|_| is_new) else { return false };
        self.exporter.removed(self.table, evicted, self.now, Removal::Replaced);
        self.table.remove(evicted);
        self.exporter.counters.imports_evicted_half_open += 1;
        // The peer still has it.
        self.exporter.refused.states += 1;
        true
    }

    /// Whether a state with one of the record's keys is another live connection of this node, whose replies must stay its own.
    fn is_another_live(&self, slot: Slot, record: &Record) -> bool {
        let own = self.table.record(slot);
        // A peer's echo of a state that this node created clears the mark of local traffic.
        let is_ours =
            own.hot.local.has(LocalFlags::LOCAL_TRAFFIC) || !own.hot.local.has(LocalFlags::IMPORTED);
        is_ours && own.keys() != record.keys() && !self.is_over(&own)
    }

    /// Whether an insert may replace a state with its key: a closed TCP connection (OpenBSD `pf_state_key_attach`), an expired
    /// state, and one without local traffic: the peer that has the traffic, or that took over from it, knows better.
    fn may_replace(&self, slot: Slot, _: &Record) -> bool {
        let local = self.table.local(slot);
        let is_foreign = local.has(LocalFlags::IMPORTED) && !local.has(LocalFlags::LOCAL_TRAFFIC);
        is_foreign || self.is_over(&self.table.record(slot))
    }

    fn is_over(&self, Record { hot, cold, .. }: &Record) -> bool {
        is_closed(hot) || self.has_expired(hot, cold)
    }

    /// Whether a peer's whole view of a connection replaces ours, which has another id.
    ///
    /// Two nodes each create a state when the first packets take different paths, and then neither would accept the
    /// other's. All nodes decide alike, so one of the two remains: the one with more progress, then with later traffic, then
    /// with the lower id. A connection closed on both sides may be an earlier one.
    fn peer_wins(&self, slot: Slot, record: &Record) -> bool {
        let own = self.table.record(slot);
        let (ours, theirs) = (&own.hot, &record.hot);
        let later = theirs.last_activity.since(ours.last_activity);
        let has_lower_id = record.cold.id < own.cold.id;
        self.is_over(&own)
            || !is_closed(theirs)
                && match progress(theirs).cmp(&progress(ours)) {
                    Ordering::Equal if later.unsigned_abs() > CLEARLY_LATER.unsigned_abs() => later > 0,
                    Ordering::Equal => has_lower_id,
                    other => other.is_gt(),
                }
    }

    fn has_expired(&self, hot: &Hot, cold: &Cold) -> bool {
        let own = hot.local.has(LocalFlags::OVERRIDE).then_some(cold.timeout_override_s);
        self.timeouts.expired_for_peers(hot, own, self.tick, self.exporter.total_states(self.table))
    }

    fn remove(&mut self, slot: Slot, why: Removal) {
        self.exporter.removed(self.table, slot, self.now, why);
        self.table.remove(slot);
    }

    fn update(&mut self, state: &FullState, insertable: bool) -> Applied {
        match self.table.find_id(state.id.into()) {
            Some(slot) => self.merge(slot, &PeerView::of_state(state, self.activity_of(state))),
            None if insertable => {
                let applied = self.insert(state, Self::peer_wins);
                if let Applied::Refused(why) = applied {
                    self.exporter.counters.badstate += 1;
                    self.send_our_version(why, state);
                }
                applied
            }
            None => self.refuse(Refused::Invalid),
        }
    }

    /// Sends our state of the connection if it wins over the peer's.
    ///
    /// A pfplane peer then replaces its own. pf keeps it, refuses ours, and requests it once a second, so its state is ended
    /// when it comes again. Not the first time: two nodes that each take their own view for the better one would end both.
    fn send_our_version(&mut self, why: Refused, state: &FullState) {
        if why == Refused::KeyCollision
            && let Some(ours) = self.table.find_key(&key_of(&state.key[0]))
            && self.has_keys_of(ours, state)
            && self.exporter.answer_request(self.table, ours, self.now)
        {
            self.exporter.end_twin(state.id.into(), self.now);
        }
    }

    /// Whether the state in a slot has both keys of a peer's state: it is the same connection, with the same translation.
    fn has_keys_of(&self, slot: Slot, state: &FullState) -> bool {
        let Record { hot, cold, .. } = self.table.record(slot);
        let stack = if hot.local.has(LocalFlags::TRANSLATED) { cold.stack_key } else { hot.key };
        [hot.key, stack] == [key_of(&state.key[0]), key_of(&state.key[1])]
    }

    fn update_compressed(&mut self, update: &CompressedUpdate) -> Applied {
        let id = update.id.into();
        match self.table.find_id(id) {
            Some(slot) => self.merge(slot, &PeerView::of_update(update)),
            None if update.id.creator == 0 => self.unknown(id),
            // The age of another node's state shows only in a full update whether it is a new one.
            None if self.exporter.ends.is_ours(id)
                && self.exporter.ends.has_ended(id, self.tick, self.tick) =>
            {
                self.answer_ended(id)
            }
            // A state that cannot be inserted is not requested now; its next update may find space.
            None if self.exporter.import_space(self.table) == 0 => {
                self.exporter.refused.updates += 1;
                self.refuse(if self.is_over_quota() { Refused::Quota } else { Refused::TableFull })
            }
            None => {
                self.exporter.request_state(self.peer, id, self.now);
                Applied::Requested
            }
        }
    }

    /// Returns the time of the last traffic that a whole state shows. Only pfplane nodes are known not to scale it.
    fn activity_of(&self, state: &FullState) -> Activity {
        match self.exporter.settings().peers.get(usize::from(self.peer)) {
            Some(peer) if peer.extensions => {
                Activity::At(self.timeouts.import_activity(state.timeout, state.expire, self.tick))
            }
            _ => Activity::Unknown,
        }
    }

    /// Merges an update; the newer view of each side wins. If neither side is stale the peer has the newer traffic, and the
    /// state is the peer's to end until there is local traffic again. An echo of what this node knows changes neither.
    fn merge(&mut self, slot: Slot, view: &PeerView<'_>) -> Applied {
        let tick = self.exporter.clears.time_of_import(self.tick);
        let Merged { stale, is_echo } = self.table.merge(slot, view, tick);
        if !is_echo {
            let local = self.table.local_mut(slot);
            if stale.count() == 0 {
                local.clear(LocalFlags::LOCAL_TRAFFIC);
            }
            local.set(LocalFlags::NETWORK_RECENT);
        }
        let release = self.release(slot);
        self.exporter.counters.updates_merged += 1;
        if stale.count() > 0 {
            self.exporter.counters.stale += 1;
            if let Some(of_peer) = self.of_peer() {
                of_peer.stale += 1;
            }
        }
        if stale.count() > 0 || self.table.local(slot).has(LocalFlags::UPDATE_DUE) {
            self.table.local_mut(slot).clear(LocalFlags::UPDATE_DUE);
            self.exporter.answer_stale_update(self.table, slot, self.now);
        }
        Applied::Merged { slot, release }
    }

    /// Releases held packets: any update or acknowledgement shows that the peer has the state.
    fn release(&mut self, slot: Slot) -> bool {
        let was_held = self.exporter.release(self.table, slot);
        self.exporter.acknowledged(self.table, slot);
        self.exporter.counters.states_released += u64::from(was_held);
        was_held
    }

    fn unknown(&mut self, id: StateId) -> Applied {
        self.exporter.counters.badstate += 1;
        Applied::Unknown(id)
    }

    fn delete(&mut self, id: StateId) -> Applied {
        let Some(slot) = self.table.find_id(id) else {
            self.exporter.ends.remember(id, self.tick);
            return self.unknown(id);
        };
        self.remove(slot, Removal::Network);
        self.exporter.counters.states_removed_by_peer += 1;
        Applied::Removed
    }

    /// Notes whether a peer's state is here now.
    fn note_origin(&mut self, message: &MessageRef<'_>, applied: Applied) {
        let id = match &message.body {
            Body::Insert(state) | Body::Update { state, .. } => state.id.into(),
            Body::UpdateCompressed(update) => update.id.into(),
            _ => return,
        };
        match applied {
            Applied::Inserted(slot) | Applied::Merged { slot, .. } => {
                self.exporter.note_taken(self.table, message.origin, slot);
            }
            Applied::Refused(why) => match self.table.find_id(id) {
                Some(slot) => self.exporter.note_taken(self.table, message.origin, slot),
                None => self.exporter.note_refused(message.origin, id, why),
            },
            _ => {}
        }
    }

    /// The peer does not have a state that this node asked about.
    fn gone(&mut self, id: StateId, origin: Origin) -> Applied {
        match self.exporter.handle_gone(self.table, origin, id, self.now) {
            true => Applied::Removed,
            false => Applied::NotApplied,
        }
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

    /// Stores what few states have of a state that came from a peer; our own states have ours.
    fn keep_extra(&mut self, id: StateId, part: &ExtraPart) -> Applied {
        if let Some(slot) = self.table.find_id(id).filter(|&slot| self.table.origin_peer(slot) != 0) {
            let is_kept = self.table.set_extra_part(slot, part);
            self.exporter.counters.options_lost += u64::from(!is_kept);
        }
        Applied::Extra
    }

    /// Clears the first slots at once; housekeeping does the rest.
    fn clear(&mut self, creator: u32, ifname: Option<IfName>) -> Applied {
        Applied::Cleared(self.exporter.begin_clear(self.table, creator, ifname, self.now))
    }
}
