//! The tracking record of one side of a connection.

use zerocopy::big_endian::U64;
use zerocopy::{Immutable, IntoBytes};

use crate::layout;

/// Scrub data of one side (`struct pfsync_state_scrub`). All zero unless `valid` is 1.
///
/// The fields are in reverse wire order, so that a little-endian machine reads and writes them as one byte-swapped word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub struct Scrub {
    /// Timestamp modulator; FreeBSD 14 and later keep the SCTP verification tag here.
    pub ts_mod: u32,
    /// 1 if this side is scrubbed, else 0. Other values on the wire count as 0.
    pub valid: u8,
    /// Highest TTL or hop limit seen from this side.
    pub ttl: u8,
    /// Only bit 0x0001, timestamp modulation, is sent.
    pub flags: u16,
}

/// The bits on the wire of a side that is not scrubbed (0) and of one that is (1): one flag, TTL, validity, modulator.
static WIRE_BITS: [u64; 2] = [0, 0x0001_ffff_ffff_ffff];

/// The tracking record of one side, the same in all profiles (`struct pfsync_state_peer`; OpenBSD `pf_state_peer_hton`).
/// Numbers are in native byte order.
///
/// ```text
///  0      2   3   4        8      12     16      20      22  24    25     26
/// | flags |ttl|val| ts_mod |seqlo |seqhi |seqdiff|max_win|mss|state|wscale| zero (6) |
/// ```
///
/// The fields within each of the first three 8-byte words are in reverse wire order, so that on a little-endian machine
/// one load and one byte swap produce a word of the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct StatePeer {
    /// Scrub data.
    pub scrub: Scrub,
    /// Highest sequence number that this side may send.
    pub seqhi: u32,
    /// Highest sequence number that this side has sent.
    pub seqlo: u32,
    /// Maximum segment size; used by syn-proxy.
    pub mss: u16,
    /// Largest window advertised, unscaled.
    pub max_win: u16,
    /// Modulator added to this side's sequence numbers; 0 for none.
    pub seqdiff: u32,
    /// Peer state, see [`peer_state`](crate::peer_state).
    pub state: u8,
    /// Window scale in the low four bits; bit 0x80 if the option was seen.
    pub wscale: u8,
}

impl Scrub {
    /// Returns the wire's eight bytes as a big-endian word.
    #[inline(always)]
    fn word(self) -> u64 {
        if cfg!(target_endian = "little") {
            // The expression below would prevent a single load.
            return zerocopy::transmute!(self);
        }
        u64::from(self.flags) << 48
            | u64::from(self.ttl) << 40
            | u64::from(self.valid) << 32
            | u64::from(self.ts_mod)
    }

    #[inline(always)]
    const fn from_word(word: u64) -> Self {
        Self {
            flags: (word >> 48) as u16,
            ttl: (word >> 40) as u8,
            valid: (word >> 32) as u8,
            ts_mod: word as u32,
        }
    }

    /// Clears the bits of the word that are never sent: all of them if the side is not scrubbed. Uses a table instead of a
    /// branch, because on some hosts half of all sides are scrubbed.
    #[inline(always)]
    fn masked(word: u64, valid: u8) -> u64 {
        word & WIRE_BITS[usize::from(valid == 1)]
    }
}

impl StatePeer {
    #[inline(always)]
    pub(crate) fn parse(wire: &layout::Peer) -> Self {
        let words: &[U64; 4] = zerocopy::transmute_ref!(wire);
        let [scrub, sequence, window, _] = words.each_ref().map(|word| word.get());
        Self {
            scrub: Scrub::from_word(Scrub::masked(scrub, wire.scrub.scrub_flag)),
            seqlo: (sequence >> 32) as u32,
            seqhi: sequence as u32,
            seqdiff: (window >> 32) as u32,
            max_win: (window >> 16) as u16,
            mss: window as u16,
            state: wire.state,
            wscale: wire.wscale,
        }
    }

    #[inline(always)]
    pub(crate) fn emit(&self, wire: &mut layout::Peer) {
        let sequence = u64::from(self.seqlo) << 32 | u64::from(self.seqhi);
        let window = u64::from(self.seqdiff) << 32 | u64::from(self.max_win) << 16 | u64::from(self.mss);
        let words: &mut [U64; 4] = zerocopy::transmute_mut!(wire);
        words[0].set(Scrub::masked(self.scrub.word(), self.scrub.valid));
        words[1].set(sequence);
        words[2].set(window);
        words[3] = U64::from_bytes([self.state, self.wscale, 0, 0, 0, 0, 0, 0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromBytes;

    #[test]
    fn an_unscrubbed_side_reads_and_writes_zero_scrub_bytes() {
        for flag in [0, 2, 255] {
            let mut bytes = [0xa5; 32];
            bytes[3] = flag;
            let wire = layout::Peer::mut_from_bytes(&mut bytes).unwrap();
            let mut peer = StatePeer::parse(wire);
            assert_eq!(peer.scrub, Scrub::default());
            peer.scrub = Scrub { flags: 1, ttl: 64, valid: flag, ts_mod: 7 };
            peer.emit(wire);
            assert_eq!(bytes[..8], [0; 8]);
            assert_eq!(bytes[26..], [0; 6]);
        }
    }

    #[test]
    fn only_the_timestamp_modulation_flag_is_carried() {
        let mut bytes = [0; 32];
        let peer = StatePeer {
            scrub: Scrub { flags: 0xffff, ttl: 64, valid: 1, ts_mod: 0x0102_0304 },
            ..StatePeer::default()
        };
        peer.emit(layout::Peer::mut_from_bytes(&mut bytes).unwrap());
        assert_eq!(bytes[..8], [0, 1, 64, 1, 1, 2, 3, 4]);
        bytes[0] = 0xff;
        let back = StatePeer::parse(layout::Peer::ref_from_bytes(&bytes).unwrap());
        assert_eq!(back.scrub, Scrub { flags: 1, ttl: 64, valid: 1, ts_mod: 0x0102_0304 });
    }
}
