//! The contenders that are not Rust, as they are installed: DPDK's `rte_hash`, Abseil and Boost.
//!
//! Each map takes keys of 16 bytes (IPv4) or 40 (IPv6), as its user would, and gives slots. All but the linking is the
//! same for all of them, so that the benches name none of them twice.

/// Keys, in both of the shapes that contenders want.
pub struct Keys<'a> {
    /// Addresses, ports and protocol of IPv4 in 16 bytes.
    pub packed: &'a [[u64; 2]],
    /// The whole key.
    pub whole: &'a [[u64; 5]],
}

#[cfg(peer_dpdk)]
mod rte;
#[cfg(peer_dpdk)]
pub use rte::{RteHash, start};

#[cfg(any(peer_absl, peer_boost))]
mod swiss;
#[cfg(any(peer_absl, peer_boost))]
pub use swiss::{SwissMap, maps};

/// What is not installed, for the report.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    let all = [("rte_hash", cfg!(peer_dpdk)), ("Abseil", cfg!(peer_absl)), ("Boost", cfg!(peer_boost))];
    all.into_iter().filter(|(_, is_here)| !is_here).map(|(name, _)| name).collect()
}
