//! Finds the states of a lane that elements stand for, a few slots a call.

use super::marks::{Sent, Taken};
use super::{MAX_DIFFERENCES, Origin, SLOTS_PER_CALL, element};
use crate::error::Error;
use crate::memory::{Heap, List, Owned};
use crate::sync::store::Store;
use crate::table::Slot;
use pfsync::Elements;

const FILTER_WORDS: usize = 128;

/// Slots with marks.
pub(super) trait Marked {
    /// Returns the first one from `from` on and before `end`.
    fn next_marked(&self, of: Origin, from: u32, end: u32) -> Option<Slot>;
    /// Returns the number of all slots.
    fn slots(&self) -> u32;
}

impl Marked for Sent {
    fn next_marked(&self, _: Origin, from: u32, end: u32) -> Option<Slot> {
        self.next(from, end)
    }

    fn slots(&self) -> u32 {
        self.slot_count()
    }
}

impl Marked for Taken {
    fn next_marked(&self, of: Origin, from: u32, end: u32) -> Option<Slot> {
        self.next(of, from, end)
    }

    fn slots(&self) -> u32 {
        self.slot_count()
    }
}

/// Elements that are looked for.
#[derive(Debug)]
pub(in crate::sync) struct Finder {
    of: Origin,
    elements: List<u64>,
    /// A bit for each value of an element's low bits that one of them has.
    filter: Owned<[u64; FILTER_WORDS]>,
    at: u32,
}

const fn filter_bit(element: u64) -> (usize, u64) {
    (element as usize / 64 % FILTER_WORDS, 1 << (element % 64))
}

impl Finder {
    pub(super) fn new(is_active: bool, heap: Heap) -> Result<Self, Error> {
        let elements = heap.list("elements of states", if is_active { MAX_DIFFERENCES } else { 0 })?;
        Ok(Self { of: Origin::NONE, elements, filter: heap.zeroed("a filter of states")?, at: 0 })
    }

    pub(super) const fn memory_needed(is_active: bool) -> usize {
        let elements = if is_active { MAX_DIFFERENCES } else { 0 };
        (FILTER_WORDS + elements) * size_of::<u64>()
    }

    /// Returns whose states are looked for; `None` if none are.
    pub(super) fn of(&self) -> Option<Origin> {
        (!self.elements.is_empty()).then_some(self.of)
    }

    /// Looks for more elements. What does not fit, or is another's, is found missing again.
    pub(super) fn add(&mut self, of: Origin, elements: &Elements) {
        if self.elements.is_empty() {
            self.of = of;
        }
        if self.of != of {
            return;
        }
        for element in elements.iter().take(MAX_DIFFERENCES - self.elements.len()) {
            self.elements.push(element);
            let (word, bit) = filter_bit(element);
            self.filter[word] |= bit;
        }
        self.at = 0;
    }

    /// Returns the next state that is found among the next slots.
    pub(super) fn step(
        &mut self,
        marked: &impl Marked,
        table: &impl Store,
        budget: &mut u32,
    ) -> Option<Slot> {
        while *budget > 0 && !self.elements.is_empty() {
            let end = self.at.saturating_add(*budget);
            match marked.next_marked(self.of, self.at, end) {
                Some(slot) => {
                    *budget -= (slot.0 + 1 - self.at).min(*budget);
                    self.at = slot.0 + 1;
                    if self.take(element(table.id(slot))) {
                        return Some(slot);
                    }
                }
                None => {
                    *budget = 0;
                    self.at = end;
                }
            }
            if self.at >= marked.slots() {
                self.elements.clear();
                self.filter.fill(0);
            }
        }
        None
    }

    fn take(&mut self, element: u64) -> bool {
        let (word, bit) = filter_bit(element);
        if self.filter[word] & bit == 0 {
            return false;
        }
        let found = self.elements.iter().position(|&other| other == element);
        found.map(|index| self.elements.swap_remove(index)).is_some()
    }

    /// Returns how many slots one call examines.
    pub(in crate::sync) const fn budget() -> u32 {
        SLOTS_PER_CALL
    }
}
