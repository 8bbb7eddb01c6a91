//! How a TCP packet changes its state (OpenBSD `pf_test_state`, `pf_tcp_track_full`, `pf_tcp_track_sloppy`; protocol
//! 7.4 to 7.7).
//!
//! [`table`] holds the state machine, [`window`] decides whether a segment reaches it, [`takeover`] widens the window after
//! a takeover, [`drift`] decides when the peers need an update, and [`established`] is the fast path.

mod drift;
mod established;
pub mod table;
mod takeover;
mod window;

pub use drift::MaxDrift;
pub(super) use established::track_established;
pub use takeover::{LineRate, RESYNC_SEGMENTS, TAKEOVER_SLACK, has_acknowledged_unseen};
pub(super) use takeover::{TakeoverSlack, resync_flag};
pub(super) use window::{descaled, is_quoted_in_window, scale_from_syn};

use super::peer::peer_state::{CLOSED, ESTABLISHED, FIN_WAIT_2, PROXY_SRC, SYN_SENT};
use super::timeout::timeout_class::{TCP_CLOSING, TCP_ESTABLISHED, TCP_OPENING};
use super::{DropReason, Hot, LocalFlags, Outcome, Peer, Track, pf_flags};
use crate::packet::{TcpFacts, tcp_flags};
use crate::time::Tick;
use table::{CLASSES, ClassRow, FULL, LOOSE, Range, Row, SLOPPY};
use takeover::{Allowance, FarFit, assume_scale};
use window::{Segment, WindowFit, after};

const fn contains(range: Range, state: u8) -> bool {
    range.0 <= state && state <= range.1
}

/// Applies the rows and returns the new states of sender and receiver.
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

/// Returns the timeout class for the states of both sides.
#[inline]
#[must_use]
pub fn class_of(states: [u8; 2]) -> u8 {
    let (behind, ahead) = (states[0].min(states[1]), states[0].max(states[1]));
    let matches = |row: &&ClassRow| ahead >= row.ahead && behind >= row.behind;
    CLASSES.iter().find(matches).map_or(TCP_OPENING, |row| row.class)
}

/// Handles what pf decides before tracking: connections still held by a SYN proxy, and SYNs on an open connection.
///
/// A SYN-ACK from the server on a closed connection may answer a SYN that another node saw, which began a new connection.
/// pf passes it if its number is near the old ones, and then checks the new connection against the old numbers. Here it is
/// dropped unless it repeats the old connection's SYN-ACK; the client repeats its SYN, and the other node's update arrives.
/// Sloppy states may not have seen any SYN.
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
            let is_unseen = dst == 0 && !hot.local.has(LocalFlags::LOCAL_TRAFFIC);
            Some(if is_unseen { Outcome::Retire } else { Outcome::Drop(DropReason::ChallengeAck) })
        }
        _ => None,
    }
}

/// Whether a server's SYN-ACK lies beyond what either side of the tracked connection has sent.
const fn acknowledges_another_connection(track: &Track, facts: &TcpFacts) -> bool {
    let ack = facts.ack.wrapping_sub(track.src.seqdiff);
    let data_start = facts.seq.wrapping_add(1);
    track.dst.seqlo != 0 && (after(data_start, track.dst.seqlo) || after(ack, track.src.seqlo))
}

/// Tracks any TCP packet; [`track_established`] handles most of them first. `side` is the sender: 0 forward, 1 reverse.
/// `reach` returns how many bytes the connection may have moved since a peer's record of it arrived.
pub(super) fn track(
    hot: &mut Hot,
    track: &mut Track,
    facts: &TcpFacts,
    side: usize,
    now: Tick,
    max_drift: MaxDrift,
    reach: impl FnOnce() -> u64,
) -> Outcome {
    if let Some(outcome) = precheck(hot, track, facts, side) {
        return outcome;
    }
    let (sender, receiver) =
        if side == 0 { (&mut track.src, &mut track.dst) } else { (&mut track.dst, &mut track.src) };
    if hot.pf_flags & pf_flags::SLOPPY != 0 {
        return track_sloppy(hot, receiver, facts.flags, side, now);
    }
    const RST_ACK: u8 = tcp_flags::RST | tcp_flags::ACK;
    // A client ignores an RST without ACK while it waits for its SYN-ACK (RFC 9293, 3.10.7.3). Such an RST belongs to an
    // earlier connection, so its number must not become this side's first.
    if sender.seqlo == 0 && facts.flags & RST_ACK == tcp_flags::RST {
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
    if receiver.seqlo == 0 && hot.peer_state[1 - side] < SYN_SENT {
        takeover::note_unseen_side(facts, receiver);
    }
    track_full(hot, [sender, receiver], facts, side, now, max_drift, reach)
}

fn track_full(
    hot: &mut Hot,
    [sender, receiver]: [&mut Peer; 2],
    facts: &TcpFacts,
    side: usize,
    now: Tick,
    max_drift: MaxDrift,
    reach: impl FnOnce() -> u64,
) -> Outcome {
    // Index 0 is the sender, 1 the receiver.
    let states = [hot.peer_state[side], hot.peer_state[1 - side]];
    let resyncs = [hot.local.has(resync_flag(side)), hot.local.has(resync_flag(1 - side))];
    let mut segment = Segment::read(facts, sender, receiver, states[1]);
    let allowance = Allowance::of(resyncs, [sender, receiver], reach);
    let fit = segment.fit(sender, receiver, states, allowance.near);
    match fit {
        WindowFit::Outside => match segment.fit_far(sender, receiver, allowance) {
            FarFit::Refused => return handle_outside(sender, receiver, states, facts.flags),
            FarFit::Claimed => {
                hot.last_activity = now;
                return Outcome::PassLoose;
            }
            FarFit::Confirmed if segment.is_reset() => {
                use_closing_timeout(hot);
                return Outcome::PassLoose;
            }
            FarFit::Confirmed => {}
        },
        WindowFit::Unproven => {
            use_closing_timeout(hot);
            return Outcome::PassLoose;
        }
        WindowFit::Takeover => segment.resync(sender, receiver),
        WindowFit::Exact | WindowFit::Loose => {}
    }
    segment.advance(sender, receiver);
    hot.local.set(segment.drift_flags(max_drift, receiver));
    if resyncs[0] && fit != WindowFit::Loose && segment.completes_resync(fit, sender, receiver) {
        hot.local.clear(resync_flag(side));
        if !resyncs[1] {
            takeover::record_takeover_limits([sender, receiver]);
        }
    }
    if fit == WindowFit::Loose {
        if states[1] < SYN_SENT && facts.flags & (tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST) == 0 {
            // The other side's packets take another path. pf lets such a connection expire in the middle of its traffic.
            hot.last_activity = now;
        }
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

/// Updates the states, the last activity and the timeout class.
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

/// Sets the states of both sides. A change makes an update due.
fn set_states(hot: &mut Hot, side: usize, [sender, receiver]: [u8; 2]) {
    if [hot.peer_state[side], hot.peer_state[1 - side]] != [sender, receiver] {
        hot.local.set(LocalFlags::UPDATE_DUE);
    }
    hot.peer_state[side] = sender;
    hot.peer_state[1 - side] = receiver;
}

/// Shortens the timeout after a plausible but unproven RST; the next segment in the window restores it.
#[cold]
fn use_closing_timeout(hot: &mut Hot) {
    if hot.timeout == TCP_ESTABLISHED {
        hot.timeout = TCP_CLOSING;
    }
}

/// Handles a packet outside the window.
///
/// While both sides are opening, the sender gets an RST and its record is cleared, so that a restarted client is not locked
/// out until the state expires. An RST before the connection is open passes without effect: it ends an earlier connection
/// with the same ports at the receiver. Unlike in pf the sender's record stays, because its SYN is still valid. Another SYN of
/// a client that nobody has answered begins a new connection; pf drops it until the state expires. If the server has answered,
/// the client gets a challenge: one that has given the connection up confirms that with an RST.
#[cold]
fn handle_outside(sender: &mut Peer, receiver: &Peer, states: [u8; 2], flags: u8) -> Outcome {
    if flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN {
        match states {
            [SYN_SENT, CLOSED] if receiver.seqlo == 0 => return Outcome::Retire,
            [ESTABLISHED, SYN_SENT] => return Outcome::Drop(DropReason::ChallengeAck),
            _ => {}
        }
    }
    if flags & tcp_flags::RST != 0 && states[0].min(states[1]) < ESTABLISHED {
        return Outcome::PassLoose;
    }
    let both_opening = states == [SYN_SENT; 2];
    if both_opening {
        *sender = Peer { seqlo: 0, seqhi: 1, max_win: 1, ..*sender };
    }
    Outcome::Drop(if both_opening { DropReason::Reset } else { DropReason::Window })
}
