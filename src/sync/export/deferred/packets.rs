//! Handles of held packets, in chains: a pool of fixed size.

use crate::error::Error;
use crate::memory::{Heap, List};

/// No packet.
const NONE: u32 = u32::MAX;

/// Handles in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    first: u32,
    last: u32,
}

impl Chain {
    pub(super) const EMPTY: Self = Self { first: NONE, last: NONE };
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    handle: u64,
    next: u32,
}

/// The handles of all chains. Each call takes constant time.
#[derive(Debug)]
pub(super) struct Packets {
    packets: List<Packet>,
    free: Chain,
    used: usize,
}

impl Packets {
    /// Allocates space for `count` handles.
    pub(super) fn new(count: usize, heap: Heap) -> Result<Self, Error> {
        let last = (count as u32).wrapping_sub(1);
        let next = |index: usize| if index as u32 == last { NONE } else { index as u32 + 1 };
        let packets = heap.list_of("held packets", count, |index| Packet { handle: 0, next: next(index) })?;
        let free = if count == 0 { Chain::EMPTY } else { Chain { first: 0, last } };
        Ok(Self { packets, free, used: 0 })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(super) const fn memory_needed(count: usize) -> usize {
        count * size_of::<Packet>()
    }

    /// Returns the number of handles in all chains.
    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// Returns whether another handle can be added.
    pub(super) const fn has_space(&self) -> bool {
        self.free.first != NONE
    }

    /// Adds a handle to the end of a chain. Returns false if there is no space.
    #[must_use]
    pub(super) fn push(&mut self, chain: &mut Chain, handle: u64) -> bool {
        let mut free = self.free;
        let Some(index) = self.take_first(&mut free) else { return false };
        self.free = free;
        self.packets[index as usize] = Packet { handle, next: NONE };
        self.append(chain, Chain { first: index, last: index });
        self.used += 1;
        true
    }

    /// Takes the first handle of a chain.
    pub(super) fn pop(&mut self, chain: &mut Chain) -> Option<u64> {
        let index = self.take_first(chain)?;
        self.packets[index as usize].next = NONE;
        let mut free = self.free;
        self.append(&mut free, Chain { first: index, last: index });
        self.free = free;
        self.used -= 1;
        Some(self.packets[index as usize].handle)
    }

    /// Adds the handles of `more` to the end of a chain.
    pub(super) fn append(&mut self, chain: &mut Chain, more: Chain) {
        if more.first == NONE {
            return;
        }
        match chain.last {
            NONE => chain.first = more.first,
            last => self.packets[last as usize].next = more.first,
        }
        chain.last = more.last;
    }

    fn take_first(&self, chain: &mut Chain) -> Option<u32> {
        let index = chain.first;
        if index == NONE {
            return None;
        }
        chain.first = self.packets[index as usize].next;
        if chain.first == NONE {
            chain.last = NONE;
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn chains_behave_as_queues_that_share_a_bounded_pool() {
        for count in [0, 1, 9] {
            let mut packets = Packets::new(count, Heap::SYSTEM).unwrap();
            let (mut chains, mut models) = ([Chain::EMPTY; 3], [const { VecDeque::new() }; 3]);
            let mut seed = 1u32;
            for handle in 0..3000 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (at, other) = (seed as usize >> 8 & 1, 2);
                match seed >> 24 & 3 {
                    0 | 1 => {
                        let has_space = packets.has_space();
                        assert_eq!(packets.push(&mut chains[at], handle), has_space);
                        (0..usize::from(has_space)).for_each(|_| models[at].push_back(handle));
                    }
                    2 => assert_eq!(packets.pop(&mut chains[at]), models[at].pop_front()),
                    _ => {
                        let more = core::mem::replace(&mut chains[at], Chain::EMPTY);
                        packets.append(&mut chains[other], more);
                        let more = core::mem::take(&mut models[at]);
                        models[other].extend(more);
                        if handle % 8 == 0 {
                            while let Some(next) = packets.pop(&mut chains[other]) {
                                assert_eq!(models[other].pop_front(), Some(next));
                            }
                            assert!(models[other].is_empty());
                        }
                    }
                }
                let used = models.iter().map(VecDeque::len).sum::<usize>();
                assert_eq!((packets.used(), packets.has_space()), (used, used < count));
            }
        }
    }
}
