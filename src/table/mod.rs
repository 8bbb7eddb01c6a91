//! The states of one lane: where they are stored, and how a key finds its state (layer L2).
//!
//! ```text
//!  key --hash--> bucket (64 bytes)            hot    track  cold      one slot number, three dense arrays
//!                | 10 tags | filter |   slot  +----+ +----+ +----+
//!                | 10 values        | ------> | 64 | | 64 | |192 |
//!                +------------------+         +----+ +----+ +----+
//! ```
//!
//! A lookup reads one bucket and one hot record, a cache line each. [`Table::lookup_burst`] works in stages over the
//! burst; each stage prefetches what the next one reads. Records never move, nothing is allocated after creation, and the
//! planned capacity always fits. One core owns a table, so there is no lock.
//!
//! A state whose wire and stack key are equal has one index entry for both directions. A translated state has two
//! entries, and its stack key is in the cold record.
//!
//! A table knows nothing of time: the caller decides whether a state that it finds has expired.

mod accounting;
mod alias_table;
mod extras;
mod foreign_keys;
mod index;
mod insert_remove;
mod lookup;
mod opening;
mod plan;
mod ports;
mod prefetch;
mod slab;
mod statistics;
#[expect(clippy::module_inception, reason = "the file of the type that gives the module its name")]
mod table;
#[cfg(test)]
mod tests;

pub use alias_table::AliasTable;
pub use extras::NoEntry;
pub use foreign_keys::{AliasChange, AliasEvent};
pub use lookup::LookupBatch;
pub use plan::{InsertError, Plan};
pub use ports::{PortPlace, PortPlan, PortPools};
pub use prefetch::{PrefetchHint, PrefetchQueue, Purpose};
pub use statistics::TableStatistics;
pub use table::{Slot, Table};
