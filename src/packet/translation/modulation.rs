//! Sequence numbers of a connection whose ends are told other ones (pf's `modulate state` and SYN proxy, on the peer that
//! the state came from; protocol 7.5).

use super::Refused;
use super::fields::Fields;
use crate::packet::checksum::Change;
use crate::packet::{Facts, tcp_flags};

const HEADER_BYTES: usize = 20;
const OPTION_BYTES: usize = 40;
const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_SACK: u8 = 5;

/// Where the options are: from behind the header to here.
fn end_of_options(fields: &mut Fields<'_>, at: usize) -> usize {
    let offset = fields.bytes().get(at + 12).map_or(0, |byte| usize::from(byte >> 4) * 4);
    at + offset.max(HEADER_BYTES)
}

/// Whether all that is changed is in the first piece.
pub(super) fn check(fields: &mut Fields<'_>, at: usize, facts: &Facts) -> Result<(), Refused> {
    if facts.key.proto != super::TCP {
        return Ok(());
    }
    let end = end_of_options(fields, at);
    fields.has(0, end)
}

/// Moves the sender's numbers on by `sender`, and those of the receiver that the sender speaks of back by `receiver`
/// (OpenBSD `pf_tcp_track_full`, `pf_modulate_sack`).
pub(super) fn modulate(
    fields: &mut Fields<'_>,
    at: usize,
    facts: &Facts,
    [sender, receiver]: [u32; 2],
) -> Result<(), Refused> {
    let seq = fields.replace(at + 4, facts.tcp.seq.wrapping_add(sender).to_be_bytes())?;
    let mut change = seq;
    if facts.tcp.flags & tcp_flags::ACK != 0 && receiver != 0 {
        let ack = facts.tcp.ack.wrapping_sub(receiver).to_be_bytes();
        change = change.and(fields.replace(at + 8, ack)?);
        let end = end_of_options(fields, at);
        let options = fields.bytes().get_mut(at + HEADER_BYTES..end).ok_or(Refused::NotContiguous)?;
        change = change.and(selective(options, receiver));
    }
    // A header whose checksum the card finishes is not in what the field holds.
    fields.transport_checksum(at, super::TCP, Change::default(), change)
}

/// Takes the edges of selective acknowledgements back. They may lie at odd places, so all options are compared.
fn selective(options: &mut [u8], back: u32) -> Change {
    let mut before = [0; OPTION_BYTES];
    let Some(before) = before.get_mut(..options.len()) else { return Change::default() };
    before.copy_from_slice(options);
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        let length = match kind {
            OPTION_END => break,
            OPTION_NOP => 1,
            _ => options.get(at + 1).map_or(0, |length| usize::from(*length)),
        };
        let Some(option) = options.get_mut(at..at + length) else { break };
        if kind == OPTION_SACK && length > 2 {
            let (edges, _) = option[2..].as_chunks_mut::<4>();
            edges.iter_mut().for_each(|edge| {
                *edge = u32::from_be_bytes(*edge).wrapping_sub(back).to_be_bytes();
            });
        }
        if length == 0 || (length == 1 && kind != OPTION_NOP) {
            break;
        }
        at += length;
    }
    Change::between(before, options)
}
