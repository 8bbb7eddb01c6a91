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
//! The folders follow the picture: `outbound/` is what a lane has to tell, `inbound/` what it is told, `bulk/` the transfer of
//! all states; what both ways share stands here.
//!
//! Every lane has one [`Outbound`]; the sync lane also has [`Inbound`] with its [`Requester`], the [`Responder`], and,
//! with more than one lane, the [`Directory`]. Nothing here does I/O, reads a clock, or allocates after creation. What
//! does not fit is counted and repaired by later traffic; nothing waits for ever.
//!
//! The rules are those of OpenBSD 7.4 and later where the systems differ. Their known defects are named where they are
//! avoided.

mod bulk;
mod counters;
#[cfg(test)]
mod fixture;
mod host_store;
mod inbound;
mod interfaces;
mod message;
mod outbound;
mod peer_counters;
mod replica;
mod settings;
mod store;
mod translate;

pub use bulk::{Ending, LastBulk, Patience, Phase, Requester, Responder, WalkOrder};
pub use counters::{InboundCounters, SyncCounters};
pub use host_store::{HostStore, HostTable, NotPut};
pub use inbound::{
    Applied, Arrival, Directory, Grace, Inbound, Keeping, Refused, Stale, apply, judge, merge,
};
pub use interfaces::InterfacePair;
pub use message::{Body, Listener, Message, MessageRef, PeerIndex, Target};
pub use outbound::{Defer, Exposure, Filter, Flushed, NotHeld, Outbound, PF_DELAY, Removal, Tuning};
pub use peer_counters::PeerCounters;
pub use replica::{Replica, WrongPlace};
pub use settings::{PEERS_MOST, PeerSettings, SOURCES_MOST, SyncSettings};
pub use store::Store;
pub use translate::{Clock, compressed, full_state, key_of, received, record_of};
