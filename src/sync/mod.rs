//! Replication (L3): the only room that knows both the wire and the state.
//!
//! ```text
//!   packets --> lane --> Exporter: inserted, updated, removed      frames in --> Importer: gates, decode, validate
//!                          | queues: one place a state                              | Message
//!                          v                                                        v
//!                        flush --> whole IP packets, one peer each     apply: table, merge, answers --> Exporter
//!
//!   Requester asks for all states, Responder answers with a walk on every lane, Directory finds the lane of an identity
//! ```
//!
//! The folders follow the picture: `outbound/` is what a lane has to tell, `inbound/` what it is told, `bulk/` the transfer of
//! all states; what both ways share stands here.
//!
//! Every lane has one [`Exporter`]; the sync lane also has [`Importer`] with its [`Requester`], the [`Responder`], and,
//! with more than one lane, the [`Directory`]. Nothing here does I/O, reads a clock, or allocates after creation. What
//! does not fit is counted and repaired by later traffic; nothing waits for ever.
//!
//! The rules are those of OpenBSD 7.4 and later where the systems differ. Their known defects are named where they are
//! avoided.

mod bulk;
mod counters;
mod export;
#[cfg(test)]
mod fixture;
mod host_store;
mod import;
mod interfaces;
mod message;
mod peer_counters;
mod replica;
mod settings;
mod store;
mod translate;

pub use bulk::{Ending, LastBulk, Phase, Requester, Responder, RetryPolicy, WalkOrder};
pub use counters::{ImportCounters, SyncCounters};
pub use export::{Defer, Exporter, Exposure, Filter, Flushed, NotHeld, PF_DELAY, Removal, Tuning};
pub use host_store::{HostInsertError, HostStore, HostTable};
pub use import::{
    Applied, Arrival, Directory, GracePolicy, Importer, Refused, SilentPeers, Stale, apply, judge, merge,
};
pub use interfaces::InterfacePair;
pub use message::{Body, Message, MessageRef, MessageSink, PeerIndex, Target};
pub use peer_counters::PeerCounters;
pub use replica::{Replica, WrongIndex};
pub use settings::{MAX_PEERS, MAX_SOURCES, PeerSettings, SyncSettings};
pub use store::Store;
pub use translate::{Clock, compressed, full_state, key_of, received, record_of};
