//! Hash tables that are not written in Rust, if they are installed: DPDK's `rte_hash`, Abseil and Boost.
//!
//! Each maps keys of 16 bytes (IPv4) or 40 bytes (IPv6), as its user would choose, to slots.

/// Keys, in both formats.
pub struct Keys<'a> {
    /// IPv4 addresses, ports and protocol, in 16 bytes.
    pub packed: &'a [[u64; 2]],
    /// Whole keys.
    pub whole: &'a [[u64; 5]],
}

#[cfg(peer_dpdk)]
mod rte;
#[cfg(peer_dpdk)]
pub use rte::{MAX_BULK, RteHash, start};

#[cfg(any(peer_absl, peer_boost))]
mod swiss;
#[cfg(any(peer_absl, peer_boost))]
pub use swiss::{SwissMap, maps};

/// Returns the names of the tables that are not installed.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    let all = [("rte_hash", cfg!(peer_dpdk)), ("Abseil", cfg!(peer_absl)), ("Boost", cfg!(peer_boost))];
    all.into_iter().filter(|(_, is_here)| !is_here).map(|(name, _)| name).collect()
}
