//! One side of a connection.

use super::layout;

/// Scrub facts of one side. All zero unless `valid` is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrub {
    /// Only bit 0x0001, timestamp modulation, is ever on the wire.
    pub flags: u16,
    /// Highest TTL or hop limit seen from this side.
    pub ttl: u8,
    /// 1 when this side is scrubbed, else 0. Other numbers on the wire count as 0.
    pub valid: u8,
    /// Timestamp modulator; FreeBSD 14 and later keep the SCTP verification tag here.
    pub ts_mod: u32,
}

/// One side's record, the same in all dialects (`protocol` section 3.2). Numbers in the processor's order.
///
/// ```text
///  0      2   3   4        8      12     16      20      22  24    25     26
/// | flags |ttl|on | ts_mod |seqlo |seqhi |seqdiff|max_win|mss|state|wscale| zero (6) |
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatePeer {
    /// Scrub facts.
    pub scrub: Scrub,
    /// Highest sequence number that this side has sent.
    pub seqlo: u32,
    /// Highest sequence number that this side may send.
    pub seqhi: u32,
    /// Modulator added to this side's numbers, 0 for none.
    pub seqdiff: u32,
    /// Largest window advertised, unscaled.
    pub max_win: u16,
    /// Maximum segment size, used by syn-proxy.
    pub mss: u16,
    /// State number (`protocol` section 4.1).
    pub state: u8,
    /// Low four bits the shift, bit 0x80 when the option was seen.
    pub wscale: u8,
}

impl Scrub {
    /// What may be on the wire when the side is scrubbed: one flag bit, TTL, validity, modulator.
    const ON: u64 = 0x0001_ffff_ffff_ffff;

    #[inline(always)]
    fn parse(wire: &layout::Scrub) -> Self {
        let whole = zerocopy::transmute_ref!(wire);
        let whole = u64::from_be_bytes(*whole);
        let whole = if wire.scrub_flag == 1 { whole & Self::ON } else { 0 };
        Self {
            flags: (whole >> 48) as u16,
            ttl: (whole >> 40) as u8,
            valid: (whole >> 32) as u8,
            ts_mod: whole as u32,
        }
    }

    #[inline(always)]
    fn emit(&self, wire: &mut layout::Scrub) {
        let whole = u64::from(self.flags) << 48
            | u64::from(self.ttl) << 40
            | u64::from(self.valid) << 32
            | u64::from(self.ts_mod);
        let whole = if self.valid == 1 { whole & Self::ON } else { 0 };
        let bytes: &mut [u8; 8] = zerocopy::transmute_mut!(wire);
        *bytes = whole.to_be_bytes();
    }
}

impl StatePeer {
    #[inline(always)]
    pub(super) fn parse(wire: &layout::Peer) -> Self {
        Self {
            scrub: Scrub::parse(&wire.scrub),
            seqlo: wire.seqlo.get(),
            seqhi: wire.seqhi.get(),
            seqdiff: wire.seqdiff.get(),
            max_win: wire.max_win.get(),
            mss: wire.mss.get(),
            state: wire.state,
            wscale: wire.wscale,
        }
    }

    #[inline(always)]
    pub(super) fn emit(&self, wire: &mut layout::Peer) {
        self.scrub.emit(&mut wire.scrub);
        wire.seqlo.set(self.seqlo);
        wire.seqhi.set(self.seqhi);
        wire.seqdiff.set(self.seqdiff);
        wire.max_win.set(self.max_win);
        wire.mss.set(self.mss);
        wire.state = self.state;
        wire.wscale = self.wscale;
        wire.pad = [0; 6];
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
