//! Stateful firewall lookup and pfsync replication for DPDK and VPP dataplanes.
//!
//! An [`Engine`] is one firewall instance with one [`Lane`] for each core. A core passes bursts of packets to its lane and gets
//! a [`Verdict`] on each. It also sends the pfsync frames that the lane builds, and passes received ones to lane 0. The
//! library does no I/O, starts no thread and reads no clock: the host passes packets and time in.
//!
//! ```
//! use pfplane::{Action, BurstInfo, Config, Direction, Engine, Link, Options, PacketView};
//!
//! # fn main() -> Result<(), pfplane::Error> {
//! let (engine, mut lanes) = Engine::new(Config { states_per_lane: 1024, ..Config::default() })?;
//! let lane = &mut lanes[0];
//!
//! // A UDP datagram from 10.0.0.1 port 4000 to 10.0.0.2 port 53.
//! let bytes = [
//!     0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0x26, 0xcf, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
//!     0x0f, 0xa0, 0, 53, 0, 8, 0, 0, // UDP
//! ];
//! let packet = PacketView::new(&bytes);
//! let info = BurstInfo { direction: Direction::In, link: Link::Ip, rdomain: 0, trust_hash: false, now: 1_000_000_000 };
//!
//! // No state yet: the host's rules decide. If they let the packet pass, the host creates the state.
//! assert_eq!(lane.lookup(&info, &packet).action, Action::New);
//! assert_eq!(lane.create(&info, &packet, &Options::default()).action, Action::Pass);
//! assert_eq!(lane.lookup(&info, &packet).action, Action::Pass);
//!
//! // Between bursts: housekeeping, and the frames for the peers.
//! lane.poll(info.now);
//! let mut frame = vec![0; lane.max_frame_bytes()];
//! while let Some(range) = lane.flush(&mut frame, info.now) {
//!     let _send = &frame[range];
//! }
//! assert_eq!(engine.stat_named("states_created"), Some(1));
//! # Ok(())
//! # }
//! ```
//!
//! [`Lane::lookup_burst`] takes a [`Burst`], the host's packets in whatever form it keeps them, and can rewrite packets of
//! translated states in place. A [`Replica`] replicates a table that the host owns instead.
//!
//! `ARCHITECTURE.md` in the repository describes the modules and their dependencies.

mod cpu;
mod election;
mod engine;
mod error;
mod ffi;
mod lane;
mod limits;
#[cfg(feature = "dpdk")]
mod mbuf;
mod memory;
mod packet;
mod seal;
mod state;
mod stats;
mod sync;
mod table;
mod time;

// The engine and its configuration.
pub use cpu::Steering;
pub use election::{
    ChecksumManner, Class, Dialect, Election, ElectionConfig, ElectionFrame, ElectionStatus, Event,
    EventKind, Forwarding, HELLO_BYTES, Hello, MAX_ELECTION_FRAME_BYTES, MAX_NEIGHBOUR_BYTES, MacMode,
    MemberConfig, MemberCounters, Rank, Role, Silence, Why,
};
pub use engine::{Config, Engine, MAX_LANES, replica};
pub use error::{Error, Problem};
pub use lane::{BulkProgress, NatNodes, PacketPolicy, VerifyChecksums};
pub use limits::SourcePlan;
pub use memory::{AllocHook, FreeHook, Hooks, Memory};
pub use pfsync;
pub use seal::{
    KEY_BYTES as SEAL_KEY_BYTES, MAX_KEYS as MAX_SEAL_KEYS, SealKey, SealKeys, SealMode, SealStatus,
};
pub use state::{Rate, SourceLimits, Timeouts, timeout_class};
pub use stats::{Descriptor as Statistic, Kind as StatisticKind};
pub use sync::{
    Defer, Ending, Filter, GracePolicy, InterfacePair, LastBulk, PeerSeal, PeerSettings, Phase, Readiness,
    ReadyClass, Reasons, RetryPolicy, SyncSettings, Tuning, UnsealedRights,
};
pub use time::Nanos;

// Packets and verdicts.
pub use lane::{Action, Burst, BurstInfo, Checksums, Lane, Packet, PacketView, Reason, Verdict};
pub use packet::{
    Be16, Direction, Facts, Family, IpOptions, Key, Kind as PacketKind, Link, Rejection, TcpFacts,
    TranslateError, Translation, WritablePacket, parse as parse_packet,
};
pub use sync::{Exposure, NotHeld};

// States.
pub use lane::{Prefix, StateFilter, StateView};
pub use state::{Cold, Hot, IfName, Nat, Options, Peer, PortRange, StateId, Track};
pub use table::Slot;

// Replication of a table that the host owns.
pub use sync::{HostInsertError, HostTable, Replica};

/// Modules for this project's own tests, benchmarks and tools. No part of the public interface: anything here may change
/// in any release.
#[doc(hidden)]
pub mod internals {
    pub mod cpu {
        pub use crate::cpu::*;
    }
    pub mod election {
        pub use crate::election::*;
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
    pub mod seal {
        pub use crate::seal::*;
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
