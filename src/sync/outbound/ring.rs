//! A bounded first-in-first-out ring whose memory is had at creation.

/// Holds up to a fixed number of items.
#[derive(Debug)]
pub(in crate::sync) struct Ring<T> {
    items: Box<[T]>,
    first: usize,
    len: usize,
}

impl<T: Copy + Default> Ring<T> {
    /// A ring for `capacity` items.
    pub fn new(capacity: usize) -> Self {
        Self { items: vec![T::default(); capacity].into_boxed_slice(), first: 0, len: 0 }
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub const fn room(&self) -> usize {
        self.items.len() - self.len
    }

    /// Adds an item behind the others; `false` when there is no room.
    #[must_use]
    pub fn push(&mut self, item: T) -> bool {
        if self.room() == 0 {
            return false;
        }
        let at = self.place(self.len);
        self.items[at] = item;
        self.len += 1;
        true
    }

    pub fn front(&self) -> Option<&T> {
        if self.len == 0 { None } else { self.items.get(self.first) }
    }

    pub fn pop(&mut self) -> Option<T> {
        let item = *self.front()?;
        self.first = self.place(1);
        self.len -= 1;
        Some(item)
    }

    const fn place(&self, offset: usize) -> usize {
        let at = self.first + offset;
        if at >= self.items.len() { at - self.items.len() } else { at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_and_no_more_than_fits() {
        let mut ring = Ring::new(3);
        for round in 0..5 {
            assert!(ring.push(round) && ring.push(round + 10) && ring.push(round + 20));
            assert!(!ring.push(99));
            assert_eq!((ring.len(), ring.room()), (3, 0));
            assert_eq!(ring.pop(), Some(round));
            assert!(ring.push(round + 30));
            assert_eq!([ring.pop(), ring.pop(), ring.pop()], [10, 20, 30].map(|more| Some(round + more)));
            assert_eq!(ring.pop(), None);
        }
    }

    #[test]
    fn a_ring_for_nothing_takes_nothing() {
        let mut ring = Ring::new(0);
        assert!(!ring.push(1));
        assert_eq!(ring.pop(), None);
    }
}
