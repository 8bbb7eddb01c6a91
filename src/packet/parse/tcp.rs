//! The TCP header and the two options that tracking needs.

use super::ports::Ports;
use super::reader::Reader;
use crate::packet::{Rejection, TcpFacts, tcp_flags};

const HEADER_BYTES: usize = 20;
const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;
const OPTION_WSCALE: u8 = 3;
const WSCALE_SEEN: u8 = 0x80;
/// A larger shift counts as this one (RFC 7323 section 2.3).
const MAX_WSCALE: u8 = 14;

/// Whether no host sends these flags together: SYN with RST or FIN; none of SYN, ACK and RST; FIN, PSH or URG without
/// ACK. Like OpenBSD's `pf_normalize_tcp`, except that pf clears the FIN of SYN+FIN+ACK instead of dropping the packet.
#[inline(always)]
pub(in crate::packet) const fn has_impossible_flags(flags: u8) -> bool {
    use tcp_flags::{ACK, FIN, PSH, RST, SYN, URG};
    let with_syn = flags & SYN != 0 && flags & (RST | FIN) != 0;
    let with_none = flags & (SYN | ACK | RST) == 0;
    let without_ack = flags & ACK == 0 && flags & (FIN | PSH | URG) != 0;
    with_syn || with_none || without_ack
}

/// Parses the segment at `at`.
#[inline(always)]
pub(super) fn read(reader: &Reader<'_>, at: usize) -> Result<(Ports, TcpFacts), Rejection> {
    let header: &[u8; HEADER_BYTES] = reader.header(at)?;
    let header_bytes = usize::from(header[12] >> 4) * 4;
    let flags = header[13] & 0x3f;
    if header_bytes < HEADER_BYTES || has_impossible_flags(flags) {
        return Err(Rejection::Malformed);
    }
    let Some(payload) = reader.end().checked_sub(at + header_bytes) else {
        return Err(Rejection::Truncated);
    };
    let word = |offset: usize| {
        u32::from_be_bytes([header[offset], header[offset + 1], header[offset + 2], header[offset + 3]])
    };
    let mut facts = TcpFacts {
        seq: word(4),
        ack: word(8),
        window: u16::from_be_bytes([header[14], header[15]]),
        flags,
        wscale: 0,
        mss: 0,
        payload: payload as u32,
    };
    if flags & tcp_flags::SYN != 0 && header_bytes > HEADER_BYTES {
        let options = reader.slice(at + HEADER_BYTES, header_bytes - HEADER_BYTES)?;
        (facts.wscale, facts.mss) = read_options(options);
    }
    Ok((Ports::from_header(header), facts))
}

/// Returns the window scale and the maximum segment size of a SYN's options. Like hosts, it stops at a malformed option
/// and keeps what came before.
fn read_options(mut options: &[u8]) -> (u8, u16) {
    let (mut wscale, mut mss) = (0, 0);
    while let [kind, rest @ ..] = options {
        match *kind {
            OPTION_END => break,
            OPTION_NOP => {
                options = rest;
                continue;
            }
            _ => {}
        }
        let length = match rest.first() {
            Some(length) if *length >= 2 => usize::from(*length),
            _ => break,
        };
        let Some((option, after)) = options.split_at_checked(length) else { break };
        match option {
            [OPTION_MSS, 4, high, low] => mss = u16::from_be_bytes([*high, *low]),
            [OPTION_WSCALE, 3, shift] => wscale = WSCALE_SEEN | (*shift).min(MAX_WSCALE),
            _ => {}
        }
        options = after;
    }
    (wscale, mss)
}

/// Parses the eight bytes of a segment that every ICMP error quotes.
pub(super) fn read_quoted(reader: &Reader<'_>, at: usize) -> Result<(Ports, TcpFacts), Rejection> {
    let header: &[u8; 8] = reader.header(at)?;
    let seq = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let facts = TcpFacts { seq, ..TcpFacts::default() };
    Ok((Ports::from_header(header), facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_scale_and_segment_size_are_read_among_other_options() {
        let linux = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        assert_eq!(read_options(&linux), (0x87, 1460));
        assert_eq!(read_options(&[3, 3, 15]), (0x8e, 0), "a shift above 14 counts as 14");
        assert_eq!(read_options(&[3, 3, 0]), (0x80, 0), "a shift of 0 still marks the option as seen");
    }

    #[test]
    fn options_before_a_malformed_one_are_kept() {
        for broken in [&[2, 4, 5, 180, 3, 0, 7][..], &[2, 4, 5, 180, 3], &[2, 4, 5, 180, 3, 9, 1]] {
            assert_eq!(read_options(broken), (0, 1460), "{broken:?}");
        }
        assert_eq!(read_options(&[0, 3, 3, 7]), (0, 0), "options after the end of the list are ignored");
        assert_eq!(read_options(&[3, 4, 7, 7]), (0, 0), "a scale option of the wrong length is ignored");
    }

    #[test]
    fn flag_sets_that_no_host_sends_are_impossible() {
        use tcp_flags::{ACK, FIN, PSH, RST, SYN, URG};
        for flags in [0, FIN, PSH, SYN | FIN, SYN | RST, SYN | ACK | FIN, SYN | PSH, RST | FIN, SYN | URG] {
            assert!(has_impossible_flags(flags), "{flags:#x}");
        }
        for flags in [SYN, SYN | ACK, ACK, FIN | ACK, RST, RST | ACK, FIN | PSH | ACK, URG | ACK] {
            assert!(!has_impossible_flags(flags), "{flags:#x}");
        }
    }
}
