//! Replica: the host's table
//!
//! For a host that has its own state table and only wants it replicated: it describes the table with five functions.
//! c-examples/store is a complete example.

use super::super::{
    Failure, PFPLANE_ACTION_UPDATE, PFPLANE_ERROR_EXISTS, PFPLANE_ERROR_SETTING, PFPLANE_OK, check_size,
    pfplane_frame_record, setting,
};
use crate::sync::{HostInsertError, HostTable};
use core::ffi::c_void;
use pfsync::{FullState, Record};

/// A state table of the host's: states in slots below `capacity`, which the host chooses.
///
/// Records are in OpenBSD's conventions (PFPLANE_PROFILE_OPENBSD6). The functions are called during calls on the replica, on the
/// same thread. They must not call the replica themselves.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_store {
    /// sizeof(struct pfplane_store).
    pub size: u32,
    /// Number of slots: 1 to 2^24.
    pub capacity: u32,
    /// Reads the state in `slot` into `record_out->state`, whose fields have their "none" before. `state.expire_s` is the time
    /// left of the full timeout, even where the host shortens timeouts while its table fills; 0 if it is over. Returns
    /// PFPLANE_OK, or PFPLANE_END if the slot is free.
    pub get: Option<
        unsafe extern "C" fn(context: *mut c_void, slot: u32, record_out: *mut pfplane_frame_record) -> i32,
    >,
    /// Inserts a peer's state and reports its slot. Returns PFPLANE_OK; PFPLANE_ERROR_FULL; or PFPLANE_ERROR_EXISTS, with the
    /// slot of the state that has the key.
    pub insert: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            record: *const pfplane_frame_record,
            slot_out: *mut u32,
        ) -> i32,
    >,
    /// Updates the state in `slot` with what a peer knows better: `src`, `dst`, `timeout` and `expire_s`.
    pub update:
        Option<unsafe extern "C" fn(context: *mut c_void, slot: u32, record: *const pfplane_frame_record)>,
    /// Removes the state in `slot`: a peer deleted it, or another state replaces it.
    pub remove: Option<unsafe extern "C" fn(context: *mut c_void, slot: u32)>,
    /// Finds the first state at or after slot `from`, to read the table when the replica is created. Returns PFPLANE_OK, or
    /// PFPLANE_END if there is none.
    pub walk: Option<unsafe extern "C" fn(context: *mut c_void, from: u32, slot_out: *mut u32) -> i32>,
    /// Passed to all functions.
    pub context: *mut c_void,
}

type Get = unsafe extern "C" fn(*mut c_void, u32, *mut pfplane_frame_record) -> i32;
type Insert = unsafe extern "C" fn(*mut c_void, *const pfplane_frame_record, *mut u32) -> i32;
type Update = unsafe extern "C" fn(*mut c_void, u32, *const pfplane_frame_record);
type Remove = unsafe extern "C" fn(*mut c_void, u32);
type Walk = unsafe extern "C" fn(*mut c_void, u32, *mut u32) -> i32;

/// The host's functions, none of them missing.
///
/// They are called with the context that they came with, and with pointers that are valid during the call; this is all that a
/// `pfplane_store` asks of the library.
pub(super) struct Callbacks {
    get: Get,
    insert: Insert,
    update: Update,
    remove: Remove,
    walk: Walk,
    context: *mut c_void,
}

impl pfplane_store {
    /// The functions as replication calls them.
    ///
    /// # Safety
    /// The functions do what the struct's comment says for as long as they are used.
    pub(super) unsafe fn callbacks(&self) -> Result<Callbacks, Failure> {
        check_size::<Self>(self.size, "store")?;
        setting("store.capacity", self.capacity.into(), 1, 1 << 24)?;
        let (Some(get), Some(insert), Some(update)) = (self.get, self.insert, self.update) else {
            return Err(Failure::new(PFPLANE_ERROR_SETTING, "store needs get, insert and update"));
        };
        let (Some(remove), Some(walk)) = (self.remove, self.walk) else {
            return Err(Failure::new(PFPLANE_ERROR_SETTING, "store needs remove and walk"));
        };
        Ok(Callbacks { get, insert, update, remove, walk, context: self.context })
    }
}

fn record_of(state: &FullState) -> pfplane_frame_record {
    let mut record = pfplane_frame_record { action: PFPLANE_ACTION_UPDATE, ..pfplane_frame_record::empty() };
    record.set_state(state);
    record
}

impl HostTable for Callbacks {
    fn get(&self, slot: u32) -> Option<FullState> {
        let mut record = pfplane_frame_record::empty();
        // SAFETY: the host's function, called with its context; it writes the record at most.
        let status = unsafe { (self.get)(self.context, slot, &raw mut record) };
        record.action = PFPLANE_ACTION_UPDATE;
        match record.record() {
            Ok(Record::State(state)) if status == PFPLANE_OK => Some(state),
            _ => None,
        }
    }

    fn insert(&mut self, state: &FullState) -> Result<u32, HostInsertError> {
        let (record, mut slot) = (record_of(state), u32::MAX);
        // SAFETY: the function reads the record and writes the number, and both live until it returns.
        match unsafe { (self.insert)(self.context, &raw const record, &raw mut slot) } {
            PFPLANE_OK => Ok(slot),
            PFPLANE_ERROR_EXISTS => Err(HostInsertError::Key(slot)),
            _ => Err(HostInsertError::Full),
        }
    }

    fn update(&mut self, slot: u32, state: &FullState) {
        let record = record_of(state);
        // SAFETY: the function reads the record, which lives until it returns.
        unsafe { (self.update)(self.context, slot, &raw const record) };
    }

    fn remove(&mut self, slot: u32) {
        // SAFETY: the host's function for this context; it gets no pointer of ours.
        unsafe { (self.remove)(self.context, slot) };
    }

    fn next_from(&self, from: u32) -> Option<(u32, FullState)> {
        let mut slot = u32::MAX;
        // SAFETY: the function writes the number at most.
        let status = unsafe { (self.walk)(self.context, from, &raw mut slot) };
        if status != PFPLANE_OK {
            return None;
        }
        Some((slot, self.get(slot)?))
    }
}
