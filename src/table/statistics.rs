//! What a table says of itself.

use crate::memory::PageMode;

/// A snapshot of a table's size and health.
#[derive(Clone, Copy, Debug)]
pub struct TableStatistics {
    /// States in the table.
    pub states: u32,
    /// States that fit.
    pub capacity: u32,
    /// Translated states in the table.
    pub translated: u32,
    /// Translated states that fit.
    pub translated_capacity: u32,
    /// Bytes of all arrays, rounded up to pages where they were mapped.
    pub bytes: usize,
    /// Bytes of the key index.
    pub index_bytes: usize,
    /// Entries of the key index: one a state, two a translated state.
    pub entries: u32,
    /// Entries that are not in their own bucket. More than a few in a hundred means that the hash is bad or attacked.
    pub overflowed: u32,
    /// Entries that fitted into none of their buckets. Above zero means the same.
    pub spilled: u32,
    /// The deepest detour that an entry ever took; 7 is the list.
    pub deepest: u8,
    /// Pages under the hot records.
    pub page_mode: PageMode,
    /// Pages under the key index.
    pub index_page_mode: PageMode,
    /// Instruction set in use.
    pub level: &'static str,
}

impl TableStatistics {
    /// Bytes for each state of the capacity.
    #[must_use]
    pub const fn bytes_per_state(&self) -> f64 {
        self.bytes as f64 / self.capacity as f64
    }

    /// Bytes of key index for each state of the capacity.
    #[must_use]
    pub const fn index_bytes_per_state(&self) -> f64 {
        self.index_bytes as f64 / self.capacity as f64
    }
}
