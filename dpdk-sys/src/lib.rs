//! Bindings to an installed DPDK.
