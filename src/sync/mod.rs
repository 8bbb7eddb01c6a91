//! Replication (L3): the only room that knows both the wire and the state.
//!
//! ```text
//!   packets --> lane --> Outbound: inserted, updated, removed      frames in --> Inbound: gates, decode, validate
//!                          | queues: one place a state                              | Message
//!                          v                                                        v
//!                        flush --> whole IP packets, one peer each     apply: table, merge, answers --> Outbound
//!
//!   Requester asks for all states, Responder answers with a walk on every lane, Directory finds the lane of an identity
//! ```
//!
//! Every lane has one [`Outbound`]; the sync lane also has [`Inbound`] with its [`Requester`], the [`Responder`], and,
//! with more than one lane, the [`Directory`]. Nothing here does I/O, reads a clock, or allocates after creation. What
//! does not fit is counted and repaired by later traffic; nothing waits for ever.
//!
//! The rules are those of OpenBSD 7.4 and later where the systems differ. Their known defects are named where they are
//! avoided.

mod aging;
mod apply;
mod batch;
mod choose;
mod clearing;
mod counters;
mod creators;
mod defer;
mod directory;
mod events;
mod exposure;
mod filter;
#[cfg(test)]
mod fixture;
mod flush;
mod frame;
mod gates;
mod grace;
mod host_store;
mod inbound;
mod interfaces;
mod limiter;
mod merge;
mod message;
mod one_shot;
mod outbound;
mod peer_counters;
mod queue;
mod replica;
mod requester;
mod responder;
mod ring;
mod settings;
mod store;
mod translate;
mod tuning;
mod unsent;
mod walk;

pub use apply::{Applied, Refused, apply};
pub use counters::{InboundCounters, SyncCounters};
pub use defer::{Defer, NotHeld, PF_DELAY};
pub use directory::Directory;
pub use events::Removal;
pub use exposure::Exposure;
pub use filter::Filter;
pub use flush::Flushed;
pub use grace::{Grace, Keeping};
pub use host_store::{HostStore, HostTable, NotPut};
pub use inbound::{Arrival, Inbound};
pub use interfaces::InterfacePair;
pub use merge::{Stale, judge, merge};
pub use message::{Body, Message, PeerIndex, Target};
pub use outbound::Outbound;
pub use peer_counters::PeerCounters;
pub use replica::{Replica, WrongPlace};
pub use requester::{Ending, LastBulk, Patience, Phase, Requester};
pub use responder::{Responder, WalkOrder};
pub use settings::{PEERS_MOST, PeerSettings, SOURCES_MOST, SyncSettings};
pub use store::Store;
pub use translate::{Clock, compressed, full_state, key_of, received, record_of};
pub use tuning::Tuning;
