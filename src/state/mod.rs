//! What a state is (L1), and how a packet changes it.
//!
//! A state is one tracked connection, as pf means it. It is split by who reads it into three parallel records under
//! one slot number: [`Hot`] for every lookup, [`Track`] for TCP packets, [`Cold`] for creation, the sync writer and
//! snapshots.
//!
//! [`create`] makes the three from a first packet, [`track`] moves them with every other one, [`Timeouts`] says when
//! they end. Tracking follows OpenBSD's pf; what is ours is what happens after a takeover, see `takeover.rs`.

mod create;
mod id;
mod nat;
mod non_tcp;
mod peer;
mod record;
mod source_limits;
mod takeover;
mod tcp;
mod tcp_established;
pub mod tcp_table;
mod tcp_window;
mod timeout;
mod track;

pub use create::{FLOATING, Options, Refusal, admits, create};
pub use id::StateId;
pub use nat::{Nat, PortRange};
pub use peer::{Peer, Scrub, peer_state};
pub use record::{
    Cold, Hot, IfName, LocalFlags, NO_SOURCES, Queue, Record, Track, fold_counts, pf_flags, sync_flags,
};
pub(crate) use source_limits::MAX_RATE_SECONDS;
pub use source_limits::{MAX_SOURCE_COUNT, Rate, SourceLimits};
pub use takeover::{RESYNC_SEGMENTS, TAKEOVER_SLACK};
pub use tcp::class_of;
pub use timeout::{CLASSES, MAX_SECONDS, Timeouts, timeout_class};
pub use track::{Answer, DropReason, Outcome, answer, track};
