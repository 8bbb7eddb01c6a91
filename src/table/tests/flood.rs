//! Floods: keys chosen by an attacker who knows everything but the secret.
//!
//! A flood is slow when lookups leave their own bucket. The tests count the index lines that lookups read, and use no clock.

use super::super::index::{ALTERNATES, Hash, Index, Overflow};
use super::{Plan, Table};
use crate::cpu::{DEFAULT_KEY, Isa, Kernel, Level, Secret, Toeplitz};
use crate::memory::Memory;
use crate::packet::{Be16, Family, Key};

const SECRET: Secret =
    Secret([0x9216_d5d9_8979_fb1b, 0xd131_0ba6_98df_b5ac, 0x2ffd_72db_d01a_dfb7, 0xb8e1_afed_6a26_7e96]);

/// The bits of both addresses of an IPv6 key.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Addresses([u128; 2]);

impl Addresses {
    fn bit(n: usize) -> Self {
        let mut bits = Self::default();
        bits.0[n / 128] = 1 << (n % 128);
        bits
    }

    fn xor(self, other: Self) -> Self {
        Self([self.0[0] ^ other.0[0], self.0[1] ^ other.0[1]])
    }

    fn key(self) -> Key {
        let addr = self.0.map(u128::to_be_bytes);
        Key { addr, port: [Be16::new(40_000), Be16::new(443)], family: Family::V6, proto: 6, ..Key::EMPTY }
    }
}

/// CRC-32C, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

/// Returns the hashes that the flood keeps constant: the network card's, and the CRC that other tables use.
fn public_hashes(toeplitz: &Toeplitz, addresses: Addresses) -> u64 {
    let key = addresses.key();
    let mut input = key.addr.concat();
    input.extend(key.port.iter().flat_map(|port| port.0));
    u64::from(toeplitz.hash(&input)) << 32 | u64::from(crc(zerocopy::IntoBytes::as_bytes(&key)))
}

/// Returns differences of addresses that change neither public hash. Both hashes are linear, so Gaussian elimination finds
/// them.
fn invisible_differences() -> Vec<Addresses> {
    let toeplitz = Toeplitz::new(&DEFAULT_KEY);
    let nothing = public_hashes(&toeplitz, Addresses::default());
    let mut pivots: Vec<(u64, Addresses)> = Vec::new();
    let mut invisible = Vec::new();
    for n in 0..256 {
        let mut difference = Addresses::bit(n);
        let mut change = public_hashes(&toeplitz, difference) ^ nothing;
        for &(pivot, addresses) in &pivots {
            if change ^ pivot < change {
                change ^= pivot;
                difference = difference.xor(addresses);
            }
        }
        if change == 0 {
            invisible.push(difference);
        } else {
            pivots.push((change, difference));
            pivots.sort_unstable_by_key(|&(change, _)| core::cmp::Reverse(change));
        }
    }
    invisible
}

struct Fill<'a, K> {
    index: &'a mut Index,
    keys: K,
}

impl<K: Iterator<Item = Key>> Kernel for Fill<'_, K> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        for (value, key) in self.keys.enumerate() {
            let hash = Hash::new(isa.hash(&SECRET, zerocopy::transmute_ref!(&key)));
            assert!(self.index.insert(isa, hash, value as u32), "entry {value}");
        }
    }
}

/// Fills an index to its capacity and checks how many entries overflow their own bucket.
fn check_overflow(level: Level, count: u32, keys: impl Iterator<Item = Key>) {
    let mut index = Index::standalone(count, &Memory::SYSTEM);
    level.run(Fill { index: &mut index, keys });
    let Overflow { overflowed, spilled, deepest } = index.overflow();
    let at_random = count / 90;
    assert!(
        overflowed < at_random + at_random / 4,
        "{level:?}: {overflowed} of {count}, at random {at_random}"
    );
    assert!(spilled <= 1 && deepest <= 7, "{level:?}: {spilled} spilled, {deepest} deep");
}

/// The cost of lookups: index lines read, and hot lines whose keys are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Probes {
    lines: u32,
    compares: u32,
}

/// Looks keys up as [`Index::find`] does, and counts the cost. `first` is the value of the first key.
struct CountProbes<'a, K> {
    index: &'a Index,
    keys: K,
    first: u32,
}

impl<K: Iterator<Item = Key>> Kernel for CountProbes<'_, K> {
    type Output = Probes;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Probes {
        let buckets = self.index.buckets();
        let count = buckets.number(Hash::new(u64::MAX)) + 1;
        let mut probes = Probes::default();
        for (key, wanted) in self.keys.zip(self.first..) {
            let hash = Hash::new(isa.hash(&SECRET, zerocopy::transmute_ref!(&key)));
            let depth = buckets.get(buckets.number(hash)).search_depth(hash);
            let others = (1..=depth.min(ALTERNATES)).map(|depth| hash.alternate(count, depth) as u32);
            let mut found = None;
            for number in core::iter::once(buckets.number(hash)).chain(others) {
                probes.lines += 1;
                found = buckets.get(number).find(isa, hash.tag(), &mut |value| {
                    probes.compares += 1;
                    value == wanted
                });
                if found.is_some() {
                    break;
                }
            }
            let index = self.index.find(isa, hash, |value| value == wanted);
            assert!(found == index || depth > ALTERNATES, "the count follows the real search");
        }
        probes
    }
}

/// Fills an index with the first half of `keys`. Returns the cost of lookups of these, and of the others, which miss.
fn probes(level: Level, keys: &[Key]) -> [Probes; 2] {
    let (inserted, others) = keys.split_at(keys.len() / 2);
    let count = inserted.len() as u32;
    let mut index = Index::standalone(count, &Memory::SYSTEM);
    level.run(Fill { index: &mut index, keys: inserted.iter().copied() });
    let index = &index;
    let hits = level.run(CountProbes { index, keys: inserted.iter().copied(), first: 0 });
    let misses = level.run(CountProbes { index, keys: others.iter().copied(), first: count });
    assert!(hits.compares >= count, "every inserted key is found");
    [hits, misses]
}

/// A pseudo-random key.
fn random_key(n: u32) -> Key {
    let word = |salt: u64| {
        let mixed = (u64::from(n) + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    Addresses([1, 2].map(|salt| u128::from(word(salt << 40)) << 64 | u128::from(word(salt << 41)))).key()
}

/// Checks that a flood's keys cost at most a tenth more than pseudo-random ones.
fn check_cost(count: u32, key: impl Fn(u32) -> Key) {
    let chosen: Vec<_> = (0..2 * count).map(key).collect();
    let others: Vec<_> = (0..2 * count).map(random_key).collect();
    // There are two hashes: the portable one, and the AES hash of all other levels.
    for level in [Level::PORTABLE, Level::best()] {
        check_overflow(level, count, chosen.iter().copied().take(count as usize));
        for (chosen, others) in probes(level, &chosen).into_iter().zip(probes(level, &others)) {
            let within = |chosen: u32, others: u32| chosen <= others + others / 10;
            let lines = within(chosen.lines, others.lines);
            let all = within(chosen.lines + chosen.compares, others.lines + others.compares);
            assert!(lines && all, "{level:?}: {chosen:?}, random keys {others:?}");
        }
    }
}

#[test]
fn keys_with_equal_toeplitz_and_crc_values_cost_no_more_than_random_keys() {
    let differences = invisible_differences();
    let combine = |n: u32| {
        let chosen = (0..18).filter(|bit| n >> bit & 1 == 1);
        chosen.fold(Addresses::bit(5), |all, bit| all.xor(differences[bit]))
    };
    let toeplitz = Toeplitz::new(&DEFAULT_KEY);
    let same = public_hashes(&toeplitz, combine(0));
    assert!((1..1000).all(|n| public_hashes(&toeplitz, combine(n)) == same && combine(n) != combine(n - 1)));
    check_cost(1 << 17, |n| combine(n).key());
}

#[test]
fn a_million_consecutive_addresses_cost_no_more_than_random_keys() {
    check_cost(1_000_000, |n| {
        let mut key =
            Key { family: Family::V4, proto: 6, port: [Be16::new(1024), Be16::new(80)], ..Key::EMPTY };
        key.addr[0][..4].copy_from_slice(&(0x0a00_0000 + n).to_be_bytes());
        key.addr[1][..4].copy_from_slice(&[192, 0, 2, 1]);
        key
    });
}

#[test]
fn all_ports_between_two_hosts_cost_no_more_than_random_keys() {
    check_cost(1 << 18, |n| Key {
        addr: [[1; 16], [2; 16]],
        port: [Be16::new(n as u16), Be16::new((n >> 16) as u16 + 5000)],
        family: Family::V6,
        proto: 17,
        ..Key::EMPTY
    });
}

#[test]
fn two_secrets_put_the_same_keys_into_different_buckets() {
    let buckets = |secret| {
        let plan = Plan { states: 1000, translated: 0, extras: 0 };
        let table = Table::new(plan, secret, &Memory::SYSTEM, -1).unwrap();
        let bucket = |n| {
            struct Number<'a>(&'a Table, Key);
            impl Kernel for Number<'_> {
                type Output = u32;

                fn run<I: Isa>(self, isa: I) -> u32 {
                    self.0.index.buckets().number(self.0.hash_key(isa, &self.1))
                }
            }
            table.level.run(Number(&table, Addresses::bit(n).key()))
        };
        (0..256).map(bucket).collect::<Vec<u32>>()
    };
    let (one, other) = (buckets([1, 2, 3, 4]), buckets([1, 2, 3, 5]));
    let same = one.iter().zip(&other).filter(|(one, other)| one == other).count();
    assert!(same < 20, "{same} of 256 in the same of some 170 buckets");
}
