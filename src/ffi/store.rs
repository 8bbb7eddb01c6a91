//! A table of the host's, as replication asks it.

use super::PFPLANE_ACTION_UPDATE;
use super::{
    Failure, PFPLANE_ERROR_EXISTS, PFPLANE_ERROR_SETTING, PFPLANE_OK, check_size, pfplane_frame_record,
};
use crate::sync::{HostInsertError, HostTable};
use core::ffi::c_void;
use pfsync::{FullState, Record};

/// A table of the host's: states at places below `capacity`, which the host chooses.
///
/// Records are pfplane_frame_record in OpenBSD's conventions (PFPLANE_PROFILE_OPENBSD6). The functions are called during calls
/// on the replica, on the same thread, and call nothing of the replica themselves.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_store {
    /// sizeof(struct pfplane_store).
    pub size: u32,
    /// Places: 1 to 2^24.
    pub capacity: u32,
    /// Fills the state at `place` into `record_out->state`, where everything has its "none" before. `state.expire_s` is what
    /// is left of its time, 0 when that is over. PFPLANE_OK, or PFPLANE_END when there is no state.
    pub get: Option<
        unsafe extern "C" fn(context: *mut c_void, place: u32, record_out: *mut pfplane_frame_record) -> i32,
    >,
    /// Takes in a peer's state, and says where. PFPLANE_OK; PFPLANE_ERROR_FULL; PFPLANE_ERROR_EXISTS with the place of the
    /// state that has the key.
    pub put: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            record: *const pfplane_frame_record,
            place_out: *mut u32,
        ) -> i32,
    >,
    /// A peer knows the state at `place` better: `src`, `dst`, `timeout` and `expire_s` are to be taken over.
    pub update:
        Option<unsafe extern "C" fn(context: *mut c_void, place: u32, record: *const pfplane_frame_record)>,
    /// The state at `place` ended, because a peer said so or because another one takes its place.
    pub remove: Option<unsafe extern "C" fn(context: *mut c_void, place: u32)>,
    /// Finds the first state at or behind `from`, for those that there are before the replica is made. PFPLANE_OK, or
    /// PFPLANE_END when there is none.
    pub walk: Option<unsafe extern "C" fn(context: *mut c_void, from: u32, place_out: *mut u32) -> i32>,
    /// Handed to all of them.
    pub context: *mut c_void,
}

type Get = unsafe extern "C" fn(*mut c_void, u32, *mut pfplane_frame_record) -> i32;
type Put = unsafe extern "C" fn(*mut c_void, *const pfplane_frame_record, *mut u32) -> i32;
type Update = unsafe extern "C" fn(*mut c_void, u32, *const pfplane_frame_record);
type Remove = unsafe extern "C" fn(*mut c_void, u32);
type Walk = unsafe extern "C" fn(*mut c_void, u32, *mut u32) -> i32;

/// The host's functions, all of them there.
pub struct Callbacks {
    get: Get,
    put: Put,
    update: Update,
    remove: Remove,
    walk: Walk,
    context: *mut c_void,
}

impl pfplane_store {
    /// The functions as the core takes them.
    ///
    /// # Safety
    /// The functions keep the promises of `struct pfplane_store` for as long as they are used.
    pub(super) unsafe fn callbacks(&self) -> Result<Callbacks, Failure> {
        check_size::<Self>(self.size, "store")?;
        super::config::setting("store.capacity", self.capacity.into(), 1, 1 << 24)?;
        let (Some(get), Some(put), Some(update)) = (self.get, self.put, self.update) else {
            return Err(Failure::new(PFPLANE_ERROR_SETTING, "store needs get, put and update"));
        };
        let (Some(remove), Some(walk)) = (self.remove, self.walk) else {
            return Err(Failure::new(PFPLANE_ERROR_SETTING, "store needs remove and walk"));
        };
        Ok(Callbacks { get, put, update, remove, walk, context: self.context })
    }
}

fn record_of(state: &FullState) -> pfplane_frame_record {
    let mut record = pfplane_frame_record { action: PFPLANE_ACTION_UPDATE, ..pfplane_frame_record::empty() };
    record.set_state(state);
    record
}

impl HostTable for Callbacks {
    fn get(&self, place: u32) -> Option<FullState> {
        let mut record =
            pfplane_frame_record { action: PFPLANE_ACTION_UPDATE, ..pfplane_frame_record::empty() };
        // SAFETY: the host promised a function for this context, which writes into the record at most.
        let status = unsafe { (self.get)(self.context, place, &raw mut record) };
        record.action = PFPLANE_ACTION_UPDATE;
        match record.record() {
            Ok(Record::State(state)) if status == PFPLANE_OK => Some(state),
            _ => None,
        }
    }

    fn insert(&mut self, state: &FullState) -> Result<u32, HostInsertError> {
        let (record, mut place) = (record_of(state), u32::MAX);
        // SAFETY: the host promised a function for this context, which reads the record and writes the number.
        match unsafe { (self.put)(self.context, &raw const record, &raw mut place) } {
            PFPLANE_OK => Ok(place),
            PFPLANE_ERROR_EXISTS => Err(HostInsertError::Key(place)),
            _ => Err(HostInsertError::Full),
        }
    }

    fn update(&mut self, place: u32, state: &FullState) {
        let record = record_of(state);
        // SAFETY: the host promised a function for this context, which reads the record.
        unsafe { (self.update)(self.context, place, &raw const record) };
    }

    fn remove(&mut self, place: u32) {
        // SAFETY: the host promised a function for this context.
        unsafe { (self.remove)(self.context, place) };
    }

    fn next_from(&self, from: u32) -> Option<(u32, FullState)> {
        let mut place = u32::MAX;
        // SAFETY: the host promised a function for this context, which writes the number.
        let status = unsafe { (self.walk)(self.context, from, &raw mut place) };
        if status != PFPLANE_OK {
            return None;
        }
        Some((place, self.get(place)?))
    }
}
