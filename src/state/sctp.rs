//! Tracks SCTP associations that FreeBSD 14 or later created (FreeBSD `pf_sctp_track`; protocol 4.1).
//!
//! Our own SCTP states have no tags and are tracked like any other protocol. What the parser found of the first chunk is in
//! [`TcpFacts`]: see `packet/parse/sctp.rs`.

use super::peer::Scrub;
use super::timeout::timeout_class::{SCTP_CLOSED, SCTP_CLOSING, SCTP_ESTABLISHED, SCTP_FIRST, SCTP_OPENING};
use super::{DropReason, Hot, Outcome, Peer, Track};
use crate::packet::protocol::SCTP;
use crate::packet::{TcpFacts, tcp_flags};
use crate::time::Tick;

// FreeBSD's numbers of association states.
const CLOSED: u8 = 0x00;
const COOKIE_WAIT: u8 = 0x02;
const ESTABLISHED: u8 = 0x08;
const SHUTDOWN_PENDING: u8 = 0x80;

/// Whether a state is one of FreeBSD's.
pub(super) const fn is_association(hot: &Hot) -> bool {
    hot.key.proto == SCTP && hot.timeout >= SCTP_FIRST
}

/// Tracks a packet of `side` (0 forward, 1 reverse). A packet with another tag than its sender's is dropped: it may be forged.
pub(super) fn track(hot: &mut Hot, track: &mut Track, facts: &TcpFacts, side: usize, now: Tick) -> Outcome {
    const INIT_ACK: u8 = tcp_flags::SYN | tcp_flags::ACK;
    let (sender, receiver) =
        if side == 0 { (&mut track.src, &mut track.dst) } else { (&mut track.dst, &mut track.src) };
    let has = |flag| facts.flags & flag != 0;
    let is_init = facts.flags == tcp_flags::SYN;
    if !is_init && !has_right_tag(facts, sender, receiver) {
        return Outcome::Drop(DropReason::SctpTag);
    }
    if !is_init && sender.scrub.ts_mod == 0 && facts.window == 0 {
        set_tag(sender, facts.seq);
    }
    // The tag that this side offers is the one that the other side sends.
    if facts.flags == INIT_ACK && receiver.scrub.ts_mod == 0 {
        set_tag(receiver, facts.ack);
    }
    let state = &mut hot.peer_state[side];
    let next = if has(tcp_flags::RST) {
        Some((CLOSED, SCTP_CLOSED))
    } else if has(tcp_flags::FIN) {
        (*state < SHUTDOWN_PENDING).then_some((SHUTDOWN_PENDING, SCTP_CLOSING))
    } else if has(tcp_flags::PSH) {
        (*state < ESTABLISHED).then_some((ESTABLISHED, SCTP_ESTABLISHED))
    } else if is_init {
        (*state < COOKIE_WAIT).then_some((COOKIE_WAIT, SCTP_OPENING))
    } else {
        None
    };
    if let Some(next) = next {
        (*state, hot.timeout) = next;
    }
    hot.last_activity = now;
    Outcome::Pass
}

fn set_tag(peer: &mut Peer, tag: u32) {
    peer.scrub = Scrub { ts_mod: tag, valid: 1, ..peer.scrub };
}

/// Whether a packet has its sender's tag, or none is known. With the T bit, an ABORT or SHUTDOWN COMPLETE repeats the tag of the
/// packet that it answers (RFC 9260 section 8.5.1).
const fn has_right_tag(facts: &TcpFacts, sender: &Peer, receiver: &Peer) -> bool {
    let tag = if facts.flags & tcp_flags::RST != 0 && facts.window != 0 { receiver } else { sender };
    tag.scrub.ts_mod == 0 || tag.scrub.ts_mod == facts.seq
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Key;

    /// An established association: the client sends tag 7, the server tag 9.
    fn association() -> (Hot, Track) {
        let hot = Hot {
            key: Key { proto: SCTP, ..Key::EMPTY },
            peer_state: [ESTABLISHED; 2],
            timeout: SCTP_ESTABLISHED,
            ..Hot::EMPTY
        };
        let mut track = Track::default();
        set_tag(&mut track.src, 7);
        set_tag(&mut track.dst, 9);
        (hot, track)
    }

    fn chunk(flags: u8, tag: u32) -> TcpFacts {
        TcpFacts { flags, seq: tag, ..TcpFacts::NONE }
    }

    const FORGED: Outcome = Outcome::Drop(DropReason::SctpTag);

    #[test]
    fn only_a_packet_with_its_senders_tag_ends_an_association() {
        for (side, tag) in [(0, 7), (1, 9)] {
            for (flags, state, timeout) in
                [(tcp_flags::RST, CLOSED, SCTP_CLOSED), (tcp_flags::FIN, SHUTDOWN_PENDING, SCTP_CLOSING)]
            {
                let (mut hot, mut peers) = association();
                for wrong in [0, tag + 1, 16 - tag] {
                    assert_eq!(track(&mut hot, &mut peers, &chunk(flags, wrong), side, Tick(1)), FORGED);
                }
                assert_eq!((hot.peer_state, hot.timeout), ([ESTABLISHED; 2], SCTP_ESTABLISHED));
                assert_eq!(track(&mut hot, &mut peers, &chunk(flags, tag), side, Tick(1)), Outcome::Pass);
                assert_eq!((hot.peer_state[side], hot.timeout), (state, timeout));
                assert_eq!(hot.peer_state[1 - side], ESTABLISHED);
            }
        }
    }

    #[test]
    fn data_keeps_states_and_class_and_an_abort_may_repeat_the_other_tag() {
        let (mut hot, mut peers) = association();
        assert_eq!(track(&mut hot, &mut peers, &chunk(tcp_flags::ACK, 7), 0, Tick(5)), Outcome::Pass);
        assert_eq!((hot.peer_state, hot.timeout), ([ESTABLISHED; 2], SCTP_ESTABLISHED));
        assert_eq!(hot.last_activity, Tick(5));
        let reflected = TcpFacts { window: 1, ..chunk(tcp_flags::RST, 9) };
        assert_eq!(track(&mut hot, &mut peers, &reflected, 0, Tick(6)), Outcome::Pass);
        assert_eq!((hot.peer_state, hot.timeout), ([CLOSED, ESTABLISHED], SCTP_CLOSED));
    }

    #[test]
    fn tags_are_learnt_while_the_association_opens() {
        let (mut hot, mut peers) = (association().0, Track::default());
        (hot.peer_state, hot.timeout) = ([COOKIE_WAIT, CLOSED], SCTP_OPENING);
        set_tag(&mut peers.dst, 9);
        let init_ack = TcpFacts { ack: 7, ..chunk(tcp_flags::SYN | tcp_flags::ACK, 9) };
        assert_eq!(track(&mut hot, &mut peers, &init_ack, 1, Tick(1)), Outcome::Pass);
        assert_eq!([peers.src, peers.dst].map(|peer| peer.scrub.ts_mod), [7, 9]);
        let cookie = tcp_flags::ACK | tcp_flags::PSH;
        assert_eq!(track(&mut hot, &mut peers, &chunk(cookie, 8), 0, Tick(2)), FORGED);
        assert_eq!(track(&mut hot, &mut peers, &chunk(cookie, 7), 0, Tick(2)), Outcome::Pass);
        assert_eq!((hot.peer_state, hot.timeout), ([ESTABLISHED, CLOSED], SCTP_ESTABLISHED));
    }
}
