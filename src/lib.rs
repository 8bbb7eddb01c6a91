//! Stateful firewall lookup and pfsync replication for DPDK and VPP dataplanes.
//!
//! An [`Engine`] is one firewall instance. It has one [`Lane`] a core. A core passes bursts of packets to its lane and gets a
//! [`Verdict`] for each; it also sends the pfsync frames that the lane builds, and passes received ones to lane 0. The
//! library does no I/O, starts no thread and reads no clock: packets and time come from the host.
//!
//! `ARCHITECTURE.md` in the repository says what each module holds and which modules it may use.

mod cpu;
mod engine;
mod error;
mod ffi;
mod lane;
mod limits;
#[cfg(feature = "dpdk")]
mod mbuf;
mod memory;
mod packet;
mod state;
mod stats;
mod sync;
mod table;
mod time;

pub use engine::{Config, Engine};
pub use error::Error;
pub use lane::{
    Action, Burst, BurstInfo, Lane, Packet, PacketView, Prefix, Reason, StateFilter, StateView, Verdict,
};
pub use packet::{Direction, Family, Link};
pub use pfsync;
pub use state::StateId;
pub use sync::{PeerSettings, SyncSettings};
pub use table::Slot;
pub use time::Nanos;

/// Modules for this project's own tests, benchmarks and tools. No part of the public interface: anything here may change
/// in any release.
#[doc(hidden)]
pub mod internals {
    pub mod cpu {
        pub use crate::cpu::*;
    }
    pub mod engine {
        pub use crate::engine::*;
    }
    pub mod error {
        pub use crate::error::*;
    }
    pub mod ffi {
        pub use crate::ffi::*;
    }
    pub mod lane {
        pub use crate::lane::*;
    }
    pub mod limits {
        pub use crate::limits::*;
    }
    #[cfg(feature = "dpdk")]
    pub mod mbuf {
        pub use crate::mbuf::*;
    }
    pub mod memory {
        pub use crate::memory::*;
    }
    pub mod packet {
        pub use crate::packet::*;
    }
    pub mod state {
        pub use crate::state::*;
    }
    pub mod stats {
        pub use crate::stats::*;
    }
    pub mod sync {
        pub use crate::sync::*;
    }
    pub mod table {
        pub use crate::table::*;
    }
    pub mod time {
        pub use crate::time::*;
    }
}
