//! The memory of a channel.

use super::heap::{Heap, List};
use crate::error::Error;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

/// Slots that two threads use in turn.
#[derive(Debug)]
pub(super) struct Slots<T>(List<UnsafeCell<MaybeUninit<T>>>);

// SAFETY: `read` and `write` demand that their callers order the threads' accesses; values move from thread to thread.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T: Copy> Slots<T> {
    pub(super) fn new(heap: Heap, what: &'static str, capacity: usize) -> Result<Self, Error> {
        Ok(Self(heap.list_of(what, capacity, |_| UnsafeCell::new(MaybeUninit::uninit()))?))
    }

    /// Writes a value.
    ///
    /// # Safety
    /// No other thread uses the slot during the call.
    pub(super) unsafe fn write(&self, index: usize, value: T) {
        // SAFETY: the slot is this call's.
        unsafe { *self.0[index].get() = MaybeUninit::new(value) };
    }

    /// Reads the value.
    ///
    /// # Safety
    /// The slot was written before, and no other thread writes it during the call.
    pub(super) unsafe fn read(&self, index: usize) -> T {
        // SAFETY: the slot is not written during the call.
        let slot = unsafe { *self.0[index].get() };
        // SAFETY: it was written before.
        unsafe { slot.assume_init() }
    }
}
