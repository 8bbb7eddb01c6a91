//! A table of the host's as a [`Store`]: the contents stay with the host, what replication needs besides is kept here.

use super::import::merge::{self, Stale};
use super::store::Store;
use super::translate::{self, Clock, record_of};
use crate::packet::Key;
use crate::state::{Cold, Hot, IfName, LocalFlags, Record, StateId, Timeouts, Track};
use crate::table::{InsertError, Slot};
use crate::time::Tick;
use hashbrown::HashMap;
use pfsync::{CompressedUpdate, FullState, Profile, StatePeer};
use std::hash::RandomState;

/// States of the host's, each at a place below a capacity. States are in OpenBSD's conventions; the identity is not the
/// host's matter.
pub trait HostTable {
    /// The state at a place; none when there is none any more.
    fn get(&self, place: u32) -> Option<FullState>;
    /// Takes in a peer's state, and says where.
    ///
    /// # Errors
    /// [`HostInsertError`].
    fn insert(&mut self, state: &FullState) -> Result<u32, HostInsertError>;
    /// A peer's view of the state is newer: sides, timeout class and remaining time are to be taken over.
    fn update(&mut self, place: u32, state: &FullState);
    /// The state at a place ended.
    fn remove(&mut self, place: u32);
    /// The first state at or behind a place, and where it is.
    fn next_from(&self, from: u32) -> Option<(u32, FullState)>;
}

/// Why the host took a state not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostInsertError {
    /// There is no room, or the host does not want it.
    Full,
    /// The state at this place has the key.
    Key(u32),
}

/// What replication needs of a state besides its contents.
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
    };
}

/// A table of the host's and what is kept of its states. All memory is had at creation.
pub struct HostStore<T> {
    host: T,
    notes: Box<[Note]>,
    ids: HashMap<StateId, u32, RandomState>,
    end: u32,
    timeouts: Timeouts,
    /// The state whose key the host last refused another one for.
    claimed: Option<Slot>,
    /// The time of the call that is under way.
    pub now: Tick,
}

impl<T: HostTable> HostStore<T> {
    /// For places below `capacity`.
    #[must_use]
    pub fn new(host: T, capacity: u32, timeouts: Timeouts) -> Self {
        let notes = vec![Note::EMPTY; capacity as usize].into_boxed_slice();
        // Twice the entries: below that, hashbrown clears its graves in place instead of growing.
        let ids = HashMap::with_capacity_and_hasher(2 * capacity as usize, RandomState::new());
        Self { host, notes, ids, end: 0, timeouts, claimed: None, now: Tick(0) }
    }

    /// The host's table.
    pub const fn host(&mut self) -> &mut T {
        &mut self.host
    }

    /// Notes a state that the host has made. `false` when the place is beyond the capacity or holds one already, when the
    /// host does not have it, or when the identity is another's.
    #[must_use]
    pub fn adopt(&mut self, place: u32, id: StateId) -> bool {
        let Some(state) = self.host.get(place) else { return false };
        let local = LocalFlags(LocalFlags::LIVE | LocalFlags::LOCAL_TRAFFIC);
        let creation = self.now.minus_seconds(state.creation.min(crate::state::MAX_SECONDS));
        let (pf_flags, proto) = (state.state_flags, state.key[0].proto);
        self.note(place, Note { id, local, creation, pf_flags, proto, ..Note::EMPTY })
    }

    fn note(&mut self, place: u32, note: Note) -> bool {
        let Some(free) = self.notes.get_mut(place as usize) else { return false };
        if free.local.has(LocalFlags::LIVE) || self.ids.contains_key(&note.id) {
            return false;
        }
        *free = note;
        self.ids.insert(note.id, place);
        self.end = self.end.max(place + 1);
        true
    }

    /// Forgets a state that the host has removed.
    pub fn forget(&mut self, slot: Slot) {
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

    /// How many local changes of a state were on their way to peers so far.
    #[must_use]
    pub fn version(&self, slot: Slot) -> u32 {
        self.notes[slot.0 as usize].version
    }
}

impl<T: HostTable> Store for HostStore<T> {
    fn local(&self, slot: Slot) -> LocalFlags {
        self.notes[slot.0 as usize].local
    }

    fn local_mut(&mut self, slot: Slot) -> &mut LocalFlags {
        &mut self.notes[slot.0 as usize].local
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
        self.claimed.filter(|&slot| self.is_live(slot))
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

    fn full_state(&self, slot: Slot, _: &Clock<'_>, profile: Profile) -> Option<FullState> {
        let state = self.get(slot).filter(|state| state.expire > 0 && can_be_said(state, profile))?;
        let lifetime = self.timeouts.get(state.timeout).max(1);
        let state = FullState { expire: state.expire.min(lifetime), ..state };
        Some(translate::for_profile(state, profile))
    }

    fn compressed(&self, slot: Slot, profile: Profile) -> Option<CompressedUpdate> {
        let state = self.get(slot).filter(|state| can_be_said(state, profile))?;
        let FullState { id, src, dst, timeout, .. } = state;
        Some(CompressedUpdate { id, src, dst, expire: 0, timeout: translate::class_for(timeout, profile) })
    }

    fn record(&self, slot: Slot) -> Record {
        let note = &self.notes[slot.0 as usize];
        let Some(state) = self.get(slot) else {
            // The host has lost it without a word.
            return Record { hot: Hot::EMPTY, track: Track::default(), cold: Cold::EMPTY };
        };
        let mut record = record_of(&state, &self.timeouts, self.now, note.origin_peer);
        if state.expire == 0 {
            // To a receiver that is a fresh life; here it is the end of one.
            let lifetime = self.timeouts.get(state.timeout);
            record.hot.last_activity = self.now.minus_seconds(lifetime.min(crate::state::MAX_SECONDS));
        }
        record.hot.local = note.local;
        record
    }

    fn insert(&mut self, record: &Record) -> Result<Slot, InsertError> {
        let Record { hot, track, cold } = record;
        if let Some(slot) = self.find_id(cold.id) {
            return Err(InsertError::Id(slot));
        }
        let expire = self.timeouts.remaining_s(hot, None, cold.network_update, 0).max(1);
        let state = translate::ours(hot, track, cold, cold.network_update, expire);
        let place = match self.host.insert(&state) {
            Ok(place) => place,
            Err(HostInsertError::Key(place)) if self.is_live(Slot(place)) => {
                self.claimed = Some(Slot(place));
                return Err(InsertError::Key(Slot(place)));
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
        // A place that cannot be is a defect of the host: its state is not replicated.
        if self.note(place, note) { Ok(Slot(place)) } else { Err(InsertError::Full) }
    }

    fn merge(&mut self, slot: Slot, src: &StatePeer, dst: &StatePeer, timeout: u8, now: Tick) -> Stale {
        let Some(state) = self.get(slot) else { return Stale { src: true, dst: true } };
        let mut record = record_of(&state, &self.timeouts, now, 0);
        let Record { hot, track, .. } = &mut record;
        let stale = merge::merge(hot, track, src, dst);
        if stale.sides() < 2 {
            let timeout = merge::class_after(stale, hot, timeout);
            let merged = FullState {
                src: translate::state_peer(&track.src, hot.peer_state[0]),
                dst: translate::state_peer(&track.dst, hot.peer_state[1]),
                timeout,
                expire: self.timeouts.get(timeout),
                ..state
            };
            self.host.update(slot.0, &merged);
        }
        self.notes[slot.0 as usize].network_update = now;
        stale
    }

    fn remove(&mut self, slot: Slot) {
        self.forget(slot);
        self.host.remove(slot.0);
    }
}

fn can_be_said(state: &FullState, profile: Profile) -> bool {
    state.key[0].family == state.key[1].family || translate::carries_two_families(profile)
}
