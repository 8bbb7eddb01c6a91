//! TCP's state machine as tables (OpenBSD `pf_tcp_track_full`, `pf_tcp_track_sloppy`; protocol 7.5, 7.6): the transitions
//! of both sides, and the timeout class of each pair of states. The recipes in `tests/tcp` reach every row.

use crate::packet::tcp_flags;
use crate::state::peer::peer_state::{CLOSED, CLOSING, ESTABLISHED, FIN_WAIT_2, MAX, SYN_SENT, TIME_WAIT};
use crate::state::timeout::timeout_class::{
    TCP_CLOSED, TCP_CLOSING, TCP_ESTABLISHED, TCP_FIN_WAIT, TCP_OPENING,
};

/// An inclusive range of state numbers.
pub type Range = (u8, u8);

const ANY: Range = (CLOSED, MAX);
const BEFORE_SYN_SENT: Range = (CLOSED, SYN_SENT - 1);
const BEFORE_CLOSING: Range = (CLOSED, CLOSING - 1);

/// One transition: a flag, the states in which it applies, and the new states.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The packet's flag.
    pub flag: u8,
    /// The sender's states in which the row applies.
    pub sender: Range,
    /// The receiver's states in which the row applies.
    pub receiver: Range,
    /// The row applies only if this node saw no packet from the receiver.
    pub receiver_silent: bool,
    /// The new states of sender and receiver; `None`: unchanged.
    pub to: [Option<u8>; 2],
}

const fn row(flag: u8, sender: Range, receiver: Range, to: [Option<u8>; 2]) -> Row {
    Row { flag, sender, receiver, receiver_silent: false, to }
}

const SYN_SENT_ONLY: Range = (SYN_SENT, SYN_SENT);
const ESTABLISHED_ONLY: Range = (ESTABLISHED, ESTABLISHED);
const CLOSING_ONLY: Range = (CLOSING, CLOSING);

/// Full tracking of a packet in the window. The first matching row of each flag applies; later flags see its result.
pub const FULL: [Row; 5] = [
    row(tcp_flags::SYN, BEFORE_SYN_SENT, ANY, [Some(SYN_SENT), None]),
    row(tcp_flags::FIN, BEFORE_CLOSING, ANY, [Some(CLOSING), None]),
    // Acknowledges the receiver's SYN or FIN.
    row(tcp_flags::ACK, ANY, SYN_SENT_ONLY, [None, Some(ESTABLISHED)]),
    row(tcp_flags::ACK, ANY, CLOSING_ONLY, [None, Some(FIN_WAIT_2)]),
    row(tcp_flags::RST, ANY, ANY, [Some(TIME_WAIT), Some(TIME_WAIT)]),
];

/// Full tracking of a packet that passes by a loose rule: it may close the connection but not establish it.
pub const LOOSE: [Row; 2] = [
    row(tcp_flags::FIN, BEFORE_CLOSING, ANY, [Some(CLOSING), None]),
    row(tcp_flags::RST, ANY, ANY, [Some(TIME_WAIT), Some(TIME_WAIT)]),
];

/// Sloppy tracking, which may see one direction only.
pub const SLOPPY: [Row; 7] = [
    row(tcp_flags::SYN, BEFORE_SYN_SENT, ANY, [Some(SYN_SENT), None]),
    row(tcp_flags::FIN, BEFORE_CLOSING, ANY, [Some(CLOSING), None]),
    row(tcp_flags::ACK, ANY, SYN_SENT_ONLY, [None, Some(ESTABLISHED)]),
    row(tcp_flags::ACK, ANY, CLOSING_ONLY, [None, Some(FIN_WAIT_2)]),
    // An ACK after the SYN from a side whose peer was never seen: the other direction is routed around this node.
    row(tcp_flags::ACK, SYN_SENT_ONLY, BEFORE_SYN_SENT, [Some(ESTABLISHED), Some(ESTABLISHED)]),
    // The same when closing: an ACK after the FIN implies a FIN that was routed around this node.
    Row {
        flag: tcp_flags::ACK,
        sender: CLOSING_ONLY,
        receiver: ESTABLISHED_ONLY,
        receiver_silent: true,
        to: [None, Some(CLOSING)],
    },
    row(tcp_flags::RST, ANY, ANY, [Some(TIME_WAIT), Some(TIME_WAIT)]),
];

/// A timeout class and the minimum states it requires.
#[derive(Clone, Copy, Debug)]
pub struct ClassRow {
    /// Minimum state of the side that is further ahead.
    pub ahead: u8,
    /// Minimum state of the other side.
    pub behind: u8,
    /// The timeout class.
    pub class: u8,
}

/// The timeout classes; the first matching row applies.
pub const CLASSES: [ClassRow; 5] = [
    ClassRow { ahead: FIN_WAIT_2, behind: FIN_WAIT_2, class: TCP_CLOSED },
    ClassRow { ahead: CLOSING, behind: CLOSING, class: TCP_FIN_WAIT },
    ClassRow { ahead: CLOSING, behind: ESTABLISHED, class: TCP_CLOSING },
    ClassRow { ahead: ESTABLISHED, behind: ESTABLISHED, class: TCP_ESTABLISHED },
    ClassRow { ahead: CLOSED, behind: CLOSED, class: TCP_OPENING },
];
