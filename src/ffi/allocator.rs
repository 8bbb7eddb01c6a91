//! The host's own memory.

use super::{Failure, PFPLANE_ERROR_SETTING, check_size};
use crate::memory::{Hooks, Memory};
use core::ffi::c_void;

/// The host's allocator, for all of an engine's tables.
///
/// Both functions may be called from any thread until pfplane_engine_free returns; never on the packet path.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_allocator {
    /// sizeof(struct pfplane_allocator).
    pub size: u32,
    /// Gives `bytes` bytes aligned to `align` on NUMA node `socket` (-1: any), or `NULL`.
    pub alloc: Option<
        unsafe extern "C" fn(context: *mut c_void, bytes: usize, align: usize, socket: i32) -> *mut c_void,
    >,
    /// Takes back what `alloc` gave, with the size that was asked for.
    pub free: Option<unsafe extern "C" fn(context: *mut c_void, memory: *mut c_void, bytes: usize)>,
    /// Handed to both.
    pub context: *mut c_void,
}

impl pfplane_allocator {
    /// The hooks as the core takes them.
    ///
    /// # Safety
    /// The functions keep the promises of `struct pfplane_allocator`.
    pub(super) unsafe fn convert(&self) -> Result<Memory, Failure> {
        check_size::<Self>(self.size, "allocator")?;
        let (Some(alloc), Some(free)) = (self.alloc, self.free) else {
            return Err(Failure::new(PFPLANE_ERROR_SETTING, "allocator needs both alloc and free"));
        };
        // SAFETY: the caller promises what `Hooks::new` asks for.
        Ok(Memory::with_hooks(unsafe { Hooks::new(alloc, free, self.context) }))
    }
}
