//! What a state is (L1), and how a packet changes it.
//!
//! A state is one tracked connection, as pf means it. It is split by who reads it into three parallel records under
//! one slot number: [`Hot`] for every lookup, [`Track`] for TCP packets, [`Cold`] for creation, the sync writer and
//! snapshots.

mod id;
mod peer;
mod record;

pub use id::StateId;
pub use peer::{Peer, Scrub, peer_state};
pub use record::{Cold, Hot, IfName, LocalFlags, Queue, Record, Track, pf_flags};
