//! Statistics of a table.

use crate::memory::PageMode;

/// A snapshot of a table's size and health.
#[derive(Clone, Copy, Debug)]
pub struct TableStatistics {
    /// States.
    pub states: u32,
    /// Maximum number of states.
    pub capacity: u32,
    /// Translated states.
    pub translated: u32,
    /// Maximum number of translated states.
    pub translated_capacity: u32,
    /// Bytes of all arrays, rounded up to pages where they are mapped.
    pub bytes: usize,
    /// Bytes of the key index.
    pub index_bytes: usize,
    /// Entries of the key index: one per state, two per translated state.
    pub entries: u32,
    /// Entries outside their own bucket. More than a few percent means that the hash is bad or attacked.
    pub overflowed: u32,
    /// Entries in the spill list. More than none means the same.
    pub spilled: u32,
    /// The most alternates that an entry ever needed; 7 is the spill list.
    pub deepest: u8,
    /// Pages under the hot records.
    pub page_mode: PageMode,
    /// Pages under the key index.
    pub index_page_mode: PageMode,
    /// Instruction set in use.
    pub level: &'static str,
}
