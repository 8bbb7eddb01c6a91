//! Floods: keys that an adversary picks who knows everything but the secret.
//!
//! What a flood would make slow are lookups that leave their own bucket. So the tests count index lines a lookup, which is
//! what its time is made of, and read no clock.

use super::bucket::{ALTERNATES, Hash};
use super::index::Index;
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

/// What the flood keeps the same: the hash of the network card and the CRC that other tables use.
fn public_hashes(toeplitz: &Toeplitz, addresses: Addresses) -> u64 {
    let key = addresses.key();
    let mut input = key.addr.concat();
    input.extend(key.port.iter().flat_map(|port| port.0));
    u64::from(toeplitz.hash(&input)) << 32 | u64::from(crc(zerocopy::IntoBytes::as_bytes(&key)))
}

/// Differences of addresses that change neither public hash: both are linear, so Gauss finds them.
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

/// Fills an index to its limit and looks how many entries had to leave their own bucket.
fn flood(level: Level, count: u32, keys: impl Iterator<Item = Key>) {
    let mut index = Index::alone(count, &Memory::SYSTEM);
    level.run(Fill { index: &mut index, keys });
    let (overflowed, spilled, deepest) = index.overflow();
    let at_random = count / 90;
    assert!(
        overflowed < at_random + at_random / 4,
        "{level:?}: {overflowed} of {count}, at random {at_random}"
    );
    assert!(spilled <= 1 && deepest <= 7, "{level:?}: {spilled} spilled, {deepest} deep");
}

/// What lookups are made of: index lines, and hot lines whose keys are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Probes {
    lines: u32,
    compares: u32,
}

/// Looks keys up as [`Index::find`] does, and counts. `first` is the value of the first key.
struct Ask<'a, K> {
    index: &'a Index,
    keys: K,
    first: u32,
}

impl<K: Iterator<Item = Key>> Kernel for Ask<'_, K> {
    type Output = Probes;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Probes {
        let buckets = self.index.buckets();
        let count = buckets.number(Hash::new(u64::MAX)) + 1;
        let mut probes = Probes::default();
        for (key, wanted) in self.keys.zip(self.first..) {
            let hash = Hash::new(isa.hash(&SECRET, zerocopy::transmute_ref!(&key)));
            let depth = buckets.get(buckets.number(hash)).depth_for(hash);
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
            assert!(found == index || depth > ALTERNATES, "counted as it is searched");
        }
        probes
    }
}

/// What lookups that hit cost when an index is full of the first half of `keys`, and those of the others, that miss.
fn probes(level: Level, keys: &[Key]) -> [Probes; 2] {
    let (known, others) = keys.split_at(keys.len() / 2);
    let count = known.len() as u32;
    let mut index = Index::alone(count, &Memory::SYSTEM);
    level.run(Fill { index: &mut index, keys: known.iter().copied() });
    let index = &index;
    let hits = level.run(Ask { index, keys: known.iter().copied(), first: 0 });
    let misses = level.run(Ask { index, keys: others.iter().copied(), first: count });
    assert!(hits.compares >= count, "every one of them is there");
    [hits, misses]
}

/// Keys that nobody has picked.
fn any_key(n: u32) -> Key {
    let word = |salt: u64| {
        let mixed = (u64::from(n) + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    Addresses([1, 2].map(|salt| u128::from(word(salt << 40)) << 64 | u128::from(word(salt << 41)))).key()
}

/// A flood's keys cost no more than others do: the bound is twice that, they stay within a tenth.
fn costs_what_others_do(count: u32, key: impl Fn(u32) -> Key) {
    let picked: Vec<_> = (0..2 * count).map(key).collect();
    let others: Vec<_> = (0..2 * count).map(any_key).collect();
    // There are two hashes, the portable one and that of AES, which every other level has.
    for level in [Level::PORTABLE, Level::best()] {
        flood(level, count, picked.iter().copied().take(count as usize));
        for (picked, others) in probes(level, &picked).into_iter().zip(probes(level, &others)) {
            let within = |picked: u32, others: u32| picked <= others + others / 10;
            let lines = within(picked.lines, others.lines);
            let all = within(picked.lines + picked.compares, others.lines + others.compares);
            assert!(lines && all, "{level:?}: {picked:?}, of others {others:?}");
        }
    }
}

#[test]
fn keys_of_one_toeplitz_value_and_one_crc_are_like_any_others() {
    let differences = invisible_differences();
    let combine = |n: u32| {
        let chosen = (0..18).filter(|bit| n >> bit & 1 == 1);
        chosen.fold(Addresses::bit(5), |all, bit| all.xor(differences[bit]))
    };
    let toeplitz = Toeplitz::new(&DEFAULT_KEY);
    let same = public_hashes(&toeplitz, combine(0));
    assert!((1..1000).all(|n| public_hashes(&toeplitz, combine(n)) == same && combine(n) != combine(n - 1)));
    costs_what_others_do(1 << 17, |n| combine(n).key());
}

#[test]
fn a_million_addresses_in_a_row_are_like_any_others() {
    costs_what_others_do(1_000_000, |n| {
        let mut key =
            Key { family: Family::V4, proto: 6, port: [Be16::new(1024), Be16::new(80)], ..Key::EMPTY };
        key.addr[0][..4].copy_from_slice(&(0x0a00_0000 + n).to_be_bytes());
        key.addr[1][..4].copy_from_slice(&[192, 0, 2, 1]);
        key
    });
}

#[test]
fn all_ports_between_two_hosts_are_like_any_others() {
    costs_what_others_do(1 << 18, |n| Key {
        addr: [[1; 16], [2; 16]],
        port: [Be16::new(n as u16), Be16::new((n >> 16) as u16 + 5000)],
        family: Family::V6,
        proto: 17,
        ..Key::EMPTY
    });
}

/// The secret decides, and nothing else: the same keys fill two tables differently.
#[test]
fn two_secrets_put_the_same_keys_into_different_buckets() {
    let crowd = |secret| {
        let plan = Plan { states: 1000, translated: 0, ids: false };
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
    let (one, other) = (crowd([1, 2, 3, 4]), crowd([1, 2, 3, 5]));
    let same = one.iter().zip(&other).filter(|(one, other)| one == other).count();
    assert!(same < 20, "{same} of 256 in the same of some 170 buckets");
}
