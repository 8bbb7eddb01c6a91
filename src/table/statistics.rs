//! Statistics of a table.

use crate::memory::PageMode;

/// A snapshot of a table's size and health.
#[derive(Clone, Copy, Debug)]
pub struct TableStatistics {
    /// States.
    pub states: u32,
    /// Maximum number of states.
    pub capacity: u32,
    /// Bytes of all arrays, rounded up to pages where they are mapped.
    pub bytes: usize,
    /// Bytes of the key index.
    pub index_bytes: usize,
    /// Entries outside their own bucket. More than a few percent means that the hash is bad or attacked.
    pub overflowed: u32,
    /// Entries in the spill list. More than none means the same.
    pub spilled: u32,
    /// The most alternates that an entry ever needed; 7 is the spill list.
    pub deepest: u8,
    /// Pages under the hot records.
    pub page_mode: PageMode,
}
