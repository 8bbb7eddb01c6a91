//! The stranger who knows every connection's addresses and ports, but not its window: segments far outside, marked in
//! the traffic class, so that one that came through would be seen on the other side.

use std::collections::HashMap;

use crate::dice::Dice;
use crate::frame::{ACK, FIN, PSH, RST, SYN, Tcp};

/// The traffic class of forged segments; nobody else here sets one.
pub const MARK: u8 = 0xb4;
const ONE_IN: u64 = 12;
/// Beyond every window, every slack and pf's tolerance of acknowledgements.
const LEAST: u64 = 1 << 28;
const MOST: u64 = (1 << 31) - (1 << 28);

/// How far a connection is, as the frames told that went by here.
#[derive(Clone, Copy, Default)]
struct Stage {
    answered: bool,
    ending: bool,
}

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
pub struct Forger {
    dice: Dice,
    stages: HashMap<Vec<u8>, Stage>,
    /// How many of each kind were made.
    pub made: Kinds,
}

impl Forger {
    /// A forger without anything done.
    pub fn new(dice: Dice) -> Forger {
        Forger { dice, stages: HashMap::new(), made: [0; 4] }
    }

    /// Watches a true frame go by in either way. What comes out of the firewall and is no SYN tells that both sides'
    /// SYNs are acknowledged there.
    pub fn watch(&mut self, tcp: Tcp, frame: &[u8], from_firewall: bool) {
        let flags = tcp.flags(frame);
        let key = tcp.connection(frame);
        if flags & (SYN | ACK) == SYN {
            self.stages.insert(key, Stage::default());
        } else if let Some(stage) = self.stages.get_mut(&key) {
            stage.answered |= from_firewall && flags & (SYN | RST) == 0;
            stage.ending |= flags & (FIN | RST) != 0;
        }
    }

    /// Perhaps a forged companion of a true frame on its way to the firewall. Only where pf holds every kind to the
    /// window: at a connection's beginning and end it lets some pass loosely, and a SYN begins it anew.
    pub fn forge(&mut self, tcp: Tcp, frame: &[u8]) -> Option<Vec<u8>> {
        let stage = self.stages.get(&tcp.connection(frame)).copied().unwrap_or_default();
        if !stage.answered || stage.ending || self.dice.between(1, ONE_IN) != 1 {
            return None;
        }
        let far = self.dice.between(LEAST, MOST) as u32;
        let near_seq = tcp.seq(frame);
        let seq = if self.dice.between(0, 1) == 0 {
            near_seq.wrapping_add(far)
        } else {
            near_seq.wrapping_sub(far)
        };
        let ack = tcp.ack(frame);
        let kind = self.dice.between(0, 3) as usize;
        self.made[kind] += 1;
        let (seq, ack, flags, data): (_, _, _, &[u8]) = match kind {
            0 => (seq, ack, RST | if self.dice.between(0, 1) == 0 { ACK } else { 0 }, b""),
            1 => (seq, 0, SYN, b""),
            2 => (seq, ack, PSH | ACK, b"forged: if you read this, the firewall let it pass"),
            // A segment without data has no place in the sequence for pf: its acknowledgement is what is checked.
            _ => (near_seq, ack.wrapping_add(far), ACK, b""),
        };
        Some(tcp.forge(frame, seq, ack, flags, MARK, data))
    }
}
