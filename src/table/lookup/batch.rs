//! The burst lookup, whole and in stages, compiled for each instruction set.

use super::super::{Slot, Table};
use super::stages::{CHUNK, Chunk, Stages};
use crate::cpu::{Hint, Isa, Kernel, Near};
use crate::packet::{Direction, Key};
use core::marker::PhantomData;

/// A lookup of up to [`LookupBatch::CAPACITY`] keys between its stages, see [`Table::lookup_begin`]. Can be reused.
pub struct LookupBatch {
    chunk: Chunk,
    count: usize,
}

impl LookupBatch {
    /// Maximum number of keys.
    pub const CAPACITY: usize = CHUNK;

    /// Returns a batch without keys.
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

/// All stages of one burst. `STACK`: whether to match entries of stack keys.
pub(super) struct Lookup<'a, K, H, const STACK: bool> {
    pub table: &'a Table,
    pub keys: &'a [K],
    pub slots: &'a mut [Slot],
    pub direction: Direction,
    pub hint: PhantomData<H>,
}

impl<K: AsRef<Key>, H: Hint, const STACK: bool> Kernel for Lookup<'_, K, H, STACK> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let stages = Stages::<I, H>::new(isa, self.table, self.direction);
        let chunk = &mut Chunk::new();
        for (keys, slots) in self.keys.chunks(CHUNK).zip(self.slots.chunks_mut(CHUNK)) {
            stages.hash(keys, chunk);
            stages.probe::<STACK>(keys.len(), chunk);
            stages.match_keys::<K, STACK>(keys, chunk, slots);
        }
    }
}

/// The first stage.
pub(super) struct Begin<'a, K, H> {
    pub table: &'a Table,
    pub keys: &'a [K],
    pub batch: &'a mut LookupBatch,
    pub hint: PhantomData<H>,
}

impl<K: AsRef<Key>, H: Hint> Kernel for Begin<'_, K, H> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let keys = &self.keys[..self.keys.len().min(CHUNK)];
        self.batch.count = keys.len();
        Stages::<I, H>::new(isa, self.table, Direction::In).hash(keys, &mut self.batch.chunk);
    }
}

/// The second stage.
pub(super) struct Probe<'a, H, const STACK: bool> {
    pub table: &'a Table,
    pub batch: &'a mut LookupBatch,
    pub hint: PhantomData<H>,
}

impl<H: Hint, const STACK: bool> Kernel for Probe<'_, H, STACK> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let stages = Stages::<I, H>::new(isa, self.table, Direction::In);
        stages.probe::<STACK>(self.batch.count, &mut self.batch.chunk);
    }
}

/// The third stage.
pub(super) struct Finish<'a, K, const STACK: bool> {
    pub table: &'a Table,
    pub keys: &'a [K],
    pub slots: &'a mut [Slot],
    pub direction: Direction,
    pub batch: &'a mut LookupBatch,
}

impl<K: AsRef<Key>, const STACK: bool> Kernel for Finish<'_, K, STACK> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let count = self.batch.count.min(self.keys.len()).min(self.slots.len());
        // This stage prefetches nothing, so the hint is irrelevant.
        let stages = Stages::<I, Near>::new(isa, self.table, self.direction);
        let (keys, slots) = (&self.keys[..count], &mut self.slots[..count]);
        stages.match_keys::<K, STACK>(keys, &mut self.batch.chunk, slots);
    }
}
