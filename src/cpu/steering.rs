//! Which lane owns a key: the same pure function that the network card computes.
//!
//! The card hashes addresses and ports with the symmetric Toeplitz hash and looks the low seven bits up in the
//! redirection table. The host programs its card with [`Steering::key`] and [`Steering::redirection`].
//!
//! TCP, UDP and SCTP are hashed over addresses and ports, everything else (ICMP, ICMPv6, GRE, ESP, ...) over the
//! addresses alone, as cards do for what they do not parse. So an ICMP error and the connection it speaks of may live
//! on different lanes; the hand-off verdict covers that. A card must be told to hash the same fields (DPDK:
//! `RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP`); where it cannot, the host must not
//! declare its hash trustworthy.

use super::toeplitz::{KEY_BYTES, SymmetricToeplitz};
use crate::error::{Error, check_range};
use crate::packet::Key;

/// Entries of the redirection table.
pub const REDIRECTIONS: usize = 128;

/// The usual symmetric key: 6d 5a, repeated.
pub const DEFAULT_KEY: [u8; KEY_BYTES] = {
    let mut key = [0x6d; KEY_BYTES];
    let mut n = 1;
    while n < KEY_BYTES {
        key[n] = 0x5a;
        n += 2;
    }
    key
};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// Whether the ports of a protocol are hashed.
#[inline]
#[must_use]
pub const fn has_ports(proto: u8) -> bool {
    matches!(proto, TCP | UDP | SCTP)
}

/// The steering function of an engine: RSS key and redirection table.
///
/// Thread: any; it never changes after it was made.
#[derive(Clone)]
pub struct Steering {
    key: [u8; KEY_BYTES],
    redirection: [u8; REDIRECTIONS],
    toeplitz: SymmetricToeplitz,
}

impl Steering {
    /// A steering function from an RSS key and a table of lane numbers.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key does not repeat every two bytes: it would send the two directions of a
    /// connection to different lanes.
    pub fn new(key: [u8; KEY_BYTES], redirection: [u8; REDIRECTIONS]) -> Result<Self, Error> {
        let toeplitz = SymmetricToeplitz::new(&key).ok_or(Error::Invalid {
            name: "rss_key",
            reason: "not symmetric: it must repeat every two bytes",
        })?;
        Ok(Self { key, redirection, toeplitz })
    }

    /// The usual key, and `lanes` lanes dealt out in turn.
    ///
    /// # Errors
    /// [`Error::Setting`] when `lanes` is not from 1 to 128.
    pub fn over_lanes(lanes: u32) -> Result<Self, Error> {
        check_range("lanes", lanes.into(), 1, REDIRECTIONS as u64)?;
        Self::new(DEFAULT_KEY, core::array::from_fn(|n| (n % lanes as usize) as u8))
    }

    /// The RSS key, as a card takes it.
    #[must_use]
    pub const fn key(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }

    /// The redirection table: lane numbers by the low seven bits of the hash.
    #[must_use]
    pub const fn redirection(&self) -> &[u8; REDIRECTIONS] {
        &self.redirection
    }

    /// The RSS hash of a key, the same for both directions. Cost: some ten instructions and two loads.
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

    /// The lane for an RSS hash, computed here or by a card that can be trusted.
    #[inline]
    #[must_use]
    pub const fn lane_of_hash(&self, hash: u32) -> u8 {
        self.redirection[hash as usize % REDIRECTIONS]
    }

    /// The lane that owns a key.
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

    /// What a card does: the bytes as they lie in the packet.
    fn card_input(key: &Key) -> Vec<u8> {
        let length = if key.family == Family::V4 { 4 } else { 16 };
        let mut bytes: Vec<u8> = key.addr.iter().flat_map(|addr| addr[..length].to_vec()).collect();
        if matches!(key.proto, 6 | 17 | 132) {
            bytes.extend(key.port.iter().flat_map(|port| port.0));
        }
        bytes
    }

    proptest! {
        #[test]
        fn the_hash_is_the_cards(key in any_key()) {
            let steering = Steering::over_lanes(8).unwrap();
            prop_assert_eq!(steering.hash_of(&key), Toeplitz::new(&DEFAULT_KEY).hash(&card_input(&key)));
        }

        #[test]
        fn both_directions_meet_on_one_lane(key in any_key(), lanes in 1u32..=128) {
            let steering = Steering::over_lanes(lanes).unwrap();
            prop_assert_eq!(steering.hash_of(&key), steering.hash_of(&key.swapped()));
            prop_assert!(u32::from(steering.lane_of(&key)) < lanes);
            prop_assert_eq!(steering.lane_of(&key), steering.lane_of(&key.swapped()));
        }
    }

    #[test]
    fn ports_count_for_tcp_and_not_for_icmp() {
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
    fn a_key_or_a_lane_count_that_cannot_work_is_refused() {
        let mut key = DEFAULT_KEY;
        key[39] ^= 1;
        assert!(Steering::new(key, [0; REDIRECTIONS]).is_err());
        assert!(Steering::over_lanes(0).is_err());
        assert!(Steering::over_lanes(129).is_err());
        assert_eq!(Steering::over_lanes(3).unwrap().redirection()[..4], [0, 1, 2, 0]);
    }
}
