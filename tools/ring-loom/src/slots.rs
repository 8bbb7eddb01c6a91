//! A ring's memory under observation. Loom fails if two threads access one slot without an order between them; a slot fails if
//! it is written while it holds a message, or read while it is empty.

use loom::cell::Cell;

/// All slots of a ring.
#[derive(Debug)]
pub(crate) struct Slots<T>(Box<[Slot<T>]>);

/// One slot, with or without a message.
#[derive(Debug)]
pub(crate) struct Slot<T>(Cell<Option<T>>);

impl<T> Slots<T> {
    /// Builds slots for `capacity` messages.
    #[must_use]
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self((0..capacity).map(|_| Slot(Cell::new(None))).collect())
    }

    /// Returns slot `index`.
    #[must_use]
    pub(crate) const fn add(&self, index: usize) -> &Slot<T> {
        &self.0[index]
    }
}

impl<T> Slot<T> {
    /// Writes a message.
    pub(crate) fn write(&self, message: T) {
        assert!(self.0.replace(Some(message)).is_none(), "a message was overwritten");
    }

    /// Reads the message and empties the slot.
    pub(crate) fn read(&self) -> T {
        self.0.take().expect("a message was read twice, or before it was there")
    }

    /// Drops the message. While a failed check unwinds, it does not fail again.
    pub(crate) fn drop_in_place(&self) {
        let message = self.0.take();
        assert!(message.is_some() || std::thread::panicking(), "a message was dropped twice");
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let is_left = |slot: &Slot<T>| slot.0.take().is_some();
            assert_eq!(
                self.0.iter().filter(|slot| is_left(slot)).count(),
                0,
                "messages were left in a closed ring"
            );
        }
    }
}
