//! The sources of memory: the host's hooks, or anonymous mappings on huge pages where the system has them.

use super::LINE;
use super::arena::Arena;
use super::array::{FixedArray, Share, bytes_of};
use super::region::Region;
use crate::error::Error;
use core::ffi::c_void;

/// Allocates `size` bytes aligned to `align` (a power of two) on NUMA node `socket` (-1: any). Returns null when it
/// cannot.
pub type AllocHook =
    unsafe extern "C" fn(context: *mut c_void, size: usize, align: usize, socket: i32) -> *mut c_void;

/// Frees memory of the alloc hook; `size` is the size that was requested.
pub type FreeHook = unsafe extern "C" fn(context: *mut c_void, memory: *mut c_void, size: usize);

/// A host's own allocator.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    pub(super) alloc: AllocHook,
    pub(super) free: FreeHook,
    pub(super) context: *mut c_void,
}

// SAFETY: `Hooks::new` demands that the hooks may be called with their context from any thread.
unsafe impl Send for Hooks {}
// SAFETY: as above; the hooks are only called, never changed.
unsafe impl Sync for Hooks {}

impl Hooks {
    /// Makes hooks from two functions and the context that is passed to both.
    ///
    /// # Safety
    /// `alloc` returns null or memory as [`AllocHook`] says, which nobody else uses until it is passed to `free`. Both
    /// may be called with `context` from any thread until the last array allocated with them is dropped.
    #[must_use]
    pub const unsafe fn new(alloc: AllocHook, free: FreeHook, context: *mut c_void) -> Self {
        Self { alloc, free, context }
    }
}

/// A source of memory. Copies share the hooks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub(super) hooks: Option<Hooks>,
}

impl Memory {
    /// Anonymous mappings.
    pub const SYSTEM: Self = Self { hooks: None };

    /// The host's allocator.
    #[must_use]
    pub const fn with_hooks(hooks: Hooks) -> Self {
        Self { hooks: Some(hooks) }
    }

    /// Allocates an array of `length` copies of `value` on NUMA node `socket` (-1: any). `what` names it in errors.
    ///
    /// Thread: any. Cost: touches every page.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; [`Error::Invalid`] when the alloc hook returned misaligned memory.
    pub fn array<T: Copy>(
        &self,
        what: &'static str,
        length: usize,
        value: T,
        socket: i32,
    ) -> Result<FixedArray<T>, Error> {
        self.array_of(what, length, || value, socket)
    }

    /// As [`Self::array`], with values made by `make`.
    ///
    /// # Errors
    /// As [`Self::array`].
    pub fn array_of<T>(
        &self,
        what: &'static str,
        length: usize,
        make: impl Fn() -> T,
        socket: i32,
    ) -> Result<FixedArray<T>, Error> {
        let region = self.region(what, bytes_of::<T>(length), socket)?;
        if !region.base.addr().get().is_multiple_of(LINE) {
            return Err(Error::Invalid { name: "alloc hook", reason: "returned memory that is not aligned" });
        }
        Ok(FixedArray::fill(Share::whole(region), length, make))
    }

    /// Allocates memory on NUMA node `socket` (-1: any) for `arrays` arrays of `bytes` in total. With hooks, each array
    /// is allocated separately when it is made.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn arena(
        &self,
        what: &'static str,
        bytes: usize,
        arrays: usize,
        socket: i32,
    ) -> Result<Arena, Error> {
        let bytes = Arena::bytes_needed(bytes, arrays);
        let region = if self.hooks.is_some() { None } else { Some(self.region(what, bytes, socket)?) };
        Arena::new(*self, socket, region)
    }

    fn region(&self, what: &'static str, bytes: usize, socket: i32) -> Result<Region, Error> {
        Region::allocate(self.hooks, bytes, LINE, socket).ok_or(Error::OutOfMemory { what, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::super::PageMode;
    use super::super::recording::RecordingAllocator;
    use super::*;

    #[test]
    fn hooks_receive_size_alignment_and_socket_and_free_receives_the_same_size() {
        let allocator = RecordingAllocator::default();
        let array = allocator.memory().array("test", 100, 5u32, 3).unwrap();
        assert_eq!(array.page_mode(), PageMode::Hooks);
        assert_eq!(allocator.allocations()[0], (array.as_ptr().addr(), 400, LINE, 3));
        drop(array);
        assert!(allocator.all_freed());
    }

    #[test]
    fn a_failing_hook_is_reported_with_the_size() {
        let allocator = RecordingAllocator::failing_after(0);
        let error = allocator.memory().array("hot records", 100, 5u32, 3).unwrap_err();
        assert_eq!(error, Error::OutOfMemory { what: "hot records", bytes: 400 });
    }

    #[test]
    #[cfg_attr(
        miri,
        ignore = "Miri allocates a mapping from its own memory and aborts when that is too small"
    )]
    fn a_mapping_larger_than_the_address_space_is_an_error() {
        let error = Memory::SYSTEM.array("test", usize::MAX / 2, 0u64, -1).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { what: "test", .. }));
    }

    #[test]
    fn an_unknown_socket_is_ignored() {
        for socket in [-1, 0, 63, 64, i32::MIN, i32::MAX] {
            let array = Memory::SYSTEM.array("test", 1 << 18, 3u32, socket).unwrap();
            assert_eq!(array[1 << 17], 3);
        }
    }

    #[test]
    fn misaligned_memory_from_a_hook_is_refused_and_freed() {
        unsafe extern "C" fn misaligned(context: *mut c_void, _: usize, _: usize, _: i32) -> *mut c_void {
            context.wrapping_byte_add(8)
        }
        unsafe extern "C" fn count(context: *mut c_void, _: *mut c_void, _: usize) {
            // SAFETY: the context is the counter below, which is aligned and alive.
            unsafe { *context.cast::<u64>() += 1 };
        }
        #[repr(align(64))]
        struct Block([u64; 16]);
        let mut block = Block([0; 16]);
        // SAFETY: the memory is inside `block`, which outlives the hooks, and misaligned memory is never used.
        let hooks = unsafe { Hooks::new(misaligned, count, (&raw mut block.0).cast()) };
        assert!(Memory::with_hooks(hooks).array("test", 4, 0u64, -1).is_err());
        assert_eq!(block.0[0], 1);
    }
}
