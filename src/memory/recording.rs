//! An allocator for tests that records every call.

use super::{Hooks, LINE, Memory};
use core::ffi::c_void;
use core::ptr;
use std::alloc::{Layout, alloc, dealloc};
use std::sync::Mutex;

/// Address, size, alignment, socket.
type Allocation = (usize, usize, usize, i32);

/// Allocates from the global allocator and records what is allocated and freed.
#[derive(Default)]
pub(crate) struct RecordingAllocator {
    allocated: Mutex<Vec<Allocation>>,
    freed: Mutex<Vec<(usize, usize)>>,
    max_allocations: Option<usize>,
}

impl RecordingAllocator {
    /// Fails after `count` allocations.
    pub(crate) fn failing_after(count: usize) -> Self {
        Self { max_allocations: Some(count), ..Self::default() }
    }

    /// A memory that uses this allocator, which must outlive all arrays.
    pub(crate) fn memory(&self) -> Memory {
        // SAFETY: both hooks only lock the records, which the tests keep until all arrays are dropped; the memory is the
        // global allocator's.
        let hooks = unsafe { Hooks::new(allocate, free, ptr::from_ref(self).cast_mut().cast()) };
        Memory::with_hooks(hooks)
    }

    /// Returns all allocations so far.
    pub(crate) fn allocations(&self) -> Vec<Allocation> {
        self.allocated.lock().unwrap().clone()
    }

    /// Returns the sum of their sizes.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.allocations().iter().map(|&(_, size, ..)| size).sum()
    }

    /// Whether every allocation was freed once, with its size.
    pub(crate) fn all_freed(&self) -> bool {
        let mut allocated: Vec<_> =
            self.allocations().iter().map(|&(address, size, ..)| (address, size)).collect();
        let mut freed = self.freed.lock().unwrap().clone();
        allocated.sort_unstable();
        freed.sort_unstable();
        allocated == freed
    }
}

unsafe extern "C" fn allocate(context: *mut c_void, size: usize, align: usize, socket: i32) -> *mut c_void {
    // SAFETY: the context is the allocator, see `RecordingAllocator::memory`.
    let recorder = unsafe { &*context.cast::<RecordingAllocator>() };
    let mut allocated = recorder.allocated.lock().unwrap();
    if recorder.max_allocations.is_some_and(|max| allocated.len() >= max) {
        return ptr::null_mut();
    }
    // SAFETY: the size is not zero.
    let memory = unsafe { alloc(Layout::from_size_align(size, align).unwrap()) };
    allocated.push((memory.addr(), size, align, socket));
    memory.cast()
}

unsafe extern "C" fn free(context: *mut c_void, memory: *mut c_void, size: usize) {
    // SAFETY: the context is the allocator, see `RecordingAllocator::memory`.
    let recorder = unsafe { &*context.cast::<RecordingAllocator>() };
    recorder.freed.lock().unwrap().push((memory.addr(), size));
    let is_block = |&&(address, ..): &&Allocation| address == memory.addr();
    let align = recorder.allocated.lock().unwrap().iter().rev().find(is_block).map_or(LINE, |block| block.2);
    // SAFETY: it came from `allocate`, which used the same layout.
    unsafe { dealloc(memory.cast(), Layout::from_size_align(size, align).unwrap()) };
}
