//! Stateful firewall lookup and pfsync replication for DPDK and VPP dataplanes.
//!
//! `ARCHITECTURE.md` in the repository's root says what each room is for and which room may know which.

pub mod cpu;
pub mod engine;
pub mod error;
pub mod ffi;
pub mod lane;
#[cfg(feature = "dpdk")]
pub mod mbuf;
pub mod packet;
pub mod state;
pub mod stats;
pub mod sync;
pub mod table;
pub mod time;
pub mod wire;
