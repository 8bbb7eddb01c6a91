//! Memory
//!
//! An engine allocates all its memory in pfplane_engine_new and touches it there, by default as anonymous mappings with huge
//! pages where the system has any, and small blocks from malloc. A host with memory of its own passes these functions in
//! `pfplane_config.allocator`, which a replica uses too, and in `pfplane_election_config.allocator`. Three things come from
//! malloc in any case, and fail with PFPLANE_ERROR_MEMORY like the rest: the peers and the lists of a configuration, frame
//! readers and frame writers.

use super::super::{Failure, PFPLANE_ERROR_SETTING, check_size};
use crate::memory::{Hooks, Memory};
use core::ffi::c_void;

/// The host's allocator, for all memory of an engine, a replica or an election.
///
/// Both functions may be called from any thread between pfplane_engine_new and the end of pfplane_engine_free (of a replica
/// or an election: its own two calls), but never on the packet path.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_allocator {
    /// sizeof(struct pfplane_allocator).
    pub size: u32,
    /// Returns `bytes` bytes aligned to `align` on NUMA node `socket` (-1: any), or `NULL`.
    pub alloc: Option<
        unsafe extern "C" fn(context: *mut c_void, bytes: usize, align: usize, socket: i32) -> *mut c_void,
    >,
    /// Frees what `alloc` returned. `bytes` is the size that was requested.
    pub free: Option<unsafe extern "C" fn(context: *mut c_void, memory: *mut c_void, bytes: usize)>,
    /// Passed to both functions.
    pub context: *mut c_void,
}

impl pfplane_allocator {
    /// The hooks as the core takes them.
    ///
    /// # Safety
    /// The functions do what the struct's comment says.
    pub(in super::super) unsafe fn convert(&self) -> Result<Memory, Failure> {
        check_size::<Self>(self.size, "allocator")?;
        let (Some(alloc), Some(free)) = (self.alloc, self.free) else {
            return Err(Failure::new(PFPLANE_ERROR_SETTING, "allocator needs both alloc and free"));
        };
        // SAFETY: `Hooks::new` requires functions that allocate and free as documented, which this function's caller vouches for.
        Ok(Memory::with_hooks(unsafe { Hooks::new(alloc, free, self.context) }))
    }
}
