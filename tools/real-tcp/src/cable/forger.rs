//! An attacker that knows every connection's addresses and ports but not its window. Its segments are far outside the
//! window and marked in the traffic class, so that one that passes the firewall is visible on the other side.

use pfplane_testkit::Random;

use super::frame::{ACK, PSH, RST, SYN, Tcp};

/// The traffic class of forged segments; genuine ones have none.
pub(crate) const MARK: u8 = 0xb4;
/// One of this many segments is followed by a forged one.
const INTERVAL: u64 = 12;
/// Beyond every window, every tolerance and pf's limit for acknowledgements.
const MIN_DISTANCE: u64 = 1 << 28;
const MAX_DISTANCE: u64 = (1 << 31) - (1 << 28);

const DATA_LENGTH: usize = 50;

/// Forged segments by kind.
pub(crate) type ForgedCounts = [u64; 4];
/// The names of the kinds.
pub(crate) const FORGED_KINDS: [&str; 4] = ["RST", "SYN", "data", "ACK"];

/// Returns the kind of a forged segment with these flags.
pub(crate) fn kind_of(flags: u8) -> usize {
    match flags {
        _ if flags & RST != 0 => 0,
        _ if flags & SYN != 0 => 1,
        _ if flags & PSH != 0 => 2,
        _ => 3,
    }
}

/// The attacker on one side of the firewall.
pub(crate) struct Forger(Random);

impl Forger {
    pub(crate) fn new(random: Random) -> Forger {
        Forger(random)
    }

    /// Sometimes returns a forged segment based on a genuine one that is sent to the firewall.
    pub(crate) fn forge(&mut self, tcp: Tcp, frame: &[u8]) -> Option<Vec<u8>> {
        if self.0.between(1, INTERVAL) != 1 {
            return None;
        }
        let distance = self.0.between(MIN_DISTANCE, MAX_DISTANCE) as u32;
        let genuine_seq = tcp.seq(frame);
        let ahead = self.0.between(0, 1) == 0;
        let seq = if ahead { genuine_seq.wrapping_add(distance) } else { genuine_seq.wrapping_sub(distance) };
        let ack = tcp.ack(frame);
        let (seq, ack, flags, payload) = match self.0.between(0, 3) {
            0 => (seq, ack, RST | if self.0.between(0, 1) == 0 { ACK } else { 0 }, 0),
            1 => (seq, 0, SYN, 0),
            2 => (seq, ack, PSH | ACK, DATA_LENGTH),
            // pf checks only the acknowledgement of a segment without data.
            _ => (genuine_seq, ack.wrapping_add(distance), ACK, 0),
        };
        Some(tcp.forge(frame, seq, ack, flags, MARK, payload))
    }
}
