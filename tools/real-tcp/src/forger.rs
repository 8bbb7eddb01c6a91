//! The stranger who knows every connection's addresses and ports, but not its window: segments far outside, marked in
//! the traffic class, so that one that came through would be seen on the other side.

use crate::frame::{ACK, PSH, RST, SYN, Tcp};
use pfplane_testkit::Random;

/// The traffic class of forged segments; nobody else here sets one.
pub const MARK: u8 = 0xb4;
const ONE_IN: u64 = 12;
/// Beyond every window, every slack and pf's tolerance of acknowledgements.
const LEAST: u64 = 1 << 28;
const MOST: u64 = (1 << 31) - (1 << 28);

/// What kinds were forged: RST, SYN, data, ACK.
pub type Kinds = [u64; 4];
/// Their names.
pub const KINDS: [&str; 4] = ["RST", "SYN", "data", "ACK"];

/// The kind of a forged segment with these flags.
pub fn kind_of(flags: u8) -> usize {
    match flags {
        _ if flags & RST != 0 => 0,
        _ if flags & SYN != 0 => 1,
        _ if flags & PSH != 0 => 2,
        _ => 3,
    }
}

/// A forger on one side of the firewall.
pub struct Forger(Random);

impl Forger {
    /// A forger whose choices are these.
    pub fn new(random: Random) -> Forger {
        Forger(random)
    }

    /// Perhaps a forged companion of a true frame on its way to the firewall.
    pub fn forge(&mut self, tcp: Tcp, frame: &[u8]) -> Option<Vec<u8>> {
        if self.0.between(1, ONE_IN) != 1 {
            return None;
        }
        let far = self.0.between(LEAST, MOST) as u32;
        let near_seq = tcp.seq(frame);
        let before = self.0.between(0, 1) == 0;
        let seq = if before { near_seq.wrapping_add(far) } else { near_seq.wrapping_sub(far) };
        let ack = tcp.ack(frame);
        let (seq, ack, flags, data): (_, _, _, &[u8]) = match self.0.between(0, 3) {
            0 => (seq, ack, RST | if self.0.between(0, 1) == 0 { ACK } else { 0 }, b""),
            1 => (seq, 0, SYN, b""),
            2 => (seq, ack, PSH | ACK, b"forged: if you read this, the firewall let it pass"),
            // A segment without data has no place in the sequence for pf: its acknowledgement is what is checked.
            _ => (near_seq, ack.wrapping_add(far), ACK, b""),
        };
        Some(tcp.forge(frame, seq, ack, flags, MARK, data))
    }
}
