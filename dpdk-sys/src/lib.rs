//! Bindings to an installed DPDK (22.11 or later), for the functions that pfplane and its tests use.
//!
//! Functions of DPDK's libraries are bound directly. Inline functions and macros are called through a small C shim
//! (`pfplane_shim_*`, see `shim.h`), once per burst and never per packet. `rte_mbuf` is opaque here, because its layout as
//! bindgen sees it differs between releases: pfplane reads it through its own overlay, and the shim asserts the offsets
//! when it is compiled.
//!
//! The contracts of all functions are DPDK's.
#![no_std]
#![expect(
    missing_docs,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "generated: names and contracts are DPDK's"
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
