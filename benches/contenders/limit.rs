//! The limit: reads the same lines in the same bursts from arrays of the same size, without any table logic. It measures the
//! memory; nothing that reads an index line and a hot line with as many bursts in flight can be faster.

use super::{BURST, Contender};
use crate::harness::block::Block;
use pfplane::internals::cpu::{Far, Hint, Near, prefetch};
use pfplane::internals::packet::Key;
use std::rc::Rc;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; 8]);

/// The lines of a key.
#[derive(Clone, Copy, Default)]
struct Lines {
    index: usize,
    hot: usize,
}

/// Two arrays of lines.
pub(crate) struct Limit {
    index: Vec<Line>,
    hot: Vec<Line>,
}

impl Limit {
    /// Builds arrays as large as pfplane's for `flows` flows.
    pub(crate) fn new(flows: u32, index_lines: usize) -> Self {
        Self { index: vec![Line([1; 8]); index_lines.max(1)], hot: vec![Line([1; 8]); flows as usize] }
    }

    /// Runs each burst through all stages before the next one.
    #[inline(always)]
    fn read<H: Hint>(&self, keys: &[Key]) -> (usize, u64) {
        let mut lines = [Lines::default(); BURST];
        let sum = keys.chunks(BURST).map(|burst| {
            self.begin::<H>(burst, &mut lines);
            self.probe::<H>(burst.len(), &mut lines);
            self.finish(burst.len(), &lines)
        });
        (keys.len(), sum.sum())
    }

    /// Runs the stages with the next two bursts in flight, like [`super::InFlight`].
    #[inline(always)]
    fn read_ahead<H: Hint>(&self, keys: &[Key]) -> (usize, u64) {
        let mut lines = [[Lines::default(); BURST]; 3];
        let bursts: Vec<&[Key]> = keys.chunks(BURST).collect();
        let mut sum = 0;
        for n in 0..bursts.len() + 2 {
            if let Some(burst) = bursts.get(n) {
                self.begin::<H>(burst, &mut lines[n % 3]);
            }
            if let Some(burst) = n.checked_sub(1).and_then(|n| bursts.get(n)) {
                self.probe::<H>(burst.len(), &mut lines[(n - 1) % 3]);
            }
            if let Some(n) = n.checked_sub(2) {
                sum += self.finish(bursts[n].len(), &lines[n % 3]);
            }
        }
        (keys.len(), sum)
    }

    /// Prefetches the index lines.
    #[inline(always)]
    fn begin<H: Hint>(&self, burst: &[Key], lines: &mut [Lines; BURST]) {
        for (key, line) in burst.iter().zip(lines) {
            *line = self.lines_of(key);
            prefetch::<H, _>(&self.index, line.index);
        }
    }

    /// Reads the index lines and prefetches the hot lines.
    #[inline(always)]
    fn probe<H: Hint>(&self, length: usize, lines: &mut [Lines; BURST]) {
        for line in &mut lines[..length] {
            // The hot line's number depends on the contents of the index line, as in a table.
            line.hot += self.index[line.index].0[3] as usize - 1;
            prefetch::<H, _>(&self.hot, line.hot);
        }
    }

    /// Reads the hot lines.
    #[inline(always)]
    fn finish(&self, length: usize, lines: &[Lines; BURST]) -> u64 {
        lines[..length].iter().map(|line| self.hot[line.hot].0[4]).sum()
    }

    /// Returns two random line numbers from the bits of the key, cheaper than any hash.
    #[inline(always)]
    fn lines_of(&self, key: &Key) -> Lines {
        let words: &[u64; 5] = zerocopy::transmute_ref!(key);
        let random =
            (words[0] ^ words[1] ^ words[2] ^ words[3] ^ words[4]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let line = |bits: u64, length: usize| (((bits & 0xffff_ffff) * length as u64) >> 32) as usize;
        Lines {
            index: line(random >> 32, self.index.len()),
            hot: line(random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32, self.hot.len()),
        }
    }

    /// Whether the arrays exceed the caches, so that prefetches end in the second level, as in [`super::Ours`].
    fn is_far(&self) -> bool {
        self.hot.len() > 1 << 18
    }
}

impl Contender for Rc<Limit> {
    fn name(&self) -> String {
        "limit: two lines, no table".to_owned()
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        if self.is_far() { self.read::<Far>(&block.keys) } else { self.read::<Near>(&block.keys) }
    }
}

/// The same arrays, with the next two bursts in flight.
pub(crate) struct LimitInFlight(pub Rc<Limit>);

impl Contender for LimitInFlight {
    fn name(&self) -> String {
        "limit, next bursts in flight".to_owned()
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        let (limit, keys) = (&self.0, &block.keys);
        if limit.is_far() { limit.read_ahead::<Far>(keys) } else { limit.read_ahead::<Near>(keys) }
    }
}
