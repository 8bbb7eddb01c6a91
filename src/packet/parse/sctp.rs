//! The SCTP header and its first chunk, as far as tracking needs them.

use super::reader::Reader;
use crate::packet::{Rejection, TcpFacts, tcp_flags};

const HEADER_BYTES: usize = 12;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;

/// Returns the flags of TCP that come nearest to a first chunk. Chunks that end an association come first in their packet (RFC
/// 9260 section 6.10).
const fn flags_of(chunk: u8) -> u8 {
    use tcp_flags::{ACK, FIN, PSH, RST, SYN};
    match chunk {
        INIT => SYN,
        INIT_ACK => SYN | ACK,
        // ABORT, SHUTDOWN COMPLETE.
        6 | 14 => RST,
        // SHUTDOWN, SHUTDOWN ACK.
        7 | 8 => FIN,
        // HEARTBEAT ACK, COOKIE ECHO, COOKIE ACK: the sender has the association.
        5 | 10 | 11 => ACK | PSH,
        _ => ACK,
    }
}

/// Returns bytes of the first chunk, `None` if the packet ends before them.
///
/// # Errors
/// [`Rejection::NotContiguous`] if they lie beyond the first segment.
fn chunk<'a, const BYTES: usize>(
    reader: &Reader<'a>,
    at: usize,
) -> Result<Option<&'a [u8; BYTES]>, Rejection> {
    match reader.header(at) {
        Err(Rejection::Truncated) => Ok(None),
        read => read.map(Some),
    }
}

/// Parses the packet at `at`: the verification tag as sequence number, the tag that an INIT or INIT ACK offers as
/// acknowledgement, the first chunk as flags, and its T bit as window.
pub(super) fn read(reader: &Reader<'_>, at: usize) -> Result<TcpFacts, Rejection> {
    let header: &[u8; HEADER_BYTES] = reader.header(at)?;
    let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let seq = word(&header[4..]);
    let first = at + HEADER_BYTES;
    let Some([kind, chunk_flags, ..]) = chunk::<4>(reader, first)? else {
        return Ok(TcpFacts { seq, ..TcpFacts::NONE });
    };
    let offered = if matches!(*kind, INIT | INIT_ACK) { chunk::<8>(reader, first)? } else { None };
    Ok(TcpFacts {
        seq,
        ack: offered.map_or(0, |bytes| word(&bytes[4..])),
        flags: flags_of(*kind),
        window: u16::from(chunk_flags & 1),
        ..TcpFacts::NONE
    })
}
