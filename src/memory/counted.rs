//! A value with several owners: `Arc`, whose memory comes from a [`Heap`] and whose creation can fail.

use super::heap::{Heap, Owned};
use crate::error::Error;
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};
use zerocopy::FromZeros;

struct Inner<T> {
    owners: AtomicUsize,
    heap: Heap,
    value: T,
}

/// One owner of a value. The last one frees it.
pub struct Counted<T>(NonNull<Inner<T>>);

// SAFETY: owners share the value, and the last one drops it, on whatever threads they are.
unsafe impl<T: Send + Sync> Send for Counted<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Counted<T> {}

impl<T> Counted<T> {
    /// Allocates a value. `what` names it in errors.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(heap: Heap, what: &'static str, value: T) -> Result<Self, Error> {
        Ok(Self::from_inner(heap.owned(what, Inner { owners: AtomicUsize::new(1), heap, value })?))
    }

    /// Allocates a value whose bytes are all zero, which `fill` completes in place. It does not pass through its caller's stack.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], and those of `fill`.
    pub fn filled(
        heap: Heap,
        what: &'static str,
        fill: impl FnOnce(&mut T) -> Result<(), Error>,
    ) -> Result<Self, Error>
    where
        T: FromZeros,
    {
        let mut inner = heap.zeroed_memory::<Inner<T>>(what)?;
        let address = inner.as_mut_ptr();
        // SAFETY: the address of a field of the block.
        let owners = unsafe { &raw mut (*address).owners };
        // SAFETY: the block is ours, and aligned for its fields.
        unsafe { owners.write(AtomicUsize::new(1)) };
        // SAFETY: as above.
        let own_heap = unsafe { &raw mut (*address).heap };
        // SAFETY: as above.
        unsafe { own_heap.write(heap) };
        // SAFETY: two fields were written, and the bytes of the third are zero, which `FromZeros` says is a value of its type.
        let mut inner = unsafe { inner.assume_init() };
        fill(&mut inner.value)?;
        Ok(Self::from_inner(inner))
    }

    fn from_inner(inner: Owned<Inner<T>>) -> Self {
        let (pointer, _) = Owned::into_raw_with_allocator(inner);
        // SAFETY: a box's pointer is not null.
        Self(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    #[must_use]
    pub const fn bytes() -> usize {
        size_of::<Inner<T>>()
    }

    const fn inner(&self) -> &Inner<T> {
        // SAFETY: the value lives while it has an owner, and is only shared.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T> Clone for Counted<T> {
    fn clone(&self) -> Self {
        // The new owner exists because of this one, so nothing has to be ordered.
        self.inner().owners.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        if self.inner().owners.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // Whatever other owners did with the value happened before it is dropped.
        fence(Ordering::Acquire);
        let heap = self.inner().heap;
        // SAFETY: the pointer came from a box of this heap, and this was its last owner.
        drop(unsafe { Owned::from_raw_in(self.0.as_ptr(), heap) });
    }
}

impl<T: fmt::Debug> fmt::Debug for Counted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recording::RecordingAllocator;
    use super::*;
    use std::thread;

    #[test]
    fn the_last_owner_frees_the_value() {
        let allocator = RecordingAllocator::default();
        let heap = Heap::new(allocator.memory(), -1);
        let first = Counted::new(heap, "a value", vec![1, 2, 3]).unwrap();
        assert_eq!(allocator.allocated_bytes(), Counted::<Vec<i32>>::bytes());
        let owners: Vec<_> = (0..8).map(|_| first.clone()).collect();
        thread::scope(|scope| {
            for owner in owners {
                scope.spawn(move || assert_eq!(**owner, [1, 2, 3]));
            }
        });
        assert!(!allocator.all_freed());
        drop(first);
        assert!(allocator.all_freed());
    }
}
