//! The internet checksum: computing it over bytes (RFC 1071), and updating it when fields change (RFC 1624).
//!
//! Sums use the bytes as they lie in memory, in host byte order. A ones' complement sum does not depend on the byte order
//! (RFC 1071 section 2 B), so nothing is swapped and results are [`Be16`].

use super::Be16;

/// A partial ones' complement sum. Every part must begin at an even offset of the summed data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u16);

impl Sum {
    /// Returns the sum of a TCP, UDP or ICMPv6 pseudo header. `addresses` are a key's, in either order; `length` is that of
    /// the transport header and its data in bytes.
    ///
    /// It serves both families: the twelve zero bytes after an IPv4 address do not change the sum.
    #[inline]
    #[must_use]
    pub fn pseudo_header(addresses: &[[u8; 16]; 2], proto: u8, length: u32) -> Self {
        let sum = Self::default().bytes(&addresses[0]).bytes(&addresses[1]);
        sum.bytes(&length.to_be_bytes()).bytes(&[0, proto])
    }

    /// Adds `bytes`. After an odd number of bytes nothing more may be added.
    ///
    /// Cost: one pass, four bytes a step.
    #[inline]
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (words, tail) = bytes.as_chunks::<4>();
        let wide: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        let mut last = [0; 4];
        last[..tail.len()].copy_from_slice(tail);
        Self(fold(wide + u64::from(u32::from_ne_bytes(last)) + u64::from(self.0)))
    }

    /// Subtracts `bytes`.
    #[inline]
    #[must_use]
    fn without(self, bytes: &[u8]) -> Self {
        let Self(removed) = Self::default().bytes(bytes);
        Self(fold(u64::from(self.0) + u64::from(!removed)))
    }

    /// Returns the checksum field for the summed data.
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> Be16 {
        Be16((!self.0).to_ne_bytes())
    }

    /// Whether the summed data, including its checksum field, is intact.
    #[inline]
    #[must_use]
    pub const fn is_intact(self) -> bool {
        self.0 == u16::MAX
    }
}

/// What changed fields add to a checksum that covers them.
///
/// Fields have an even length and begin at an even offset of the summed data. Carries are folded only when the delta is
/// applied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChecksumDelta(u64);

impl ChecksumDelta {
    /// Returns the delta for bytes that change from `old` to `new`.
    #[inline(always)]
    #[must_use]
    pub(super) fn between(old: &[u8], new: &[u8]) -> Self {
        Self(Sum::default().without(old).bytes(new).0.into())
    }

    /// Like [`Self::between`], for a length known at compile time: about ten instructions.
    #[inline(always)]
    #[must_use]
    pub(super) fn of_field<const N: usize>(old: &[u8; N], new: &[u8; N]) -> Self {
        const { assert!(N.is_multiple_of(2) && N <= 64) };
        // Subtracting a word is adding its complement.
        let (words, rest) = (N / 4, N % 4 / 2);
        let complements = words as u64 * u64::from(u32::MAX) + rest as u64 * u64::from(u16::MAX);
        Self(wide_sum(new) + complements - wide_sum(old))
    }

    /// Like [`Self::of_field`] for both addresses of a key, in eight 64-bit additions instead of thirty-two.
    #[inline(always)]
    #[must_use]
    pub(super) fn of_addresses(old: &[[u8; 16]; 2], new: &[[u8; 16]; 2]) -> Self {
        let wide = add_with_carry(sum_of_addresses(new), !sum_of_addresses(old));
        Self(add_halves(wide))
    }

    /// Adds another delta.
    #[inline(always)]
    #[must_use]
    pub(super) fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Returns the new value of a checksum field (RFC 1624 equation 3). A wrong checksum stays wrong.
    #[inline(always)]
    #[must_use]
    pub(super) fn apply(self, checksum: Be16) -> Be16 {
        Sum(fold(u64::from(!u16::from_ne_bytes(checksum.0)) + self.0)).checksum()
    }

    /// Returns the new value of a UDP checksum field. Zero means "no checksum" (RFC 768) and stays; a result of zero is
    /// written as 0xffff.
    #[inline(always)]
    #[must_use]
    pub(super) fn apply_udp(self, checksum: Be16) -> Be16 {
        match (checksum, self.apply(checksum)) {
            (Be16([0, 0]), _) => checksum,
            (_, Be16([0, 0])) => Be16([0xff; 2]),
            (_, updated) => updated,
        }
    }

    /// Returns the new value of a field that holds the uncomplemented pseudo-header sum, because the NIC computes the
    /// checksum.
    #[inline(always)]
    #[must_use]
    pub(super) fn apply_partial(self, sum: Be16) -> Be16 {
        Be16(fold(u64::from(u16::from_ne_bytes(sum.0)) + self.0).to_ne_bytes())
    }
}

/// Adds up the words of a field.
#[inline(always)]
fn wide_sum<const N: usize>(bytes: &[u8; N]) -> u64 {
    let (words, tail) = bytes.as_chunks::<4>();
    let mut sum = 0;
    for word in words {
        sum += u64::from(u32::from_ne_bytes(*word));
    }
    if let [high, low] = tail {
        sum += u64::from(u16::from_ne_bytes([*high, *low]));
    }
    sum
}

/// Adds in ones' complement: the carry is added back.
#[inline(always)]
const fn add_with_carry(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u64)
}

/// Adds up two addresses in a 64-bit ones' complement sum.
#[inline(always)]
fn sum_of_addresses(addresses: &[[u8; 16]; 2]) -> u64 {
    let of_one = |address: &[u8; 16]| {
        let wide = u128::from_ne_bytes(*address);
        add_with_carry(wide as u64, (wide >> 64) as u64)
    };
    add_with_carry(of_one(&addresses[0]), of_one(&addresses[1]))
}

/// Folds a sum to 16 bits.
#[inline(always)]
const fn fold(wide: u64) -> u16 {
    let sum = add_halves(wide);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Adds both halves of a sum; the result is below 2^33.
#[inline(always)]
const fn add_halves(wide: u64) -> u64 {
    (wide & 0xffff_ffff) + (wide >> 32)
}

/// Returns the checksum of `bytes`, whose own checksum field is zero.
#[inline]
#[must_use]
pub fn checksum(bytes: &[u8]) -> Be16 {
    Sum::default().bytes(bytes).checksum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition of RFC 1071, 16 bits at a time.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u16;
        for pair in bytes.chunks(2) {
            let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
            let (added, carry) = sum.overflowing_add(word);
            sum = added + u16::from(carry);
        }
        !sum
    }

    #[test]
    fn the_example_of_rfc_1071_has_its_checksum() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).get(), !0xddf2);
    }

    /// The example of RFC 1624, which RFC 1141 gets wrong.
    #[test]
    fn an_update_gives_positive_zero_and_udp_writes_it_as_ffff() {
        let delta = ChecksumDelta::between(&0x5555u16.to_be_bytes(), &0x3285u16.to_be_bytes());
        assert_eq!(delta.apply(Be16::new(0xdd2f)).get(), 0x0000);
        assert_eq!(delta.apply_udp(Be16::new(0xdd2f)).get(), 0xffff);
        assert_eq!(delta.apply_udp(Be16::new(0)).get(), 0, "no checksum stays no checksum");
    }

    #[test]
    fn many_carries_are_all_counted() {
        for length in [2, 4, 6, 64, 1500, 65534] {
            let ones = vec![0xff; length];
            assert_eq!(checksum(&ones).get(), naive(&ones), "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_the_checksum_of_the_definition(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(checksum(&bytes).get(), naive(&bytes));
        }

        #[test]
        fn two_parts_sum_like_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..100) {
            let (front, back) = bytes.split_at((cut * 2).min(bytes.len() & !1));
            prop_assert_eq!(Sum::default().bytes(front).bytes(back).checksum(), checksum(&bytes));
        }

        #[test]
        fn a_changed_field_gives_the_checksum_of_the_changed_packet(
            mut packet in prop::collection::vec(any::<u8>(), 20..120),
            index in 1usize..9,
            words in 1usize..3,
            new in any::<[u8; 4]>(),
        ) {
            packet[..3].copy_from_slice(&[0x45, 0, 0]);
            packet[18..20].fill(0);
            let before = checksum(&packet);
            let field = index * 2..(index * 2 + words * 2).min(18);
            let new = &new[..field.len()];
            let updated = ChecksumDelta::between(&packet[field.clone()], new).apply(before);
            packet[field].copy_from_slice(new);
            prop_assert_eq!(updated, checksum(&packet));
            packet[18..20].copy_from_slice(&updated.0);
            prop_assert!(Sum::default().bytes(&packet).is_intact());
        }

        #[test]
        fn deltas_of_several_fields_add_up(
            mut packet in prop::collection::vec(any::<u8>(), 40..41),
            new in any::<[u8; 12]>(),
        ) {
            packet[..3].copy_from_slice(&[0x45, 0, 0]);
            let before = checksum(&packet);
            let both = ChecksumDelta::between(&packet[4..12], &new[..8])
                .plus(ChecksumDelta::between(&packet[20..24], &new[8..]));
            packet[4..12].copy_from_slice(&new[..8]);
            packet[20..24].copy_from_slice(&new[8..]);
            prop_assert_eq!(both.apply(before), checksum(&packet));
            let sum = |checksum: Be16| Be16::new(!checksum.get());
            prop_assert_eq!(sum(both.apply_partial(sum(before))), checksum(&packet));
        }

        #[test]
        fn the_delta_of_two_addresses_equals_that_of_their_fields(
            old in any::<[[u8; 16]; 2]>(),
            new in any::<[[u8; 16]; 2]>(),
            checksum in any::<[u8; 2]>(),
        ) {
            let checksum = Be16(checksum);
            let fields =
                ChecksumDelta::of_field(&old[0], &new[0]).plus(ChecksumDelta::of_field(&old[1], &new[1]));
            let both = ChecksumDelta::of_addresses(&old, &new);
            prop_assert_eq!(both.apply(checksum), fields.apply(checksum));
            prop_assert_eq!(both.plus(fields).apply(checksum), fields.plus(both).apply(checksum));
        }

        #[test]
        fn the_pseudo_header_is_that_of_the_rfcs(
            addresses in any::<[[u8; 16]; 2]>(),
            proto in any::<u8>(),
            length in any::<u16>(),
        ) {
            let [length_high, length_low] = length.to_be_bytes();
            let v6 = [&addresses[0][..], &addresses[1], &[0, 0, length_high, length_low, 0, 0, 0, proto]].concat();
            let sum = Sum::pseudo_header(&addresses, proto, length.into());
            prop_assert_eq!(sum.checksum().get(), naive(&v6));
            let mut short = [[0; 16]; 2];
            short[0][..4].copy_from_slice(&addresses[0][..4]);
            short[1][..4].copy_from_slice(&addresses[1][..4]);
            let v4 = [&addresses[0][..4], &addresses[1][..4], &[0, proto, length_high, length_low]].concat();
            let sum = Sum::pseudo_header(&short, proto, length.into());
            prop_assert_eq!(sum.checksum().get(), naive(&v4));
        }
    }
}
