//! TCP's machine as tables (OpenBSD `pf_tcp_track_full`, `pf_tcp_track_sloppy`; protocol 7.5, 7.6): how the two sides'
//! state numbers move, and which timeout class the pair is in. For whoever checks them against pf; the recipes of the
//! tests reach every row.

use super::peer::peer_state::{CLOSED, CLOSING, ESTABLISHED, FIN_WAIT_2, MAX, SYN_SENT, TIME_WAIT};
use super::timeout::timeout_class::{TCP_CLOSED, TCP_CLOSING, TCP_ESTABLISHED, TCP_FIN_WAIT, TCP_OPENING};
use crate::packet::tcp_flags;

/// State numbers from the first to the second, both included.
pub type Range = (u8, u8);

const ANY: Range = (CLOSED, MAX);
const BEFORE_SYN_SENT: Range = (CLOSED, SYN_SENT - 1);
const BEFORE_CLOSING: Range = (CLOSED, CLOSING - 1);

/// One row of a machine: a flag, what both sides are in, what both sides go to.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The flag that the packet has.
    pub flag: u8,
    /// The sender's states for which the row holds.
    pub sender: Range,
    /// The receiver's.
    pub receiver: Range,
    /// The row holds only when the receiver never sent a packet through here.
    pub receiver_silent: bool,
    /// What the sender and the receiver go to; `None`: stay.
    pub to: [Option<u8>; 2],
}

const fn row(flag: u8, sender: Range, receiver: Range, to: [Option<u8>; 2]) -> Row {
    Row { flag, sender, receiver, receiver_silent: false, to }
}

const SYN_SENT_ONLY: Range = (SYN_SENT, SYN_SENT);
const ESTABLISHED_ONLY: Range = (ESTABLISHED, ESTABLISHED);
const CLOSING_ONLY: Range = (CLOSING, CLOSING);

/// Full tracking, for a packet in the window. Of the rows of one flag the first that fits is taken; a later flag sees
/// what an earlier one did.
pub const FULL: [Row; 5] = [
    row(tcp_flags::SYN, BEFORE_SYN_SENT, ANY, [Some(SYN_SENT), None]),
    row(tcp_flags::FIN, BEFORE_CLOSING, ANY, [Some(CLOSING), None]),
    // What the other side sent last is acknowledged: its SYN, or its FIN.
    row(tcp_flags::ACK, ANY, SYN_SENT_ONLY, [None, Some(ESTABLISHED)]),
    row(tcp_flags::ACK, ANY, CLOSING_ONLY, [None, Some(FIN_WAIT_2)]),
    row(tcp_flags::RST, ANY, ANY, [Some(TIME_WAIT), Some(TIME_WAIT)]),
];

/// Full tracking, for a packet that is let through loosely: only the end may come of it, never an establishment.
pub const LOOSE: [Row; 2] = [
    row(tcp_flags::FIN, BEFORE_CLOSING, ANY, [Some(CLOSING), None]),
    row(tcp_flags::RST, ANY, ANY, [Some(TIME_WAIT), Some(TIME_WAIT)]),
];

/// Sloppy tracking: any packet, and perhaps one direction only.
pub const SLOPPY: [Row; 7] = [
    row(tcp_flags::SYN, BEFORE_SYN_SENT, ANY, [Some(SYN_SENT), None]),
    row(tcp_flags::FIN, BEFORE_CLOSING, ANY, [Some(CLOSING), None]),
    row(tcp_flags::ACK, ANY, SYN_SENT_ONLY, [None, Some(ESTABLISHED)]),
    row(tcp_flags::ACK, ANY, CLOSING_ONLY, [None, Some(FIN_WAIT_2)]),
    // An ACK after the SYN although the other side was never seen: its half of the handshake goes another way.
    row(tcp_flags::ACK, SYN_SENT_ONLY, BEFORE_SYN_SENT, [Some(ESTABLISHED), Some(ESTABLISHED)]),
    // The same at the end: an ACK after the FIN tells of a FIN that went another way.
    Row {
        flag: tcp_flags::ACK,
        sender: CLOSING_ONLY,
        receiver: ESTABLISHED_ONLY,
        receiver_silent: true,
        to: [None, Some(CLOSING)],
    },
    row(tcp_flags::RST, ANY, ANY, [Some(TIME_WAIT), Some(TIME_WAIT)]),
];

/// A timeout class and the least state numbers, of the side that is further on and of the one behind, that it needs.
#[derive(Clone, Copy, Debug)]
pub struct ClassRow {
    /// Of the side that is further on.
    pub ahead: u8,
    /// Of the other one.
    pub behind: u8,
    /// The class.
    pub class: u8,
}

/// The first row that fits is taken.
pub const CLASSES: [ClassRow; 5] = [
    ClassRow { ahead: FIN_WAIT_2, behind: FIN_WAIT_2, class: TCP_CLOSED },
    ClassRow { ahead: CLOSING, behind: CLOSING, class: TCP_FIN_WAIT },
    ClassRow { ahead: CLOSING, behind: ESTABLISHED, class: TCP_CLOSING },
    ClassRow { ahead: ESTABLISHED, behind: ESTABLISHED, class: TCP_ESTABLISHED },
    ClassRow { ahead: CLOSED, behind: CLOSED, class: TCP_OPENING },
];
