//! One side of a connection.

use zerocopy::big_endian::U64;
use zerocopy::{Immutable, IntoBytes};

use super::layout;

/// Scrub facts of one side. All zero unless `valid` is 1.
///
/// The fields lie as the wire's do on a little-endian machine once their eight bytes are reversed, so that they are
/// read and written as one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub struct Scrub {
    /// Timestamp modulator; FreeBSD 14 and later keep the SCTP verification tag here.
    pub ts_mod: u32,
    /// 1 when this side is scrubbed, else 0. Other numbers on the wire count as 0.
    pub valid: u8,
    /// Highest TTL or hop limit seen from this side.
    pub ttl: u8,
    /// Only bit 0x0001, timestamp modulation, is ever on the wire.
    pub flags: u16,
}

/// What may be on the wire of a side that is not scrubbed, and of one that is: one flag bit, TTL, validity, modulator.
static KEEP: [u64; 2] = [0, 0x0001_ffff_ffff_ffff];

/// One side's record, the same in all dialects (`protocol` section 3.2). Numbers in the processor's order.
///
/// ```text
///  0      2   3   4        8      12     16      20      22  24    25     26
/// | flags |ttl|on | ts_mod |seqlo |seqhi |seqdiff|max_win|mss|state|wscale| zero (6) |
/// ```
///
/// Within the first three times eight bytes the fields lie in the opposite order of the wire's, so that on a
/// little-endian machine one load and one byte swap make one word of the message. The last two bytes are the wire's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct StatePeer {
    /// Scrub facts.
    pub scrub: Scrub,
    /// Highest sequence number that this side may send.
    pub seqhi: u32,
    /// Highest sequence number that this side has sent.
    pub seqlo: u32,
    /// Maximum segment size, used by syn-proxy.
    pub mss: u16,
    /// Largest window advertised, unscaled.
    pub max_win: u16,
    /// Modulator added to this side's numbers, 0 for none.
    pub seqdiff: u32,
    /// State number (`protocol` section 4.1).
    pub state: u8,
    /// Low four bits the shift, bit 0x80 when the option was seen.
    pub wscale: u8,
}

impl Scrub {
    /// The record as one number, flags highest.
    #[inline(always)]
    fn word(self) -> u64 {
        if cfg!(target_endian = "little") {
            // Spelled out, the mask below would take the one load apart.
            return zerocopy::transmute!(self);
        }
        u64::from(self.flags) << 48
            | u64::from(self.ttl) << 40
            | u64::from(self.valid) << 32
            | u64::from(self.ts_mod)
    }

    #[inline(always)]
    const fn of_word(word: u64) -> Self {
        Self {
            flags: (word >> 48) as u16,
            ttl: (word >> 40) as u8,
            valid: (word >> 32) as u8,
            ts_mod: word as u32,
        }
    }

    /// The number with what may be on the wire; nothing when the side is not scrubbed. By a table instead of a branch:
    /// half of all sides are scrubbed on some hosts.
    #[inline(always)]
    fn kept(word: u64, valid: u8) -> u64 {
        word & KEEP[usize::from(valid == 1)]
    }
}

impl StatePeer {
    #[inline(always)]
    pub(super) fn parse(wire: &layout::Peer) -> Self {
        let words: &[U64; 4] = zerocopy::transmute_ref!(wire);
        let [scrub, sequence, window, _] = words.each_ref().map(|word| word.get());
        Self {
            scrub: Scrub::of_word(Scrub::kept(scrub, wire.scrub.scrub_flag)),
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
    pub(super) fn emit(&self, wire: &mut layout::Peer) {
        let sequence = u64::from(self.seqlo) << 32 | u64::from(self.seqhi);
        let window = u64::from(self.seqdiff) << 32 | u64::from(self.max_win) << 16 | u64::from(self.mss);
        let words: &mut [U64; 4] = zerocopy::transmute_mut!(wire);
        words[0].set(Scrub::kept(self.scrub.word(), self.scrub.valid));
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
    fn an_unscrubbed_side_has_no_scrub_bytes_either_way() {
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
    fn of_the_scrub_flags_only_timestamp_modulation_is_carried() {
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
