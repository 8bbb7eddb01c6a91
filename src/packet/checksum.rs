//! The internet checksum: over bytes (RFC 1071), and kept right while fields change (RFC 1624).
//!
//! Sums are taken over the bytes as they lie in memory, in the processor's own order: a ones' complement sum comes out
//! in the order that its words went in (RFC 1071 section 2 B), so that nothing is swapped and results are [`Be16`].

use super::Be16;

/// A ones' complement sum under way, of parts that each begin at an even place of what is summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u16);

impl Sum {
    /// The sum of a TCP, UDP or ICMPv6 pseudo header: `addresses` as a key holds them, in either order, and `length`
    /// the octets of the transport header and its data.
    ///
    /// One function for both families: the twelve zero octets behind an IPv4 address add nothing.
    #[inline]
    #[must_use]
    pub fn pseudo_header(addresses: &[[u8; 16]; 2], proto: u8, length: u32) -> Self {
        let sum = Self::default().bytes(&addresses[0]).bytes(&addresses[1]);
        sum.bytes(&length.to_be_bytes()).bytes(&[0, proto])
    }

    /// With `bytes` added. An odd last byte counts as if a zero followed; nothing may be added behind it.
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

    /// With the complement of `bytes` added: what takes them out of a sum that they are in.
    #[inline]
    #[must_use]
    fn without(self, bytes: &[u8]) -> Self {
        let Self(out) = Self::default().bytes(bytes);
        Self(fold(u64::from(self.0) + u64::from(!out)))
    }

    /// The checksum field that makes the whole sum right.
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> Be16 {
        Be16((!self.0).to_ne_bytes())
    }

    /// Whether what was summed, its checksum field included, is intact.
    #[inline]
    #[must_use]
    pub const fn is_intact(self) -> bool {
        self.0 == u16::MAX
    }
}

/// What the change of fields does to every checksum that covers them.
///
/// Fields are of an even number of bytes and begin at an even place of what is summed.
///
/// Carries are added back in only where a checksum is made, since each time is a wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change(u64);

impl Change {
    /// Of a field that was `old` and is `new`.
    #[inline(always)]
    #[must_use]
    pub fn between(old: &[u8], new: &[u8]) -> Self {
        Self(Sum::default().without(old).bytes(new).0.into())
    }

    /// [`Self::between`] for a length that the compiler knows, which it makes some ten instructions of.
    #[inline(always)]
    #[must_use]
    pub fn of_field<const N: usize>(old: &[u8; N], new: &[u8; N]) -> Self {
        const { assert!(N.is_multiple_of(2) && N <= 64) };
        // Taking out a word is adding its complement.
        let (words, rest) = (N / 4, N % 4 / 2);
        let complements = words as u64 * u64::from(u32::MAX) + rest as u64 * u64::from(u16::MAX);
        Self(wide_sum(new) + complements - wide_sum(old))
    }

    /// Of the two addresses of a key, in eight wide additions instead of thirty-two: [`Self::of_field`] of both.
    #[inline(always)]
    #[must_use]
    pub fn of_addresses(old: &[[u8; 16]; 2], new: &[[u8; 16]; 2]) -> Self {
        let wide = around(widest_sum(new), !widest_sum(old));
        Self(halves(wide))
    }

    /// Both changes.
    #[inline(always)]
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The checksum field afterwards: RFC 1624 equation 3.
    #[inline(always)]
    #[must_use]
    pub fn in_checksum(self, checksum: Be16) -> Be16 {
        Sum(fold(u64::from(!u16::from_ne_bytes(checksum.0)) + self.0)).checksum()
    }

    /// The UDP checksum field afterwards, see [`update_udp`].
    #[inline(always)]
    #[must_use]
    pub fn in_udp_checksum(self, checksum: Be16) -> Be16 {
        match (checksum, self.in_checksum(checksum)) {
            (Be16([0, 0]), _) => checksum,
            (_, Be16([0, 0])) => Be16([0xff; 2]),
            (_, updated) => updated,
        }
    }

    /// The field afterwards where it holds the sum of the pseudo header, not its complement: so a packet whose checksum
    /// the card is to finish.
    #[inline(always)]
    #[must_use]
    pub fn in_sum(self, sum: Be16) -> Be16 {
        Be16(fold(u64::from(u16::from_ne_bytes(sum.0)) + self.0).to_ne_bytes())
    }
}

/// The words of a field, added up.
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

/// A ones' complement addition: the carry comes back in.
#[inline(always)]
const fn around(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u64)
}

/// Two addresses, added up in a ones' complement sum of 64 bits.
#[inline(always)]
fn widest_sum(addresses: &[[u8; 16]; 2]) -> u64 {
    let halves = |address: &[u8; 16]| {
        let wide = u128::from_ne_bytes(*address);
        around(wide as u64, (wide >> 64) as u64)
    };
    around(halves(&addresses[0]), halves(&addresses[1]))
}

/// Carries added back in until 16 bits are left.
#[inline(always)]
const fn fold(wide: u64) -> u16 {
    let sum = halves(wide);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Both halves of a sum, added up: less than 2 to the 33rd.
#[inline(always)]
const fn halves(wide: u64) -> u64 {
    (wide & 0xffff_ffff) + (wide >> 32)
}

/// The checksum of `bytes`, whose own checksum field is zero: of an IPv4 header, or of an ICMP message.
#[inline]
#[must_use]
pub fn checksum(bytes: &[u8]) -> Be16 {
    Sum::default().bytes(bytes).checksum()
}

/// `checksum` after a field in what it covers changed from `old` to `new`: RFC 1624 equation 3, which never gives the
/// zero of the other sign as RFC 1141 did.
///
/// The field is of an even number of bytes and begins at an even place of what is summed; put two neighbours into one
/// call where that is not so. A wrong checksum stays as wrong as it was.
///
/// Cost: the bytes that changed, not those that are covered.
#[inline]
#[must_use]
pub fn update(checksum: Be16, old: &[u8], new: &[u8]) -> Be16 {
    Sum(!u16::from_ne_bytes(checksum.0)).without(old).bytes(new).checksum()
}

/// [`update`] for UDP, where zero means that there is no checksum (RFC 768): zero stays, and a sum that comes out as zero
/// is written as 0xffff.
#[inline]
#[must_use]
pub fn update_udp(checksum: Be16, old: &[u8], new: &[u8]) -> Be16 {
    if checksum.0 == [0; 2] {
        return checksum;
    }
    match update(checksum, old, new) {
        Be16([0, 0]) => Be16([0xff; 2]),
        updated => updated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sixteen bits at a time, by the words of RFC 1071.
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
    fn the_example_of_rfc_1071_sums_as_written_there() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).get(), !0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624_comes_out_as_zero_not_as_its_complement() {
        let updated = update(Be16::new(0xdd2f), &0x5555u16.to_be_bytes(), &0x3285u16.to_be_bytes());
        assert_eq!(updated.get(), 0x0000);
    }

    #[test]
    fn udp_without_a_checksum_stays_without_one_and_none_becomes_so() {
        let (old, new) = (0x5555u16.to_be_bytes(), 0x3285u16.to_be_bytes());
        assert_eq!(update_udp(Be16::new(0), &old, &new).get(), 0);
        assert_eq!(update_udp(Be16::new(0xdd2f), &old, &new).get(), 0xffff);
    }

    #[test]
    fn no_sum_is_lost_in_many_carries() {
        for length in [2, 4, 6, 64, 1500, 65534] {
            let ones = vec![0xff; length];
            assert_eq!(checksum(&ones).get(), naive(&ones), "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_sum_as_the_naive_way_does(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(checksum(&bytes).get(), naive(&bytes));
        }

        #[test]
        fn parts_sum_as_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..100) {
            let (front, back) = bytes.split_at((cut * 2).min(bytes.len() & !1));
            prop_assert_eq!(Sum::default().bytes(front).bytes(back).checksum(), checksum(&bytes));
        }

        #[test]
        fn a_changed_field_gives_the_checksum_of_the_changed_packet(
            mut packet in prop::collection::vec(any::<u8>(), 20..120),
            place in 1usize..9,
            fields in 1usize..3,
            new in any::<[u8; 4]>(),
        ) {
            packet[..3].copy_from_slice(&[0x45, 0, 0]);
            packet[18..20].fill(0);
            let before = checksum(&packet);
            let field = place * 2..(place * 2 + fields * 2).min(18);
            let old = packet[field.clone()].to_vec();
            let new = &new[..field.len()];
            packet[field].copy_from_slice(new);
            prop_assert_eq!(update(before, &old, new), checksum(&packet));
            packet[18..20].copy_from_slice(&update(before, &old, new).0);
            prop_assert!(Sum::default().bytes(&packet).is_intact());
        }

        #[test]
        fn changes_of_several_fields_add_up(
            mut packet in prop::collection::vec(any::<u8>(), 40..41),
            new in any::<[u8; 12]>(),
        ) {
            packet[..3].copy_from_slice(&[0x45, 0, 0]);
            let before = checksum(&packet);
            let both = Change::between(&packet[4..12], &new[..8]).and(Change::between(&packet[20..24], &new[8..]));
            packet[4..12].copy_from_slice(&new[..8]);
            packet[20..24].copy_from_slice(&new[8..]);
            prop_assert_eq!(both.in_checksum(before), checksum(&packet));
            let sum = |checksum: Be16| Be16::new(!checksum.get());
            prop_assert_eq!(sum(both.in_sum(sum(before))), checksum(&packet));
        }

        #[test]
        fn other_addresses_change_a_sum_as_their_fields_do(
            old in any::<[[u8; 16]; 2]>(),
            new in any::<[[u8; 16]; 2]>(),
            checksum in any::<[u8; 2]>(),
        ) {
            let fields = Change::of_field(&old[0], &new[0]).and(Change::of_field(&old[1], &new[1]));
            let at_once = Change::of_addresses(&old, &new);
            prop_assert_eq!(at_once.in_checksum(Be16(checksum)), fields.in_checksum(Be16(checksum)));
            prop_assert_eq!(at_once.and(fields).in_checksum(Be16(checksum)), fields.and(at_once).in_checksum(Be16(checksum)));
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
