//! pfplane: stateful firewall lookup and pfsync replication for DPDK and VPP dataplanes.
//!
//! A connection that passes one firewall lives on when that firewall dies: pfplane tracks connections ("states", as pf
//! means them), sends them to a peer node with pfsync, and takes over the peer's. The peer can be another pfplane, or
//! OpenBSD's or FreeBSD's pf.
//!
//! Objects
//!   pfplane_engine        one firewall: its configuration and its lanes
//!   pfplane_lane          what one core owns: its states, its sync queues, its counters
//!   pfplane_frame_reader  parses pfsync frames (the codec alone, no engine needed)
//!   pfplane_frame_writer  builds pfsync frames
//!   pfplane_replica       replicates a state table that the host owns
//!   pfplane_election      decides which node is master, by CARP or VRRPv3
//!
//! Names. A call is pfplane_OBJECT_VERB in lower case, a constant PFPLANE_FAMILY_NAME. The packet calls of a lane exist in three
//! forms: for packets in plain memory (no suffix), for headers that the host parsed itself (_facts), and for DPDK's mbufs
//! (_mbuf or _mbufs, in libraries built with DPDK).
//!
//! Input and output. The library opens no sockets and files, starts no threads and reads no clock. The host passes packets and
//! the time in, and gets verdicts and frames out. `now_ns` is in nanoseconds of any monotonic clock; every call on one engine
//! or replica takes the same clock. If it steps back by more than 100 ms, or ahead by more than 30 days, time stands still for that
//! call and then follows the clock from its new value (statistic clock_steps).
//!
//! Errors. A call returns PFPLANE_OK (0), PFPLANE_END (1) or a negative PFPLANE_ERROR_*. pfplane_last_error describes the last
//! failure of the calling thread. Outputs come last, are named `_out`, and are written on success only.
//!
//! Pointers. Every pointer is valid and aligned for its type, or `NULL`. `NULL` gives PFPLANE_ERROR_NULL unless the
//! call says that it may be `NULL`. `const` means that the call only reads. An array has as many elements as the argument or
//! field after it says (`count`, `length`, `capacity`, x_count). During a call, nobody else writes what it reads or uses what it
//! writes.
//!
//! Ownership. What pfplane_x_new returns belongs to the caller until pfplane_x_free. Lanes belong to their engine. Packets,
//! mbufs, buffers and structs stay the caller's, and the library keeps no pointer to them after the call unless "Ownership" states it.
//!
//! Memory and stack. An engine, a replica and an election allocate and touch all their memory when they are created, and nothing later.
//! On x86-64 a call needs at most 16 KB of stack, besides what the host's own functions (allocator, store) need.
//!
//! Structs. A struct that starts with `size` must have it set to its own sizeof, which the init calls do, so that a library
//! can recognise structs of another header. Reserved fields are zero.
//!
//! Threads. One thread at a time uses a lane, a replica, an election, a reader or a writer ("Thread: the lane's"). Calls on an
//! engine are safe from any thread at any time, also while lanes run ("Thread: any"), except for pfplane_engine_free.
//!
//! Numbers. Addresses are in network byte order, an IPv4 address in the first 4 of 16 bytes and the others zero. Ports and all
//! other integers are in host byte order. UINT32_MAX stands for "none" where 0 is a value. Booleans in structs are 0 or 1.
//!
//! Example: one lane, plain memory. c-examples/dpdk-pair shows DPDK, several lanes, and all verdicts.
//!
//! ```c
//!     struct pfplane_config config;
//!     struct pfplane_verdict verdict;
//!     pfplane_engine *engine;
//!     pfplane_lane *lane;
//!
//!     if (pfplane_config_init(&config, sizeof(config)) != PFPLANE_OK ||
//!         pfplane_engine_new(&config, &engine) != PFPLANE_OK ||
//!         pfplane_engine_lane(engine, 0, &lane) != PFPLANE_OK)
//!         return fail(pfplane_last_error());
//!
//!     while (next_packet(&packet)) { // struct pfplane_packet
//!         const struct pfplane_burst burst = {.size = sizeof(burst), .direction = PFPLANE_IN,
//!                                             .link = PFPLANE_LINK_IP, .now_ns = now_ns()};
//!         int32_t status = pfplane_lane_lookup(lane, &burst, &packet, 1, &verdict);
//!         if (status == PFPLANE_OK && verdict.action == PFPLANE_NEW && rules_pass(&packet))
//!             status = pfplane_lane_state_create(lane, &burst, &packet, NULL, &verdict);
//!         if (status == PFPLANE_OK && verdict.action == PFPLANE_PASS)
//!             forward(&packet);
//!         if (status == PFPLANE_OK)
//!             status = pfplane_lane_poll(lane, burst.now_ns);
//!         if (status != PFPLANE_OK)
//!             return fail(pfplane_last_error());
//!     }
//!     pfplane_engine_free(engine);
//! ```
#![expect(non_camel_case_types, reason = "these are the C names")]

mod election;
mod engine;
mod frame;
mod guard;
mod lane;
mod pointers;
mod replica;
mod state;
mod status;
mod version;

pub use election::*;
pub use engine::*;
pub use frame::*;
pub use lane::*;
pub use replica::*;
pub use state::*;
pub use status::*;
pub use version::*;

use engine::{icmp_ports, profile_number, profile_of, setting};
use guard::{Failure, check_size, guard, unknown};
#[cfg(feature = "dpdk")]
use lane::not_null;
use lane::{with_lane, with_lane_read};
use pointers::{elements, elements_mut, given, given_mut, out_buffer, put};
