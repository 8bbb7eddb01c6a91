//! A ring's memory, watched: loom fails where two threads reach one slot without an order between them, and a slot fails
//! where it is written while it holds a message, or read while it holds none.

use loom::cell::Cell;

/// All slots of a ring.
#[derive(Debug)]
pub struct Slots<T>(Box<[Slot<T>]>);

/// Room for one message.
#[derive(Debug)]
pub struct Slot<T>(Cell<Option<T>>);

impl<T> Slots<T> {
    /// Room for `capacity` messages.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self((0..capacity).map(|_| Slot(Cell::new(None))).collect())
    }

    /// The slot at a place.
    #[must_use]
    pub const fn add(&self, place: usize) -> &Slot<T> {
        &self.0[place]
    }
}

impl<T> Slot<T> {
    /// Puts a message in.
    pub fn write(&self, message: T) {
        assert!(self.0.replace(Some(message)).is_none(), "a message was overwritten");
    }

    /// Takes the message out.
    pub fn read(&self) -> T {
        self.0.take().expect("a message was read twice, or before it was there")
    }

    /// Drops the message. A check that has failed unwinds through here, and has said enough.
    pub fn drop_in_place(&self) {
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
