//! Which states a lane has sent to its peers, and which ones it has from them, with their sums.

use super::builder::Builder;
use super::{Origin, Total, element};
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::state::StateId;
use crate::sync::settings::SyncSettings;
use crate::table::Slot;

const WORD: u32 = u64::BITS;
/// Lanes of a node that are compared: all that there can be.
const MAX_LANES: usize = 128;

/// The states sent to a peer.
#[derive(Debug)]
pub(super) struct Sent {
    /// A bit for each slot.
    slots: List<u64>,
    pub total: Total,
}

/// The states sent by a node.
#[derive(Debug)]
pub(super) struct Taken {
    /// For each slot the generation, then the lane plus one; 0 for none.
    words: List<u32>,
    generation: u16,
    totals: List<Total>,
}

/// The marks of a lane.
#[derive(Debug)]
pub(in crate::sync) struct Marks {
    /// One for each peer, if it is a pfplane node.
    pub(super) sent: List<Option<Sent>>,
    /// One for each node that is compared.
    pub(super) taken: List<Taken>,
    /// A sketch of what one peer was sent.
    pub(super) sent_sketch: Builder,
    /// A sketch of what one node sent.
    pub(super) taken_sketch: Builder,
}

impl Origin {
    const fn word(self) -> u32 {
        (self.generation as u32) << 16 | (self.lane as u32 + 1)
    }
}

impl Sent {
    pub(super) fn slot_count(&self) -> u32 {
        self.slots.len() as u32 * WORD
    }

    /// Returns the first marked slot from `from` on and before `end`.
    pub(super) fn next(&self, from: u32, end: u32) -> Option<Slot> {
        let mut at = from;
        while at < end {
            let word = *self.slots.get((at / WORD) as usize)? >> (at % WORD);
            if word != 0 {
                let slot = at + word.trailing_zeros();
                return (slot < end).then_some(Slot(slot));
            }
            at = (at / WORD + 1) * WORD;
        }
        None
    }
}

impl Taken {
    pub(super) fn slot_count(&self) -> u32 {
        self.words.len() as u32
    }

    /// Returns the first slot from `from` on and before `end` whose state was received in a stream.
    pub(super) fn next(&self, origin: Origin, from: u32, end: u32) -> Option<Slot> {
        let end = (end as usize).min(self.words.len());
        let found = self.words.get(from as usize..end)?.iter().position(|&word| word == origin.word())?;
        Some(Slot(from + found as u32))
    }

    fn is_marked(&self, slot: Slot) -> bool {
        self.words
            .get(slot.0 as usize)
            .is_some_and(|&word| word != 0 && (word >> 16) as u16 == self.generation)
    }

    /// Removes the mark of a slot. Returns its stream's lane.
    fn unmark(&mut self, slot: Slot, element: u64) -> Option<u8> {
        let is_marked = self.is_marked(slot);
        let word = core::mem::take(self.words.get_mut(slot.0 as usize)?);
        let lane = (word & 0xff).checked_sub(1).filter(|_| is_marked)?;
        self.totals.get_mut(lane as usize)?.subtract(element);
        Some(lane as u8)
    }
}

impl Marks {
    /// Allocates the marks of a lane.
    pub(in crate::sync) fn new(settings: &SyncSettings, heap: Heap) -> Result<Self, Error> {
        const WHAT: &str = "marks of compared states";
        let [words, slots] = Self::lengths(settings);
        let mut sent = heap.list(WHAT, settings.active_peers().len())?;
        for peer in settings.active_peers() {
            let of_peer = || Ok(Sent { slots: heap.list_of(WHAT, words, |_| 0)?, total: Total::default() });
            sent.push(peer.extensions.then(of_peer).transpose()?);
        }
        let mut taken = heap.list(WHAT, settings.compared_nodes())?;
        for _ in 0..settings.compared_nodes() {
            let (words, totals) =
                (heap.list_of(WHAT, slots, |_| 0)?, heap.list_of(WHAT, MAX_LANES, |_| Total::default())?);
            taken.push(Taken { words, generation: 0, totals });
        }
        let is_active = settings.compared_nodes() > 0;
        Ok(Self {
            sent,
            taken,
            sent_sketch: Builder::new(is_active, heap)?,
            taken_sketch: Builder::new(is_active, heap)?,
        })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(in crate::sync) fn memory_needed(settings: &SyncSettings) -> usize {
        let [words, slots] = Self::lengths(settings);
        let peers = settings.active_peers();
        let sent = peers.iter().filter(|peer| peer.extensions).count() * words * size_of::<u64>();
        let of_node = size_of::<Taken>() + slots * size_of::<u32>() + MAX_LANES * size_of::<Total>();
        let nodes = settings.compared_nodes();
        peers.len() * size_of::<Option<Sent>>()
            + sent
            + nodes * of_node
            + 2 * Builder::memory_needed(nodes > 0)
    }

    const fn lengths(settings: &SyncSettings) -> [usize; 2] {
        [settings.table_capacity.div_ceil(WORD) as usize, settings.table_capacity as usize]
    }

    /// Notes that a state is sent to a peer. Cost: a load, if it was before.
    #[inline]
    pub(in crate::sync) fn tell(&mut self, peer: usize, slot: Slot, id: impl FnOnce() -> StateId) {
        let Some(Some(sent)) = self.sent.get_mut(peer) else { return };
        let Some(word) = sent.slots.get_mut((slot.0 / WORD) as usize) else { return };
        let bit = 1 << (slot.0 % WORD);
        if *word & bit == 0 {
            *word |= bit;
            let element = element(id());
            sent.total.add(element);
            self.sent_sketch.note(Builder::of_peer(peer), slot, element, 1);
        }
    }

    /// Notes that a peer does not have a state, or need not.
    pub(in crate::sync) fn untell(&mut self, peer: usize, slot: Slot, id: StateId) {
        let Some(Some(sent)) = self.sent.get_mut(peer) else { return };
        let Some(word) = sent.slots.get_mut((slot.0 / WORD) as usize) else { return };
        let bit = 1 << (slot.0 % WORD);
        if *word & bit != 0 {
            *word &= !bit;
            let element = element(id);
            sent.total.subtract(element);
            self.sent_sketch.note(Builder::of_peer(peer), slot, element, -1);
        }
    }

    /// Notes that a state was received in a stream.
    #[inline]
    pub(in crate::sync) fn take(&mut self, origin: Origin, slot: Slot, id: impl FnOnce() -> StateId) {
        let Some(taken) = self.taken.get_mut(usize::from(origin.source)) else { return };
        if taken.words.get(slot.0 as usize).is_none_or(|&word| word == origin.word()) {
            return;
        }
        let element = element(id());
        taken.follow(origin);
        if let Some(lane) = taken.unmark(slot, element) {
            self.taken_sketch.note(Origin { lane, ..origin }, slot, element, -1);
        }
        let Some(total) = taken.totals.get_mut(usize::from(origin.lane)) else { return };
        total.add(element);
        taken.words[slot.0 as usize] = origin.word();
        self.taken_sketch.note(origin, slot, element, 1);
    }

    /// Notes that the sender of a stream does not have a state.
    pub(in crate::sync) fn untake(&mut self, origin: Origin, slot: Slot, id: StateId) {
        let Some(taken) = self.taken.get_mut(usize::from(origin.source)) else { return };
        if taken.words.get(slot.0 as usize) == Some(&origin.word()) {
            let element = element(id);
            taken.unmark(slot, element);
            self.taken_sketch.note(origin, slot, element, -1);
        }
    }

    /// Notes that a state is removed.
    #[inline]
    pub(in crate::sync) fn remove(&mut self, slot: Slot, id: StateId) {
        for peer in 0..self.sent.len() {
            self.untell(peer, slot, id);
        }
        for source in 0..self.taken.len() {
            let taken = &mut self.taken[source];
            let generation = taken.generation;
            if taken.words.get(slot.0 as usize).is_none_or(|&word| word == 0) {
                continue;
            }
            let element = element(id);
            if let Some(lane) = taken.unmark(slot, element) {
                self.taken_sketch.note(Origin { source: source as u8, lane, generation }, slot, element, -1);
            }
        }
    }

    /// Whether a node that is compared has sent a state.
    pub(in crate::sync) fn is_taken(&self, slot: Slot) -> bool {
        self.taken.iter().any(|taken| taken.is_marked(slot))
    }

    /// Returns the sum of the states that was received in a stream.
    pub(super) fn taken_total(&mut self, origin: Origin) -> Total {
        let Some(taken) = self.taken.get_mut(usize::from(origin.source)) else { return Total::default() };
        taken.follow(origin);
        taken.totals.get(usize::from(origin.lane)).copied().unwrap_or_default()
    }
}

impl Taken {
    /// Forgets the marks of an earlier run of the node.
    fn follow(&mut self, origin: Origin) {
        if self.generation != origin.generation {
            self.generation = origin.generation;
            self.totals.fill(Total::default());
        }
    }
}
