//! Where a table's memory comes from: the host's hooks, or anonymous mappings with huge pages where there are any.
//!
//! Everything is handed out as a [`FixedArray`], which owns its memory or a share of it,
//! is filled when it is made (so that no page is touched for the first time on the packet path) and never grows. Arrays of
//! one owner share a mapping through an [`Arena`], so that only its end is rounded up to a whole huge page.

use super::mapping::{HUGE_PAGE, Region};
use super::pages::PageMode;
use crate::error::Error;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use std::sync::Arc;

/// Gives memory: `size` bytes aligned to `align` (a power of two) on NUMA node `socket` (-1: any), or null.
pub type AllocHook =
    unsafe extern "C" fn(context: *mut c_void, size: usize, align: usize, socket: i32) -> *mut c_void;

/// Takes back what the alloc hook gave, with the size that was asked for.
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
// SAFETY: as above; the hooks are only ever called, never changed.
unsafe impl Sync for Hooks {}

impl Hooks {
    /// Hooks from two functions and a pointer that is handed to both.
    ///
    /// # Safety
    /// `alloc` returns null or memory as [`AllocHook`] says, which nobody else uses until `free` gets it back. Both may
    /// be called with `context` from any thread until the last array made with them is gone.
    #[must_use]
    pub const unsafe fn new(alloc: AllocHook, free: FreeHook, context: *mut c_void) -> Self {
        Self { alloc, free, context }
    }
}

/// A source of memory. Copies share the hooks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    hooks: Option<Hooks>,
}

/// Every array starts on a cache line.
pub(super) const LINE: usize = 64;
/// In an arena on a pair of lines, which many processors fetch together.
const PAIR: usize = 2 * LINE;
impl Memory {
    /// Anonymous mappings.
    pub const SYSTEM: Self = Self { hooks: None };

    /// The host's allocator.
    #[must_use]
    pub const fn with_hooks(hooks: Hooks) -> Self {
        Self { hooks: Some(hooks) }
    }

    /// An array of `length` copies of `value` on NUMA node `socket` (-1: any). `what` names it in errors.
    ///
    /// Thread: any. Cost: every page is touched.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; [`Error::Unusable`] when the alloc hook gave memory that is not aligned.
    pub fn array<T: Copy>(
        &self,
        what: &'static str,
        length: usize,
        value: T,
        socket: i32,
    ) -> Result<FixedArray<T>, Error> {
        self.array_of(what, length, || value, socket)
    }

    /// As [`Self::array`], of values that `make` gives.
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
        let bytes = bytes_of::<T>(length);
        let region = Region::new(self.hooks, bytes, socket).ok_or(Error::OutOfMemory { what, bytes })?;
        if !region.base.addr().get().is_multiple_of(LINE) {
            return Err(Error::Unusable { name: "alloc hook", why: "gave memory that is not aligned" });
        }
        let bytes = region.bytes;
        Ok(FixedArray::fill(Share { region: Arc::new(region), offset: 0, bytes }, length, make))
    }

    /// Room on NUMA node `socket` (-1: any) for arrays of `bytes` together, `arrays` of them. With hooks each of them is
    /// asked for by itself.
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
        let bytes = bytes.saturating_add(arrays * PAIR);
        let region = match self.hooks {
            Some(_) => None,
            None => Some(Region::new(self.hooks, bytes, socket).ok_or(Error::OutOfMemory { what, bytes })?),
        };
        Ok(Arena { memory: *self, socket, region: region.map(Arc::new), used: 0, apart: 0 })
    }
}

/// Room for several arrays that live and end together.
#[derive(Debug)]
pub struct Arena {
    memory: Memory,
    socket: i32,
    region: Option<Arc<Region>>,
    used: usize,
    /// Bytes of arrays that have memory of their own.
    apart: usize,
}

impl Arena {
    /// As [`Memory::array`], out of this room; by itself where there is none left.
    ///
    /// # Errors
    /// As [`Memory::array`].
    pub fn array<T: Copy>(
        &mut self,
        what: &'static str,
        length: usize,
        value: T,
    ) -> Result<FixedArray<T>, Error> {
        if let Some(share) = self.share(bytes_of::<T>(length)) {
            return Ok(FixedArray::fill(share, length, || value));
        }
        let array = self.memory.array(what, length, value, self.socket)?;
        self.apart += array.bytes();
        Ok(array)
    }

    /// The next `bytes` of the room.
    fn share(&mut self, bytes: usize) -> Option<Share> {
        let (region, offset) = (self.region.as_ref()?, self.used);
        let bytes = bytes.next_multiple_of(PAIR);
        if bytes > region.bytes - offset {
            return None;
        }
        self.used += bytes;
        Some(Share { region: region.clone(), offset, bytes })
    }

    /// Bytes that the room and what is apart from it take, rounding included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.apart + self.region.as_ref().map_or(0, |region| region.bytes)
    }
}

/// What an array of `length` values asks the hooks for, in bytes.
pub(super) const fn bytes_of<T>(length: usize) -> usize {
    match length.checked_mul(size_of::<T>()) {
        Some(0) => LINE,
        Some(bytes) if bytes <= isize::MAX as usize - 2 * HUGE_PAGE => bytes,
        _ => isize::MAX as usize - 2 * HUGE_PAGE,
    }
}

/// A part of a region that is one array's alone; `offset + bytes` is within the region.
struct Share {
    region: Arc<Region>,
    offset: usize,
    bytes: usize,
}

/// Values in memory of a [`Memory`]; the length is fixed, and the memory goes back on drop.
#[derive(Debug)]
pub struct FixedArray<T> {
    pointer: NonNull<T>,
    length: usize,
    /// Keeps the memory.
    _region: Arc<Region>,
    bytes: usize,
    page_mode: PageMode,
}

// SAFETY: the array owns its values and its memory as a vector does.
unsafe impl<T: Send> Send for FixedArray<T> {}
// SAFETY: a shared array gives out shared values only.
unsafe impl<T: Sync> Sync for FixedArray<T> {}

impl<T> FixedArray<T> {
    fn fill(share: Share, length: usize, make: impl Fn() -> T) -> Self {
        const { assert!(align_of::<T>() <= LINE && size_of::<T>() > 0 && !core::mem::needs_drop::<T>()) };
        let Share { region, offset, bytes } = share;
        assert!(bytes_of::<T>(length) <= bytes && bytes <= region.bytes - offset);
        // SAFETY: the offset is within the region (just checked), which is one allocation.
        let pointer = unsafe { region.base.add(offset) }.cast::<T>();
        // SAFETY: the share has room for `length` values (just checked), begins on a line, which aligns them, and belongs to
        // us alone; `MaybeUninit` needs no initial value.
        let places =
            unsafe { core::slice::from_raw_parts_mut(pointer.cast::<MaybeUninit<T>>().as_ptr(), length) };
        for place in places {
            place.write(make());
        }
        let page_mode = region.page_mode();
        Self { pointer, length, _region: region, bytes, page_mode }
    }

    /// The pages that the memory is made of, as found after it was first touched.
    #[must_use]
    pub const fn page_mode(&self) -> PageMode {
        self.page_mode
    }

    /// Bytes that the memory takes, rounding included; in an arena, the array's share of it.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<T> Deref for FixedArray<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `length` values were written when the array was made, and they live as long as it does.
        unsafe { core::slice::from_raw_parts(self.pointer.as_ptr(), self.length) }
    }
}

impl<T> DerefMut for FixedArray<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`, and the array is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.length) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use core::ptr;
    use std::alloc::{Layout, alloc, dealloc};
    use std::sync::Mutex;

    /// Hooks that write down what they are asked.
    #[derive(Default)]
    pub struct Ledger {
        pub given: Mutex<Vec<(usize, usize, usize, i32)>>,
        pub returned: Mutex<Vec<(usize, usize)>>,
        pub allowed: Option<usize>,
    }

    impl Ledger {
        pub fn memory(&self) -> Memory {
            // SAFETY: both hooks only lock the ledger, which the tests keep until all arrays are gone, and the
            // memory is the global allocator's.
            let hooks = unsafe { Hooks::new(give, take, ptr::from_ref(self).cast_mut().cast()) };
            Memory::with_hooks(hooks)
        }

        /// Everything that was given came back once, with its size.
        pub fn is_balanced(&self) -> bool {
            let mut given: Vec<_> =
                self.given.lock().unwrap().iter().map(|&(at, size, ..)| (at, size)).collect();
            let mut returned = self.returned.lock().unwrap().clone();
            given.sort_unstable();
            returned.sort_unstable();
            given == returned
        }
    }

    unsafe extern "C" fn give(context: *mut c_void, size: usize, align: usize, socket: i32) -> *mut c_void {
        // SAFETY: the context is the ledger, see `Ledger::memory`.
        let ledger = unsafe { &*context.cast::<Ledger>() };
        let mut given = ledger.given.lock().unwrap();
        if ledger.allowed.is_some_and(|allowed| given.len() >= allowed) {
            return ptr::null_mut();
        }
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc(Layout::from_size_align(size, align).unwrap()) };
        given.push((memory.addr(), size, align, socket));
        memory.cast()
    }

    unsafe extern "C" fn take(context: *mut c_void, memory: *mut c_void, size: usize) {
        // SAFETY: the context is the ledger, see `Ledger::memory`.
        let ledger = unsafe { &*context.cast::<Ledger>() };
        ledger.returned.lock().unwrap().push((memory.addr(), size));
        // SAFETY: it came from `give`, which used the same layout.
        unsafe { dealloc(memory.cast(), Layout::from_size_align(size, LINE).unwrap()) };
    }

    #[test]
    fn mapped_arrays_hold_their_values_and_start_on_a_line() {
        for length in [0, 1, 1000, 300_000] {
            let mut array = Memory::SYSTEM.array("test", length, 7u64, -1).unwrap();
            assert_eq!(array.len(), length);
            assert!(array.iter().all(|&value| value == 7));
            if let Some(last) = array.last_mut() {
                *last = 8;
            }
            assert_eq!(array.as_ptr().addr() % LINE, 0);
            assert!(array.bytes() >= 8 * length && array.bytes() <= 8 * length + HUGE_PAGE);
        }
    }

    #[test]
    fn arrays_of_one_arena_lie_apart_and_outlive_it() {
        for lengths in [[3, 5], [100_000, 300_000]] {
            let bytes = bytes_of::<u64>(lengths[0]) + bytes_of::<u32>(lengths[1]);
            let mut arena = Memory::SYSTEM.arena("test", bytes, 2, -1).unwrap();
            let mut first = arena.array("first", lengths[0], 7u64).unwrap();
            let second = arena.array("second", lengths[1], 9u32).unwrap();
            assert!(arena.bytes() >= bytes && arena.bytes() < bytes + 2 * PAIR + HUGE_PAGE);
            assert!(first.bytes() + second.bytes() <= arena.bytes());
            drop(arena);
            assert_eq!((first.as_ptr().addr() % PAIR, second.as_ptr().addr() % PAIR), (0, 0));
            first.fill(u64::MAX);
            assert!(second.len() == lengths[1] && second.iter().all(|&value| value == 9));
            drop(second);
            assert!(first.iter().all(|&value| value == u64::MAX));
        }
    }

    #[test]
    fn an_arena_that_is_used_up_goes_on_with_memory_of_its_own() {
        let mut arena = Memory::SYSTEM.arena("test", 64, 1, -1).unwrap();
        let arrays: Vec<_> = (0..50).map(|n| arena.array("test", 100, n).unwrap()).collect();
        assert!(arrays.iter().zip(0..).all(|(array, n)| array.iter().all(|&value| value == n)));
        assert!(arena.bytes() >= arrays.iter().map(FixedArray::bytes).sum());
    }

    #[test]
    fn an_arena_of_hooks_asks_them_for_each_array() {
        let ledger = Ledger::default();
        let mut arena = ledger.memory().arena("test", 1000, 2, 1).unwrap();
        let arrays = (arena.array("one", 10, 1u32).unwrap(), arena.array("other", 20, 2u64).unwrap());
        assert_eq!(arena.bytes(), 40 + 160);
        let asked: Vec<usize> = ledger.given.lock().unwrap().iter().map(|&(_, size, ..)| size).collect();
        assert_eq!(asked, [40, 160]);
        drop(arrays);
        assert!(ledger.is_balanced());
    }

    #[test]
    fn a_socket_that_does_not_exist_is_no_obstacle() {
        for socket in [-1, 0, 63, 64, i32::MIN, i32::MAX] {
            let array = Memory::SYSTEM.array("test", 1 << 18, 3u32, socket).unwrap();
            assert_eq!(array[1 << 17], 3);
        }
    }

    #[test]
    fn large_arrays_report_a_page_mode_that_a_mapping_can_have() {
        let array = Memory::SYSTEM.array("test", 4 << 20, 1u8, -1).unwrap();
        assert_ne!(array.page_mode(), PageMode::Hooks);
        assert_eq!(array.as_ptr().addr() % HUGE_PAGE, 0);
    }

    #[test]
    fn hooks_get_size_alignment_and_socket_and_everything_back() {
        let ledger = Ledger::default();
        let array = ledger.memory().array("test", 100, 5u32, 3).unwrap();
        assert_eq!(array.page_mode(), PageMode::Hooks);
        assert_eq!(ledger.given.lock().unwrap()[0], (array.as_ptr().addr(), 400, LINE, 3));
        drop(array);
        assert!(ledger.is_balanced());
    }

    #[test]
    fn a_hook_that_gives_nothing_is_an_error_with_the_size() {
        let ledger = Ledger { allowed: Some(0), ..Ledger::default() };
        let error = ledger.memory().array("hot records", 100, 5u32, 3).unwrap_err();
        assert_eq!(error, Error::OutOfMemory { what: "hot records", bytes: 400 });
    }

    #[test]
    fn more_than_there_is_is_an_error() {
        let error = Memory::SYSTEM.array("test", usize::MAX / 2, 0u64, -1).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { what: "test", .. }));
    }

    #[test]
    fn misaligned_memory_from_a_hook_is_refused_and_given_back() {
        unsafe extern "C" fn crooked(context: *mut c_void, _: usize, _: usize, _: i32) -> *mut c_void {
            context.wrapping_byte_add(8)
        }
        unsafe extern "C" fn count(context: *mut c_void, _: *mut c_void, _: usize) {
            // SAFETY: the context is the counter below, which is aligned and alive.
            unsafe { *context.cast::<u64>() += 1 };
        }
        #[repr(align(64))]
        struct Place([u64; 16]);
        let mut place = Place([0; 16]);
        // SAFETY: the memory is inside `place`, which is alive, and only refused memory is ever given.
        let hooks = unsafe { Hooks::new(crooked, count, (&raw mut place.0).cast()) };
        assert!(Memory::with_hooks(hooks).array("test", 4, 0u64, -1).is_err());
        assert_eq!(place.0[0], 1);
    }
}
