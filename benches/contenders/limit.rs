//! The limit: reads the same lines in the same bursts from arrays of the same size, without any table logic. It measures the
//! memory; nothing that reads an index line and a hot line can be faster.

use super::{BURST, Contender};
use crate::harness::block::Block;
use pfplane::internals::cpu::{Far, Hint, Near, prefetch};
use pfplane::internals::packet::Key;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; 8]);

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

    #[inline(always)]
    fn read<H: Hint>(&self, keys: &[Key]) -> (usize, u64) {
        let mut sum = 0;
        let mut lines = [(0usize, 0usize); BURST];
        for burst in keys.chunks(BURST) {
            for (key, line) in burst.iter().zip(&mut lines) {
                *line = self.lines_of(key);
                prefetch::<H, _>(&self.index, line.0);
            }
            let lines = &mut lines[..burst.len()];
            for line in &mut *lines {
                // The hot line's number depends on the contents of the index line, as in a table.
                line.1 += self.index[line.0].0[3] as usize - 1;
                prefetch::<H, _>(&self.hot, line.1);
            }
            for line in lines {
                sum += self.hot[line.1].0[4];
            }
        }
        (keys.len(), sum)
    }

    /// Returns two random line numbers from the bits of the key, cheaper than any hash.
    #[inline(always)]
    fn lines_of(&self, key: &Key) -> (usize, usize) {
        let words: &[u64; 5] = zerocopy::transmute_ref!(key);
        let random =
            (words[0] ^ words[1] ^ words[2] ^ words[3] ^ words[4]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let line = |bits: u64, length: usize| (((bits & 0xffff_ffff) * length as u64) >> 32) as usize;
        (
            line(random >> 32, self.index.len()),
            line(random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32, self.hot.len()),
        )
    }
}

impl Contender for Limit {
    fn name(&self) -> String {
        "limit: two lines, no table".to_owned()
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        let keys = &block.keys;
        if self.hot.len() > 1 << 18 { self.read::<Far>(keys) } else { self.read::<Near>(keys) }
    }
}
