//! How a TCP packet changes its state (OpenBSD `pf_test_state`, `pf_tcp_track_full`, `pf_tcp_track_sloppy`; protocol
//! 7.4 to 7.7).
//!
//! The machine is the tables of `tcp_table.rs`. Whether a packet is let into the machine is [`super::tcp_window`]'s business.

use super::peer::peer_state::{ESTABLISHED, FIN_WAIT_2, PROXY_SRC, SYN_SENT};
use super::takeover::{self, TakeoverSlack, assume_scale, resync_flag};
use super::tcp_table::{CLASSES, ClassRow, FULL, LOOSE, Range, Row, SLOPPY};
use super::tcp_window::{Segment, WindowFit, after};
use super::timeout::timeout_class::{TCP_CLOSING, TCP_ESTABLISHED, TCP_OPENING};
use super::{DropReason, Hot, LocalFlags, Outcome, Peer, Track, pf_flags};
use crate::packet::{TcpFacts, tcp_flags};
use crate::time::Tick;

const fn contains(range: Range, state: u8) -> bool {
    range.0 <= state && state <= range.1
}

/// The states of sender and receiver after the rows.
fn next_states(rows: &[Row], flags: u8, receiver_silent: bool, mut states: [u8; 2]) -> [u8; 2] {
    let mut taken = 0;
    for row in rows {
        let due = flags & row.flag & !taken != 0 && (!row.receiver_silent || receiver_silent);
        if due && contains(row.sender, states[0]) && contains(row.receiver, states[1]) {
            states = [row.to[0].unwrap_or(states[0]), row.to[1].unwrap_or(states[1])];
            taken |= row.flag;
        }
    }
    states
}

/// The timeout class of a connection whose sides are in these states.
#[inline]
#[must_use]
pub fn class_of(states: [u8; 2]) -> u8 {
    let (behind, ahead) = (states[0].min(states[1]), states[0].max(states[1]));
    let fits = |row: &&ClassRow| ahead >= row.ahead && behind >= row.behind;
    CLASSES.iter().find(fits).map_or(TCP_OPENING, |row| row.class)
}

/// What pf settles before it tracks: connections that syn-proxy has not handed over, and SYNs on a connection that is.
///
/// A server's SYN-ACK on a closed connection, other than the one that opened it and comes late, answers a SYN that went through
/// another node and has begun another connection. pf passes it where its number happens to lie near the old one, and holds what
/// follows to the old numbers. Refused it is asked for once more, by a SYN that the other node tells of again. Sloppy states may
/// have seen no SYN of any connection.
#[inline]
fn precheck(hot: &Hot, track: &Track, facts: &TcpFacts, side: usize) -> Option<Outcome> {
    let [src, dst] = hot.peer_state;
    if src >= PROXY_SRC {
        return Some(Outcome::Drop(DropReason::SynProxy));
    }
    if facts.flags & tcp_flags::SYN == 0 {
        return None;
    }
    if facts.flags & tcp_flags::ACK != 0 {
        let is_closed = src.min(dst) >= FIN_WAIT_2 && hot.pf_flags & pf_flags::SLOPPY == 0;
        let is_stray = side == 1 && is_closed && acknowledges_another_connection(track, facts);
        return is_stray.then_some(Outcome::Drop(DropReason::Window));
    }
    match src.min(dst) {
        FIN_WAIT_2.. => Some(Outcome::Retire),
        ESTABLISHED.. => Some(Outcome::Drop(DropReason::ChallengeAck)),
        _ if side == 0 && takeover::begins_another_connection(hot, track, facts.seq) => {
            let unseen = dst == 0 && !hot.local.has(LocalFlags::LOCAL_TRAFFIC);
            Some(if unseen { Outcome::Retire } else { Outcome::Drop(DropReason::ChallengeAck) })
        }
        _ => None,
    }
}

/// Whether a server's SYN-ACK lies behind what either side of the known connection has sent.
const fn acknowledges_another_connection(track: &Track, facts: &TcpFacts) -> bool {
    let ack = facts.ack.wrapping_sub(track.src.seqdiff);
    let begins = facts.seq.wrapping_add(1);
    track.dst.seqlo != 0 && (after(begins, track.dst.seqlo) || after(ack, track.src.seqlo))
}

/// Tracks one TCP packet, whatever it is. Nearly all have been tracked by [`super::tcp_established`] before. `side` is its sender: 0 the
/// forward one, 1 the reverse one.
pub(super) fn track(hot: &mut Hot, track: &mut Track, facts: &TcpFacts, side: usize, now: Tick) -> Outcome {
    if let Some(outcome) = precheck(hot, track, facts, side) {
        return outcome;
    }
    let (sender, receiver) =
        if side == 0 { (&mut track.src, &mut track.dst) } else { (&mut track.dst, &mut track.src) };
    if hot.pf_flags & pf_flags::SLOPPY != 0 {
        return track_sloppy(hot, receiver, facts.flags, side, now);
    }
    const REFUSAL: u8 = tcp_flags::RST | tcp_flags::ACK;
    // An end that waits for the answer to its SYN believes no RST that acknowledges nothing (RFC 9293, 3.10.7.3). Such
    // a one is of a connection that had these ports before, and its number is not this side's first.
    if sender.seqlo == 0 && facts.flags & REFUSAL == tcp_flags::RST {
        return Outcome::PassLoose;
    }
    if sender.seqlo == 0 {
        hot.peer_state[side] = hot.peer_state[side].max(SYN_SENT);
        let is_imported = hot.local.has(LocalFlags::IMPORTED);
        assume_scale(facts, sender, receiver, is_imported);
        if is_imported {
            takeover::adopt_ack(facts, receiver, hot.peer_state[1 - side]);
        }
    }
    track_full(hot, sender, receiver, facts, side, now)
}

/// Full tracking.
fn track_full(
    hot: &mut Hot,
    sender: &mut Peer,
    receiver: &mut Peer,
    facts: &TcpFacts,
    side: usize,
    now: Tick,
) -> Outcome {
    // The sender's and the receiver's.
    let states = [hot.peer_state[side], hot.peer_state[1 - side]];
    let marks = [hot.local.has(resync_flag(side)), hot.local.has(resync_flag(1 - side))];
    let segment = Segment::read(facts, sender, receiver, states[1]);
    let fit = segment.fit(sender, receiver, states, TakeoverSlack::of(marks));
    match fit {
        WindowFit::Outside => return handle_outside(sender, states, facts.flags),
        WindowFit::Unproven => {
            use_closing_timeout(hot);
            return Outcome::PassLoose;
        }
        WindowFit::Takeover => segment.resync(sender, receiver),
        WindowFit::Exact | WindowFit::Loose => {}
    }
    segment.advance(sender, receiver);
    if marks[0] && fit != WindowFit::Loose && segment.completes_resync(fit, sender, receiver) {
        hot.local.clear(resync_flag(side));
        if !marks[1] {
            takeover::record_takeover_limits([sender, receiver]);
        }
    }
    if fit == WindowFit::Loose {
        set_states(hot, side, next_states(&LOOSE, facts.flags, false, states));
        return Outcome::PassLoose;
    }
    apply_transition(hot, &FULL, facts.flags, false, side, states, now);
    if fit == WindowFit::Exact { Outcome::Pass } else { Outcome::PassLoose }
}

fn track_sloppy(hot: &mut Hot, receiver: &Peer, flags: u8, side: usize, now: Tick) -> Outcome {
    let states = [hot.peer_state[side], hot.peer_state[1 - side]];
    apply_transition(hot, &SLOPPY, flags, receiver.seqlo == 0, side, states, now);
    Outcome::Pass
}

/// Moves the states on, then the clock and the class.
fn apply_transition(
    hot: &mut Hot,
    rows: &[Row],
    flags: u8,
    receiver_silent: bool,
    side: usize,
    states: [u8; 2],
    now: Tick,
) {
    hot.last_activity = now;
    set_states(hot, side, next_states(rows, flags, receiver_silent, states));
    hot.timeout = class_of(hot.peer_state);
}

fn set_states(hot: &mut Hot, side: usize, [sender, receiver]: [u8; 2]) {
    hot.peer_state[side] = sender;
    hot.peer_state[1 - side] = receiver;
}

/// After an RST that may be true: if it is, the connection must not be kept for a day. The next packet that fits puts
/// the class back.
#[cold]
fn use_closing_timeout(hot: &mut Hot) {
    if hot.timeout == TCP_ESTABLISHED {
        hot.timeout = TCP_CLOSING;
    }
}

/// A packet outside. While both sides are still opening, the sender is told by an RST and its record begins anew, so
/// that a restarted client is not locked out until the state ends. An RST is not answered but passed and not believed
/// until the connection is open: it is what ends on the far side a connection that had the ports before. Unlike in pf
/// the record stays then, because the sender's SYN holds still.
#[cold]
fn handle_outside(sender: &mut Peer, states: [u8; 2], flags: u8) -> Outcome {
    if flags & tcp_flags::RST != 0 && states[0].min(states[1]) < ESTABLISHED {
        return Outcome::PassLoose;
    }
    let both_open = states == [SYN_SENT; 2];
    if both_open {
        *sender = Peer { seqlo: 0, seqhi: 1, max_win: 1, ..*sender };
    }
    Outcome::Drop(if both_open { DropReason::Reset } else { DropReason::Window })
}
