//! The keys of one block, in the formats that the contenders use. They are prepared outside the timed section.

use pfplane::internals::packet::{Family, Key};
use pfplane_bench::Keys;
use zerocopy::{FromBytes, IntoBytes};

/// Keys that are looked up together.
pub(crate) struct Block {
    /// Whole keys.
    pub keys: Vec<Key>,
    /// A hash of each key, for a contender that wants them from the caller.
    pub hashes: Vec<u32>,
    packed: Vec<[u64; 2]>,
}

impl Block {
    /// Builds a block of `length` empty keys.
    pub(crate) fn new(length: usize) -> Self {
        Self { keys: vec![Key::EMPTY; length], hashes: vec![0; length], packed: vec![[0; 2]; length] }
    }

    /// Builds the keys of these flows.
    pub(crate) fn of(flows: &[u32], family: Family) -> Self {
        let mut block = Self::new(flows.len());
        for (key, &flow) in block.keys.iter_mut().zip(flows) {
            *key = super::streams::key(flow, family);
        }
        block.pack();
        block
    }

    /// Updates the packed keys from the whole ones.
    pub(crate) fn pack(&mut self) {
        for (packed, key) in self.packed.iter_mut().zip(&self.keys) {
            let words: [u64; 5] = zerocopy::transmute!(*key);
            *packed = [(words[0] & 0xffff_ffff) | words[2] << 32, words[4]];
        }
    }

    /// Returns all keys for a contender that is not written in Rust.
    pub(crate) fn all(&self) -> Keys<'_> {
        self.part(0, self.keys.len())
    }

    /// Returns `length` keys from `first` on.
    pub(crate) fn part(&self, first: usize, length: usize) -> Keys<'_> {
        let keys = self.keys[first..first + length].as_bytes();
        let whole = <[[u64; 5]]>::ref_from_bytes(keys).expect("forty bytes a key");
        Keys { packed: &self.packed[first..first + length], whole }
    }
}
