//! A burst's lookup in pieces, for hosts that have the next bursts at hand: see [`Table::lookup_begin`].

use super::lookup::{CHUNK, Chunk, Stages};
use super::{Slot, Table};
use crate::cpu::{Hint, Isa, Kernel};
use crate::packet::{Direction, Key};
use core::marker::PhantomData;

/// Up to [`LookupBatch::CAPACITY`] keys whose lookup is under way, see [`Table::lookup_begin`]. One can be used again and again.
pub struct LookupBatch {
    chunk: Chunk,
    count: usize,
}

impl LookupBatch {
    /// Keys that one holds.
    pub const CAPACITY: usize = CHUNK;

    /// Without keys.
    #[must_use]
    pub const fn new() -> Self {
        Self { chunk: Chunk::new(), count: 0 }
    }
}

impl Default for LookupBatch {
    fn default() -> Self {
        Self::new()
    }
}

/// The first pass alone.
pub struct Begin<'a, K, H> {
    pub table: &'a Table,
    pub keys: &'a [K],
    pub flight: &'a mut LookupBatch,
    pub hint: PhantomData<H>,
}

impl<K: AsRef<Key>, H: Hint> Kernel for Begin<'_, K, H> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let keys = &self.keys[..self.keys.len().min(CHUNK)];
        self.flight.count = keys.len();
        Stages::<I, H>::new(isa, self.table, Direction::In).hash(keys, &mut self.flight.chunk);
    }
}

/// The second pass alone.
pub struct Probe<'a, H, const STACK: bool> {
    pub table: &'a Table,
    pub flight: &'a mut LookupBatch,
    pub hint: PhantomData<H>,
}

impl<H: Hint, const STACK: bool> Kernel for Probe<'_, H, STACK> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let stages = Stages::<I, H>::new(isa, self.table, Direction::In);
        stages.probe::<STACK>(self.flight.count, &mut self.flight.chunk);
    }
}

/// The third pass alone.
pub struct Finish<'a, K, H, const STACK: bool> {
    pub table: &'a Table,
    pub keys: &'a [K],
    pub slots: &'a mut [Slot],
    pub direction: Direction,
    pub flight: &'a mut LookupBatch,
    pub hint: PhantomData<H>,
}

impl<K: AsRef<Key>, H: Hint, const STACK: bool> Kernel for Finish<'_, K, H, STACK> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let count = self.flight.count.min(self.keys.len()).min(self.slots.len());
        let stages = Stages::<I, H>::new(isa, self.table, self.direction);
        let (keys, slots) = (&self.keys[..count], &mut self.slots[..count]);
        stages.finish::<K, STACK>(keys, &mut self.flight.chunk, slots);
    }
}
