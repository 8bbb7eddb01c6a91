//! States with held packets, from the oldest to the newest, and found by their slot.

use super::packets::Chain;
use crate::error::Error;
use crate::memory::{Heap, List, Map, map_bytes};
use crate::table::Slot;
use crate::time::Nanos;

/// No state.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct State {
    slot: Slot,
    until: Nanos,
    packets: Chain,
    earlier: u32,
    /// The next newer state, or the next free entry.
    later: u32,
}

/// Up to a fixed number of states. Each call takes constant time.
#[derive(Debug)]
pub(super) struct States {
    states: List<State>,
    by_slot: Map<u32, u32>,
    oldest: u32,
    newest: u32,
    free: u32,
}

impl States {
    /// Allocates space for `count` states.
    pub(super) fn new(count: usize, heap: Heap) -> Result<Self, Error> {
        let state = |index: usize| State {
            slot: Slot::NONE,
            until: 0,
            packets: Chain::EMPTY,
            earlier: NONE,
            later: if index + 1 == count { NONE } else { index as u32 + 1 },
        };
        Ok(Self {
            states: heap.list_of("states with held packets", count, state)?,
            by_slot: heap.map("states with held packets", count)?,
            oldest: NONE,
            newest: NONE,
            free: if count == 0 { NONE } else { 0 },
        })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(super) const fn memory_needed(count: usize) -> usize {
        count * size_of::<State>() + map_bytes::<u32, u32>(count)
    }

    /// Returns whether another state can be added.
    pub(super) const fn has_space(&self) -> bool {
        self.free != NONE
    }

    /// Returns the oldest state and the end of its delay.
    pub(super) fn oldest(&self) -> Option<(Slot, Nanos)> {
        self.states.get(self.oldest as usize).map(|state| (state.slot, state.until))
    }

    /// Adds a state without packets, which is not there yet. Returns false if there is no space.
    #[must_use]
    pub(super) fn add(&mut self, slot: Slot, until: Nanos) -> bool {
        let (index, earlier) = (self.free, self.newest);
        let Some(state) = self.states.get_mut(index as usize) else { return false };
        self.free = state.later;
        *state = State { slot, until, packets: Chain::EMPTY, earlier, later: NONE };
        self.newest = index;
        match self.states.get_mut(earlier as usize) {
            Some(state) => state.later = index,
            None => self.oldest = index,
        }
        self.by_slot.insert(slot.0, index);
        true
    }

    /// Returns the packets of a state.
    pub(super) fn packets_mut(&mut self, slot: Slot) -> Option<&mut Chain> {
        let index = *self.by_slot.get(&slot.0)?;
        self.states.get_mut(index as usize).map(|state| &mut state.packets)
    }

    /// Removes a state. Returns its packets.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Chain> {
        let index = self.by_slot.remove(&slot.0)?;
        let free = self.free;
        let state = self.states.get_mut(index as usize)?;
        let State { earlier, later, packets, .. } = *state;
        state.later = free;
        self.free = index;
        match self.states.get_mut(earlier as usize) {
            Some(state) => state.later = later,
            None => self.oldest = later,
        }
        match self.states.get_mut(later as usize) {
            Some(state) => state.earlier = earlier,
            None => self.newest = earlier,
        }
        Some(packets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_leave_in_any_order_and_the_order_of_the_others_stays() {
        for count in [0, 1, 7] {
            let mut states = States::new(count, Heap::SYSTEM).unwrap();
            let mut model: Vec<u32> = Vec::new();
            let bytes = states.by_slot.allocation_size();
            let mut seed = 1u32;
            for step in 0..3000 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let slot = seed >> 16 & 15;
                if model.contains(&slot) {
                    assert!(states.packets_mut(Slot(slot)).is_some());
                    assert!(states.remove(Slot(slot)).is_some());
                    model.retain(|&other| other != slot);
                } else {
                    assert!(states.remove(Slot(slot)).is_none() && states.packets_mut(Slot(slot)).is_none());
                    assert_eq!(states.add(Slot(slot), step), model.len() < count);
                    (0..usize::from(model.len() < count)).for_each(|_| model.push(slot));
                }
                assert_eq!(states.oldest().map(|(slot, _)| slot.0), model.first().copied());
                assert_eq!(states.has_space(), model.len() < count);
            }
            let order = core::iter::from_fn(|| {
                let (slot, _) = states.oldest()?;
                states.remove(slot).map(|_| slot.0)
            });
            assert_eq!(order.collect::<Vec<_>>(), model);
            assert_eq!(states.by_slot.allocation_size(), bytes);
        }
    }
}
