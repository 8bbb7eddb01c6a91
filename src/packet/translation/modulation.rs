//! Sequence number modulation: a peer with pf's `modulate state` or SYN proxy gave the two ends of a connection different
//! sequence numbers (protocol 7.5).

use super::fields::Fields;
use super::{Result, TranslateError};
use crate::packet::checksum::ChecksumDelta;
use crate::packet::{Facts, tcp_flags};

const HEADER_BYTES: usize = 20;
const OPTION_BYTES: usize = 40;
const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_SACK: u8 = 5;

/// Returns the end of the TCP options.
fn end_of_options(fields: &mut Fields<'_>, at: usize) -> usize {
    let offset = fields.bytes().get(at + 12).map_or(0, |byte| usize::from(byte >> 4) * 4);
    at + offset.max(HEADER_BYTES)
}

/// Checks that every field to change is in the first segment.
pub(super) fn require_contiguous(fields: &mut Fields<'_>, at: usize) -> Result<()> {
    let end = end_of_options(fields, at);
    fields.has(0, end)
}

/// Adds the `sender` modulator to the sequence number and subtracts the `receiver` modulator from acknowledgements (OpenBSD
/// `pf_tcp_track_full`, `pf_modulate_sack`).
pub(super) fn modulate(
    fields: &mut Fields<'_>,
    at: usize,
    facts: &Facts,
    [sender, receiver]: [u32; 2],
) -> Result<()> {
    let seq = fields.replace(at + 4, facts.tcp.seq.wrapping_add(sender).to_be_bytes())?;
    let mut change = seq;
    if facts.tcp.flags & tcp_flags::ACK != 0 && receiver != 0 {
        let ack = facts.tcp.ack.wrapping_sub(receiver).to_be_bytes();
        change = change.plus(fields.replace(at + 8, ack)?);
        let end = end_of_options(fields, at);
        let options = fields.bytes().get_mut(at + HEADER_BYTES..end).ok_or(TranslateError::NotContiguous)?;
        change = change.plus(shift_sack_edges(options, receiver));
    }
    // The field holds only the pseudo-header sum if the NIC completes it.
    fields.transport_checksum(at, super::TCP, ChecksumDelta::default(), change)
}

/// Subtracts the `receiver` modulator from the edges of selective acknowledgements. They may lie at odd offsets, so the
/// delta is computed over all options.
fn shift_sack_edges(options: &mut [u8], receiver: u32) -> ChecksumDelta {
    let mut before = [0; OPTION_BYTES];
    let Some(before) = before.get_mut(..options.len()) else { return ChecksumDelta::default() };
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
                *edge = u32::from_be_bytes(*edge).wrapping_sub(receiver).to_be_bytes();
            });
        }
        if length == 0 || (length == 1 && kind != OPTION_NOP) {
            break;
        }
        at += length;
    }
    ChecksumDelta::between(before, options)
}
