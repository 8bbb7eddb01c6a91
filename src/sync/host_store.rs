//! The host's table as a [`Store`]: the contents stay with the host, and a note with replication's fields is kept here.

use super::import::merge::{self, Merged, PeerView, StaleSides};
use super::store::Store;
use super::translate::{self, Clock, record_of};
use crate::error::Error;
use crate::memory::{Heap, List, Map};
use crate::packet::Key;
use crate::state::{Cold, Extra, ExtraPart, Hot, IfName, LocalFlags, Record, StateId, Timeouts, Track};
use crate::table::{InsertError, Slot};
use crate::time::Tick;
use pfsync::{CompressedUpdate, FullState, Profile};

/// The host's states, each at an index below a capacity. States are in OpenBSD's conventions; the host ignores their id.
pub trait HostTable {
    /// Returns the state at an index, `None` when it is gone.
    fn get(&self, index: u32) -> Option<FullState>;
    /// Inserts a peer's state and returns its index.
    ///
    /// # Errors
    /// [`HostInsertError`].
    fn insert(&mut self, state: &FullState) -> Result<u32, HostInsertError>;
    /// Copies sides, timeout class and remaining time of a peer's newer view.
    fn update(&mut self, index: u32, state: &FullState);
    /// Removes the state at an index.
    fn remove(&mut self, index: u32);
    /// Returns the first state at or after an index, with its index.
    fn next_from(&self, from: u32) -> Option<(u32, FullState)>;
}

/// Why the host did not insert a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostInsertError {
    /// There is no space, or the host refuses the state.
    Full,
    /// The state at this index has the key.
    Key(u32),
}

/// What replication keeps of a state.
#[derive(Clone, Copy, Debug)]
struct Note {
    id: StateId,
    links: [u32; 2],
    network_update: Tick,
    creation: Tick,
    version: u32,
    local: LocalFlags,
    pf_flags: u16,
    proto: u8,
    updates: u8,
    origin_peer: u8,
    answered: [u16; 2],
    unacknowledged: bool,
}

impl Note {
    const EMPTY: Self = Self {
        id: StateId { id: 0, creator: 0 },
        links: [Cold::NO_LINK; 2],
        network_update: Tick(0),
        creation: Tick(0),
        version: 0,
        local: LocalFlags(0),
        pf_flags: 0,
        proto: 0,
        updates: 0,
        origin_peer: 0,
        answered: [0; 2],
        unacknowledged: false,
    };
}

/// The host's table and the notes of its states. All memory is allocated at creation.
pub(super) struct HostStore<T> {
    host: T,
    notes: List<Note>,
    ids: Map<StateId, u32>,
    end: u32,
    timeouts: Timeouts,
    /// The state with which the host last reported a key collision.
    collided_with: Option<Slot>,
    /// Time of the current call.
    pub now: Tick,
}

impl<T: HostTable> HostStore<T> {
    /// Allocates notes for indexes below `capacity`.
    pub(super) fn new(host: T, capacity: u32, timeouts: Timeouts, heap: Heap) -> Result<Self, Error> {
        let notes = heap.list_of("the notes of states", capacity as usize, |_| Note::EMPTY)?;
        let ids = heap.map("the ids of states", capacity as usize)?;
        Ok(Self { host, notes, ids, end: 0, timeouts, collided_with: None, now: Tick(0) })
    }

    /// The host's table.
    pub(super) const fn host(&mut self) -> &mut T {
        &mut self.host
    }

    /// Adds a state that the host created. `false` when the index is beyond the capacity or in use, when the host does not
    /// have the state, or when the id is in use.
    #[must_use]
    pub(super) fn adopt(&mut self, index: u32, id: StateId) -> bool {
        let Some(state) = self.host.get(index) else { return false };
        let local = LocalFlags(LocalFlags::LIVE | LocalFlags::LOCAL_TRAFFIC);
        let creation = self.now.minus_seconds(state.creation.min(crate::state::MAX_SECONDS));
        let (pf_flags, proto) = (state.state_flags, state.key[0].proto);
        self.note(index, Note { id, local, creation, pf_flags, proto, ..Note::EMPTY })
    }

    fn note(&mut self, index: u32, note: Note) -> bool {
        let Some(free) = self.notes.get_mut(index as usize) else { return false };
        if free.local.has(LocalFlags::LIVE) || self.ids.contains_key(&note.id) {
            return false;
        }
        *free = note;
        self.ids.insert(note.id, index);
        self.end = self.end.max(index + 1);
        true
    }

    /// Drops the note of a removed state.
    pub(super) fn forget(&mut self, slot: Slot) {
        if let Some(note) = self.notes.get_mut(slot.0 as usize) {
            self.ids.remove(&note.id);
            *note = Note::EMPTY;
        }
    }

    fn get(&self, slot: Slot) -> Option<FullState> {
        let note = &self.notes[slot.0 as usize];
        let state = self.host.get(slot.0)?;
        let held = if note.local.has(LocalFlags::DEFERRED) { crate::state::pf_flags::ACK } else { 0 };
        Some(FullState {
            id: note.id.into(),
            family: state.key[0].family,
            nat_rule: u32::MAX,
            state_flags: note.pf_flags | held,
            ..state
        })
    }
}

impl<T: HostTable> Store for HostStore<T> {
    fn local(&self, slot: Slot) -> LocalFlags {
        self.notes[slot.0 as usize].local
    }

    fn local_mut(&mut self, slot: Slot) -> &mut LocalFlags {
        &mut self.notes[slot.0 as usize].local
    }

    fn unacknowledged_mut(&mut self, slot: Slot) -> &mut bool {
        &mut self.notes[slot.0 as usize].unacknowledged
    }

    fn answered_mut(&mut self, slot: Slot) -> &mut [u16; 2] {
        &mut self.notes[slot.0 as usize].answered
    }

    fn updates_mut(&mut self, slot: Slot) -> &mut u8 {
        &mut self.notes[slot.0 as usize].updates
    }

    fn proto(&self, slot: Slot) -> u8 {
        self.notes[slot.0 as usize].proto
    }

    fn pf_flags(&self, slot: Slot) -> u16 {
        self.notes[slot.0 as usize].pf_flags
    }

    fn id(&self, slot: Slot) -> StateId {
        self.notes[slot.0 as usize].id
    }

    fn origin_peer(&self, slot: Slot) -> u8 {
        self.notes[slot.0 as usize].origin_peer
    }

    fn creation(&self, slot: Slot) -> Tick {
        self.notes[slot.0 as usize].creation
    }

    fn network_update(&self, slot: Slot) -> Tick {
        self.notes[slot.0 as usize].network_update
    }

    fn ifname(&self, slot: Slot) -> IfName {
        self.host.get(slot.0).map_or([0; 16], |state| translate::clean_name(&state.ifname))
    }

    fn links_mut(&mut self, slot: Slot) -> [&mut u32; 2] {
        self.notes[slot.0 as usize].links.each_mut()
    }

    fn changed(&mut self, slot: Slot) {
        let note = &mut self.notes[slot.0 as usize];
        note.version = note.version.wrapping_add(1);
    }

    fn is_live(&self, slot: Slot) -> bool {
        self.notes.get(slot.0 as usize).is_some_and(|note| note.local.has(LocalFlags::LIVE))
    }

    fn find_id(&self, id: StateId) -> Option<Slot> {
        self.ids.get(&id).copied().map(Slot)
    }

    fn find_key(&self, _: &Key) -> Option<Slot> {
        self.collided_with.filter(|&slot| self.is_live(slot))
    }

    fn next_live_before(&self, from: u32, end: u32) -> Option<Slot> {
        let end = end.min(self.end);
        (from..end).map(Slot).find(|&slot| self.is_live(slot))
    }

    fn end(&self) -> u32 {
        self.end
    }

    fn len(&self) -> u32 {
        u32::try_from(self.ids.len()).unwrap_or(u32::MAX)
    }

    fn is_expressible(&self, slot: Slot, profile: Profile) -> bool {
        profile == Profile::OpenBsd6
            || self.get(slot).is_none_or(|state| translate::Needs::of(&state).are_met_by(profile))
    }

    fn space(&self) -> u32 {
        (self.notes.len() as u32).saturating_sub(self.len())
    }

    fn full_state(&self, slot: Slot, _: &Clock<'_>, profile: Profile) -> Option<FullState> {
        let state = self.get(slot).filter(|state| state.expire > 0)?;
        let lifetime = self.timeouts.get(state.timeout).max(1);
        let state = FullState { expire: state.expire.min(lifetime), ..state };
        Some(translate::for_profile(state, profile))
    }

    fn compressed_update(&self, slot: Slot, profile: Profile) -> Option<CompressedUpdate> {
        let FullState { id, src, dst, timeout, .. } = self.get(slot)?;
        Some(CompressedUpdate { id, src, dst, expire: 0, timeout: translate::class_in(timeout, profile) })
    }

    fn record(&self, slot: Slot) -> Record {
        let note = &self.notes[slot.0 as usize];
        let Some(state) = self.get(slot) else {
            // The host has removed it without a report.
            return Record { hot: Hot::EMPTY, track: Track::default(), cold: Cold::EMPTY };
        };
        let mut record = record_of(&state, &self.timeouts, self.now, note.origin_peer);
        if state.expire == 0 {
            // In a message 0 starts the timeout again; here the state has expired.
            let lifetime = self.timeouts.get(state.timeout);
            record.hot.last_activity = self.now.minus_seconds(lifetime.min(crate::state::MAX_SECONDS));
        }
        record.hot.local = note.local;
        record
    }

    fn extra(&self, _: Slot) -> Option<&Extra> {
        None
    }

    /// A host's table has no such entries.
    fn set_extra_part(&mut self, _: Slot, _: &ExtraPart) -> bool {
        false
    }

    fn is_incomplete(&self, _: Slot) -> bool {
        false
    }

    fn insert(&mut self, record: &Record, extra: Option<&Extra>) -> Result<Slot, InsertError> {
        let Record { hot, track, cold } = record;
        if let Some(slot) = self.find_id(cold.id) {
            return Err(InsertError::Id(slot));
        }
        let expire = self.timeouts.export_s(hot, None, cold.network_update);
        let mut state = translate::native_state(hot, track, cold, cold.network_update, expire);
        if let Some(extra) = extra {
            translate::add_extra(&mut state, extra);
        }
        let index = match self.host.insert(&state) {
            Ok(index) => index,
            Err(HostInsertError::Key(index)) if self.is_live(Slot(index)) => {
                self.collided_with = Some(Slot(index));
                return Err(InsertError::Key(Slot(index)));
            }
            Err(_) => return Err(InsertError::Full),
        };
        let note = Note {
            id: cold.id,
            network_update: cold.network_update,
            creation: cold.creation,
            local: LocalFlags(LocalFlags::LIVE | LocalFlags::IMPORTED),
            pf_flags: hot.pf_flags,
            proto: hot.key.proto,
            origin_peer: cold.origin_peer,
            ..Note::EMPTY
        };
        // An impossible index is a defect of the host: the state is not replicated.
        if self.note(index, note) { Ok(Slot(index)) } else { Err(InsertError::Full) }
    }

    fn merge(&mut self, slot: Slot, view: &PeerView<'_>, now: Tick) -> Merged {
        let gone = StaleSides { src: true, dst: true };
        let Some(state) = self.get(slot) else { return Merged { stale: gone, is_echo: false } };
        self.notes[slot.0 as usize].network_update = now;
        let mut record = record_of(&state, &self.timeouts, now, 0);
        let Record { hot, track, .. } = &mut record;
        if state.expire > 0 && merge::is_echo(hot, track, view) {
            return Merged { is_echo: true, ..Merged::default() };
        }
        let stale = merge::merge(hot, track, view.src, view.dst);
        if stale.count() < 2 {
            hot.timeout = merge::merged_class(stale, hot, [view.src, view.dst], view.timeout);
            hot.last_activity = view.activity.merged(hot.last_activity, now);
            let merged = FullState {
                src: translate::state_peer(&track.src, hot.peer_state[0]),
                dst: translate::state_peer(&track.dst, hot.peer_state[1]),
                timeout: hot.timeout,
                expire: self.timeouts.export_s(hot, None, now),
                ..state
            };
            self.host.update(slot.0, &merged);
        }
        Merged { stale, is_echo: false }
    }

    fn remove(&mut self, slot: Slot) {
        self.forget(slot);
        self.host.remove(slot.0);
    }
}
