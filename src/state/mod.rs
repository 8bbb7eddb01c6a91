//! What a state is, and how packets change it.
//!
//! A state is one tracked connection, as in pf. It consists of three parallel records under one slot: [`Hot`] for every
//! lookup, [`Track`] for TCP packets, [`Cold`] for creation, replication and snapshots.
//!
//! [`create`] builds the records from a first packet, [`track`] updates them for every later packet, and [`Timeouts`]
//! decides when they expire. Tracking follows OpenBSD's pf; `tcp/takeover.rs` adds what a takeover needs.

mod create;
mod extra;
mod nat;
mod non_tcp;
mod peer;
mod record;
mod sctp;
mod source_limits;
mod tcp;
mod timeout;
mod track;

pub use create::{FLOATING, Options, Refusal, admits, create};
pub use extra::{Extra, ExtraPart, KeptFields, MAX_OPAQUE, Opaque};
pub use nat::{Nat, PortRange};
pub use peer::{Peer, Scrub, peer_state};
pub use record::{
    Cold, Hot, IfName, LocalFlags, NO_SOURCES, Queue, Record, StateId, Track, fold_counts, pf_flags,
    sync_flags,
};
pub(crate) use source_limits::MAX_RATE_SECONDS;
pub use source_limits::{MAX_SOURCE_COUNT, Rate, SourceLimits};
pub use tcp::{
    LineRate, MaxDrift, RESYNC_SEGMENTS, TAKEOVER_SLACK, class_of, has_acknowledged_unseen,
    table as tcp_table,
};
pub use timeout::{CLASSES, MAX_SECONDS, Timeouts, timeout_class};
pub use track::{Answer, DropReason, Outcome, answer, track, track_replicated};
