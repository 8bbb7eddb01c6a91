//! Steering: computes which lane owns a key, with the function that the NIC uses (RSS).
//!
//! The NIC hashes addresses and ports with the symmetric Toeplitz hash and uses the low seven bits as an index into the
//! redirection table. The host programs the NIC with [`Steering::key`] and [`Steering::redirection`].
//!
//! TCP, UDP and SCTP are hashed over addresses and ports, everything else over the addresses only, as NICs do for protocols
//! that they do not parse. So an ICMP error and its connection may be on different lanes; the hand-off verdict covers that.
//! The NIC should hash the same fields (DPDK: `RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP`). A packet
//! that it hashes otherwise takes a hand-off, see `hash_mismatch`.

use super::toeplitz::{KEY_BYTES, SymmetricToeplitz};
use crate::error::{Error, check_range};
use crate::packet::Key;
use crate::packet::protocol::{SCTP, TCP, UDP};
use zerocopy::FromZeros;

/// Entries of the redirection table.
pub(super) const REDIRECTIONS: usize = 128;

/// The default symmetric key: 6d 5a, repeated.
pub const DEFAULT_KEY: [u8; KEY_BYTES] = {
    let mut key = [0x6d; KEY_BYTES];
    let mut n = 1;
    while n < KEY_BYTES {
        key[n] = 0x5a;
        n += 2;
    }
    key
};

/// Whether a protocol's ports are hashed.
#[inline]
#[must_use]
pub const fn has_ports(proto: u8) -> bool {
    matches!(proto, TCP | UDP | SCTP)
}

/// The steering function of an engine: RSS key and redirection table.
///
/// Thread: any; it is immutable.
#[derive(Clone, FromZeros)]
pub struct Steering {
    key: [u8; KEY_BYTES],
    redirection: [u8; REDIRECTIONS],
    toeplitz: SymmetricToeplitz,
}

const ASYMMETRIC: Error =
    Error::Invalid { name: "rss_key", reason: "not symmetric: it must repeat every two bytes" };

impl Steering {
    /// Creates a steering function from an RSS key and a table of lanes.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the key does not repeat every two bytes: both directions of a connection would get different
    /// lanes.
    pub fn new(key: [u8; KEY_BYTES], redirection: [u8; REDIRECTIONS]) -> Result<Self, Error> {
        let mut steering = Self::new_zeroed();
        steering.fill(&key, redirection)?;
        Ok(steering)
    }

    /// As [`Self::new`], in place.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn fill(&mut self, key: &[u8; KEY_BYTES], redirection: [u8; REDIRECTIONS]) -> Result<(), Error> {
        Self::check_key(key)?;
        (self.key, self.redirection) = (*key, redirection);
        self.toeplitz.fill(key);
        Ok(())
    }

    /// Checks a key without building anything.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn check_key(key: &[u8; KEY_BYTES]) -> Result<(), Error> {
        if SymmetricToeplitz::is_symmetric(key) { Ok(()) } else { Err(ASYMMETRIC) }
    }

    /// Creates a steering function with the default key that distributes over `lanes` lanes in turn.
    ///
    /// # Errors
    /// [`Error::Setting`] if `lanes` is not from 1 to 128.
    pub fn over_lanes(lanes: u32) -> Result<Self, Error> {
        check_range("lanes", lanes.into(), 1, REDIRECTIONS as u64)?;
        Self::new(DEFAULT_KEY, core::array::from_fn(|n| (n % lanes as usize) as u8))
    }

    /// Returns the RSS key for the NIC.
    #[must_use]
    pub const fn key(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }

    /// Returns the redirection table: lanes by the low seven bits of the hash.
    #[must_use]
    pub const fn redirection(&self) -> &[u8; REDIRECTIONS] {
        &self.redirection
    }

    /// Returns the RSS hash of a key, the same for both directions. Cost: about ten instructions and two loads.
    #[inline]
    #[must_use]
    pub fn hash_of(&self, key: &Key) -> u32 {
        let words: [u64; 5] = zerocopy::transmute!(*key);
        let addresses = words[0] ^ words[1] ^ words[2] ^ words[3];
        let half = (addresses ^ addresses >> 32) as u32;
        let folded = ((half ^ half >> 16) as u16).to_be();
        let ports = if has_ports(key.proto) { key.port[0].get() ^ key.port[1].get() } else { 0 };
        self.toeplitz.hash_folded(folded ^ ports)
    }

    /// Returns the lane for an RSS hash, computed here or by a trusted NIC.
    #[inline]
    #[must_use]
    pub const fn lane_of_hash(&self, hash: u32) -> u8 {
        self.redirection[hash as usize % REDIRECTIONS]
    }

    /// Returns the lane that owns a key.
    #[inline]
    #[must_use]
    pub fn lane_of(&self, key: &Key) -> u8 {
        self.lane_of_hash(self.hash_of(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Toeplitz;
    use crate::packet::{Be16, Family};
    use proptest::prelude::*;

    fn key(family: Family, addr: [[u8; 16]; 2], port: [u16; 2], proto: u8) -> Key {
        let mut key = Key { addr, port: port.map(Be16::new), rdomain: 3, family, proto };
        if family == Family::V4 {
            key.addr.iter_mut().for_each(|addr| addr[4..].fill(0));
        }
        key
    }

    fn any_key() -> impl Strategy<Value = Key> {
        let proto = prop_oneof![Just(1u8), Just(6), Just(17), Just(58), Just(132), any::<u8>()];
        let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
        (family, any::<[[u8; 16]; 2]>(), any::<[u16; 2]>(), proto)
            .prop_map(|(f, a, p, proto)| key(f, a, p, proto))
    }

    /// Returns the bytes that the NIC hashes.
    fn nic_input(key: &Key) -> Vec<u8> {
        let length = if key.family == Family::V4 { 4 } else { 16 };
        let mut bytes: Vec<u8> = key.addr.iter().flat_map(|addr| addr[..length].to_vec()).collect();
        if matches!(key.proto, 6 | 17 | 132) {
            bytes.extend(key.port.iter().flat_map(|port| port.0));
        }
        bytes
    }

    proptest! {
        #[test]
        fn the_hash_is_the_nics(key in any_key()) {
            let steering = Steering::over_lanes(8).unwrap();
            prop_assert_eq!(steering.hash_of(&key), Toeplitz::new(&DEFAULT_KEY).hash(&nic_input(&key)));
        }

        #[test]
        fn both_directions_have_the_same_lane(key in any_key(), lanes in 1u32..=128) {
            let steering = Steering::over_lanes(lanes).unwrap();
            prop_assert_eq!(steering.hash_of(&key), steering.hash_of(&key.swapped()));
            prop_assert!(u32::from(steering.lane_of(&key)) < lanes);
            prop_assert_eq!(steering.lane_of(&key), steering.lane_of(&key.swapped()));
        }
    }

    #[test]
    fn ports_are_hashed_for_tcp_but_not_for_icmp() {
        let steering = Steering::over_lanes(128).unwrap();
        let of = |port, proto| steering.hash_of(&key(Family::V4, [[1; 16], [2; 16]], [port, 80], proto));
        for proto in [6, 17, 132] {
            assert_ne!(of(1000, proto), of(1001, proto));
        }
        for proto in [1, 47, 50, 58] {
            assert_eq!(of(1000, proto), of(1001, proto));
        }
    }

    #[test]
    fn connections_spread_over_all_lanes() {
        let steering = Steering::over_lanes(8).unwrap();
        let mut counts = [0u32; 8];
        for port in 1024..=u16::MAX {
            counts[usize::from(steering.lane_of(&key(Family::V6, [[7; 16], [9; 16]], [port, 443], 6)))] += 1;
        }
        assert!(counts.iter().all(|&count| (6000..10000).contains(&count)), "{counts:?}");
    }

    #[test]
    fn an_asymmetric_key_or_a_bad_lane_count_is_refused() {
        let mut key = DEFAULT_KEY;
        key[39] ^= 1;
        assert!(Steering::new(key, [0; REDIRECTIONS]).is_err());
        assert!(Steering::over_lanes(0).is_err());
        assert!(Steering::over_lanes(129).is_err());
        assert_eq!(Steering::over_lanes(3).unwrap().redirection()[..4], [0, 1, 2, 0]);
    }
}
