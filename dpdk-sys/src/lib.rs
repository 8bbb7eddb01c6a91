//! Bindings to an installed DPDK (22.11 or later): exactly the functions that pfplane and its tests use.
//!
//! Cold functions are bound as they are. DPDK's inline functions and macros go through a small C shim
//! (`pfplane_shim_*`, see `shim.h`), one call a burst and never one a packet. `rte_mbuf` is opaque here: its fields move
//! between DPDK's releases as bindgen sees them, so pfplane reads it through its own overlay, whose offsets the shim
//! asserts when it is compiled.
//!
//! All functions are DPDK's, with DPDK's contracts.
#![no_std]
#![expect(
    missing_docs,
    non_camel_case_types,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "generated: the names are DPDK's, and so are the contracts"
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
