//! The C API from a caller's side: arguments and errors, packets and states, frames, and replication from node to node.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "every call passes pointers to values of the test that makes it"
)]

mod answers;
mod arguments;
#[path = "../captures/mod.rs"]
mod captures;
mod comparison;
mod deferred;
mod election;
mod election_peers;
mod facts;
mod fields;
mod fragments;
mod frames;
mod limits;
mod memory;
#[path = "../nat_world/mod.rs"]
mod nat_world;
mod packets;
mod pickup;
mod readiness;
mod repair;
mod replica;
mod settings;
mod sync_port;
mod takeover;
mod threads;
mod translation;
mod world;
