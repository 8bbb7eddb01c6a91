//! A ring's memory under observation. Loom fails if two threads access one slot without an order between them; a slot fails if
//! it is written while it holds a message, or read while it is empty.

use loom::cell::Cell;
use pfplane::internals::error::Error;
use pfplane::internals::memory::Heap;

/// All slots of a ring, each with or without a message.
#[derive(Debug)]
pub(crate) struct Slots<T>(Box<[Cell<Option<T>>]>);

// SAFETY: loom runs one thread at a time, and reports accesses that are not ordered.
unsafe impl<T: Send> Sync for Slots<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Slots<T> {}

impl<T> Slots<T> {
    /// Builds slots for `capacity` messages.
    pub(crate) fn new(_: Heap, _: &'static str, capacity: usize) -> Result<Self, Error> {
        Ok(Self((0..capacity).map(|_| Cell::new(None)).collect()))
    }

    /// Writes a message.
    ///
    /// # Safety
    /// None is needed here: the order of accesses is observed.
    pub(crate) unsafe fn write(&self, index: usize, message: T) {
        assert!(self.0[index].replace(Some(message)).is_none(), "a message was overwritten");
    }

    /// Reads the message and empties the slot.
    ///
    /// # Safety
    /// As for [`Self::write`].
    pub(crate) unsafe fn read(&self, index: usize) -> T {
        self.0[index].take().expect("a message was read twice, or before it was there")
    }
}
