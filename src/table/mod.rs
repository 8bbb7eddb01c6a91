//! A lane's states (L2): where they live, and how a packet's key finds its state.
//!
//! ```text
//!  key --hash--> bucket (64 bytes)            hot    track  cold      one slot number, three dense arrays
//!                | 10 tags | filter |   slot  +----+ +----+ +----+
//!                | 10 values        | ------> | 64 | | 64 | |192 |
//!                +------------------+         +----+ +----+ +----+
//! ```
//!
//! A lookup reads one bucket line and one hot line. [`Table::lookup_burst`] does it in stages over the burst, each
//! stage's memory on its way while the stage before it runs. Nothing is ever moved, nothing is allocated after
//! creation, and the capacity that was asked for really fits. One core owns a table; there is no lock. Atomic are only the
//! counts of sources, which all lanes share (`source/`), and no lookup touches them.
//!
//! A state whose wire and stack key are the same has one index entry that serves both directions. A translated state
//! has two, and its stack key lies in the cold record.
//!
//! What this room does not do: it knows nothing of time. Whoever looks up decides whether the state has expired.

mod alias;
mod bucket;
mod census;
mod change;
mod find;
mod flight;
#[cfg(test)]
mod flood;
mod foreign;
mod index;
mod lookup;
#[cfg(test)]
mod oracle;
mod plan;
mod prefetch;
mod slab;
mod statistics;
#[expect(clippy::module_inception, reason = "the file of the type that gives the room its name")]
mod table;

pub use alias::AliasTable;
pub use flight::LookupBatch;
pub use foreign::AliasChange;
pub use plan::{InsertError, Plan};
pub use prefetch::{PrefetchHint, PrefetchQueue, Purpose};
pub use statistics::TableStatistics;
pub use table::{Slot, Table};
