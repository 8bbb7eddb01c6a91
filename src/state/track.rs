//! Tracks a packet: updates the state that it matched.

use super::tcp::{
    MaxDrift, TAKEOVER_SLACK, TakeoverSlack, is_quoted_in_window, resync_flag, track_established,
};
use super::{Hot, LocalFlags, Track, non_tcp, pf_flags, sctp, tcp};
use crate::packet::{Facts, IpOptions, Kind, protocol, tcp_flags};
use crate::time::Tick;

/// The result of tracking a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The packet passes.
    Pass,
    /// The packet passes by a loose rule for opening or closing connections, or by the takeover slack.
    PassLoose,
    /// A SYN reuses the ports of a closed connection: the caller removes the state and treats the packet as new.
    Retire,
    /// The packet is dropped.
    Drop(DropReason),
}

impl Outcome {
    /// Whether the packet passes.
    #[inline]
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Pass | Self::PassLoose)
    }
}

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// A TCP segment outside the window.
    Window,
    /// A SYN on an established connection. See [`answer`].
    ChallengeAck,
    /// A TCP segment outside the window while both sides are opening, usually of an earlier connection with the same
    /// ports. See [`answer`].
    Reset,
    /// A peer's SYN proxy still handles the connection.
    SynProxy,
    /// An ICMP error that quotes a TCP segment outside the window.
    QuotedWindow,
    /// A packet with IP options, which the state does not allow.
    IpOptions,
    /// An SCTP packet whose verification tag is not its sender's.
    SctpTag,
    /// An ICMP query against the state's direction, or a reply along it.
    IcmpDirection,
}

/// As [`track_replicated`] for a record that is as new as the packet and that no peer has.
#[inline]
pub fn track(hot: &mut Hot, track: &mut Track, facts: &Facts, now: Tick) -> Outcome {
    track_replicated(hot, track, facts, now, MaxDrift::OFF, || TAKEOVER_SLACK.into())
}

/// Tracks a packet: updates the state's TCP state, windows and last activity, and counts the packet if it passes.
///
/// `facts` belong to a packet that matched the state's key. `max_drift` decides when the peers need an update before its age:
/// then [`LocalFlags::UPDATE_DUE`] is set. `reach` returns how many bytes the connection may have moved
/// since a peer's record of it arrived, see [`LineRate::reach`](super::LineRate::reach); it is called only while the record
/// is a peer's. Counts saturate: after a packet that passes, call [`fold_counts`](super::fold_counts) if
/// [`Hot::counts_are_full`].
///
/// Cost: the hot cache line; for TCP, and ICMP errors that quote TCP, also the track line.
#[inline]
pub fn track_replicated(
    hot: &mut Hot,
    track: &mut Track,
    facts: &Facts,
    now: Tick,
    max_drift: MaxDrift,
    reach: impl FnOnce() -> u64,
) -> Outcome {
    let side = usize::from(facts.direction.source_slot() != hot.direction().source_slot());
    if facts.ip_options.any(IpOptions::OPTIONS) && hot.pf_flags & pf_flags::ALLOW_OPTIONS == 0 {
        return Outcome::Drop(DropReason::IpOptions);
    }
    if facts.kind == Kind::Tcp && track_established(hot, track, &facts.tcp, side, now, max_drift) {
        count(hot, side, facts.ip_length);
        return Outcome::Pass;
    }
    track_slow(hot, track, facts, side, now, max_drift, reach)
}

/// Tracks a packet that is not a segment of an established connection.
#[inline(never)]
fn track_slow(
    hot: &mut Hot,
    track: &mut Track,
    facts: &Facts,
    side: usize,
    now: Tick,
    max_drift: MaxDrift,
    reach: impl FnOnce() -> u64,
) -> Outcome {
    let outcome = match facts.kind {
        Kind::Tcp => tcp::track(hot, track, &facts.tcp, side, now, max_drift, reach),
        Kind::Udp => non_tcp::track_datagram(hot, &non_tcp::UDP, side, now),
        Kind::IcmpQuery => non_tcp::track_icmp(hot, false, side, now),
        Kind::IcmpReply => non_tcp::track_icmp(hot, true, side, now),
        Kind::IcmpError => return icmp_error(hot, track, facts, side),
        Kind::LaterFragment => later_fragment(hot, now),
        Kind::Other if sctp::is_association(hot) => sctp::track(hot, track, &facts.tcp, side, now),
        Kind::Pfsync | Kind::Other => non_tcp::track_datagram(hot, &non_tcp::OTHER, side, now),
    };
    if outcome.passes() {
        count(hot, side, facts.ip_length);
    }
    outcome
}

/// Passes a later fragment. Its headers were checked in the first one, without which nobody can use it.
const fn later_fragment(hot: &mut Hot, now: Tick) -> Outcome {
    hot.last_activity = now;
    Outcome::Pass
}

/// Counts a packet that passed.
#[inline(always)]
const fn count(hot: &mut Hot, side: usize, bytes: u32) {
    hot.local.set(LocalFlags::LOCAL_TRAFFIC);
    hot.count(side, bytes);
}

/// Counts an ICMP error about a packet of the state and changes nothing else, because anyone can forge one. The error's
/// receiver sent the quoted packet.
#[cold]
fn icmp_error(hot: &mut Hot, track: &Track, facts: &Facts, side: usize) -> Outcome {
    let is_tcp = facts.key.proto == protocol::TCP && hot.pf_flags & pf_flags::SLOPPY == 0;
    if is_tcp && !is_quote_in_window(hot, track, facts.tcp.seq, 1 - side) {
        return Outcome::Drop(DropReason::QuotedWindow);
    }
    hot.count(side, facts.ip_length);
    Outcome::Pass
}

fn is_quote_in_window(hot: &Hot, track: &Track, seq: u32, sender: usize) -> bool {
    let is_resyncing = hot.local.any(resync_flag(0) | resync_flag(1));
    let slack = if is_resyncing { TakeoverSlack::NEAR } else { TakeoverSlack::NONE };
    if sender == 0 {
        is_quoted_in_window(seq, &track.src, &track.dst, slack)
    } else {
        is_quoted_in_window(seq, &track.dst, &track.src, slack)
    }
}

/// A segment that answers a dropped one, from its destination to its source, without data and with window 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags, see [`tcp_flags`].
    pub flags: u8,
}

/// How far before the window the challenge ACK lies: more than any window and any staleness of our numbers.
const CHALLENGE_DISTANCE: u32 = 1 << 30;

/// Returns the answer to a TCP packet that [`track`] dropped, if there is one (OpenBSD `pf_send_challenge_ack`,
/// `pf_tcp_track_full`). The host decides whether to send it.
///
/// **Unlike pf**, the challenge ACK lies before the window. pf's is valid to a live host: it acknowledges data that was seen
/// here but lost afterwards, and a duplicate or forged SYN triggers it. A live host discards ours; a host that has lost the
/// connection checks the acknowledgement only and answers with the desired RST (RFC 9293, 3.10.7.3 and 3.10.7.4).
#[must_use]
pub fn answer(reason: DropReason, hot: &Hot, track: &Track, facts: &Facts) -> Option<Answer> {
    let (sender, receiver) =
        if facts.direction == hot.direction() { (&track.src, &track.dst) } else { (&track.dst, &track.src) };
    match reason {
        DropReason::ChallengeAck => {
            let seq = receiver.seqlo.wrapping_sub(CHALLENGE_DISTANCE);
            Some(Answer { seq, ack: sender.seqlo, flags: tcp_flags::ACK })
        }
        DropReason::Reset => Some(Answer { seq: facts.tcp.ack, ack: 0, flags: tcp_flags::RST }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer_state::{ESTABLISHED, MULTIPLE, NO_TRAFFIC, SINGLE};
    use super::super::{Cold, Options, Record, StateId, create, fold_counts, timeout_class};
    use super::*;
    use crate::packet::{Be16, Direction, Family, IpOptions, Key, TcpFacts};

    /// Builds a packet of one connection. `forward` is the direction of its first packet, into the host.
    fn packet(kind: Kind, family: Family, proto: u8, forward: bool) -> Facts {
        let key = Key { port: [Be16::new(4000), Be16::new(80)], family, proto, ..Key::EMPTY };
        Facts {
            key,
            kind,
            direction: if forward { Direction::In } else { Direction::Out },
            l3_offset: 14,
            l4_offset: 34,
            ip_length: 100,
            ttl: 64,
            tos: 0,
            ip_options: IpOptions::NONE,
            tcp: TcpFacts::default(),
        }
    }

    fn begin(facts: &Facts) -> Record {
        create(facts, &Options::default(), StateId { id: 1, creator: 2 }, Tick(0))
    }

    fn follow(record: &mut Record, facts: &Facts, now: u32) -> Outcome {
        track(&mut record.hot, &mut record.track, facts, Tick(now))
    }

    #[test]
    fn udp_and_other_protocols_pass_from_first_to_single_to_multiple() {
        let rows = [
            (Kind::Udp, 17, timeout_class::UDP_FIRST),
            (Kind::Other, 47, timeout_class::OTHER_FIRST),
            (Kind::Pfsync, 240, timeout_class::OTHER_FIRST),
        ];
        for (kind, proto, first) in rows {
            for family in [Family::V4, Family::V6] {
                let packet = |forward| packet(kind, family, proto, forward);
                let mut record = begin(&packet(true));
                assert_eq!((record.hot.peer_state, record.hot.timeout), ([SINGLE, NO_TRAFFIC], first));
                // While only one side sends, the state stays single.
                assert_eq!(follow(&mut record, &packet(true), 1), Outcome::Pass);
                assert_eq!((record.hot.peer_state, record.hot.timeout), ([SINGLE, NO_TRAFFIC], first + 1));
                assert_eq!(follow(&mut record, &packet(false), 2), Outcome::Pass);
                assert_eq!((record.hot.peer_state, record.hot.timeout), ([MULTIPLE, SINGLE], first + 1));
                assert_eq!(follow(&mut record, &packet(true), 3), Outcome::Pass);
                assert_eq!((record.hot.peer_state, record.hot.timeout), ([MULTIPLE, MULTIPLE], first + 2));
                assert_eq!(record.hot.last_activity, Tick(3));
                assert_eq!((record.hot.packets, record.hot.bytes), ([3, 1], [300, 100]));
            }
        }
    }

    #[test]
    fn icmp_queries_follow_the_states_direction_and_replies_oppose_it() {
        for (family, proto) in [(Family::V4, 1), (Family::V6, 58)] {
            let mut record = begin(&packet(Kind::IcmpQuery, family, proto, true));
            assert_eq!((record.hot.peer_state, record.hot.timeout), ([0, 0], timeout_class::ICMP_FIRST));
            let wrong_direction = Outcome::Drop(DropReason::IcmpDirection);
            assert_eq!(
                follow(&mut record, &packet(Kind::IcmpReply, family, proto, true), 1),
                wrong_direction
            );
            assert_eq!(
                follow(&mut record, &packet(Kind::IcmpQuery, family, proto, false), 1),
                wrong_direction
            );
            assert_eq!((record.hot.timeout, record.hot.last_activity), (timeout_class::ICMP_FIRST, Tick(0)));
            assert_eq!(follow(&mut record, &packet(Kind::IcmpReply, family, proto, false), 2), Outcome::Pass);
            assert_eq!((record.hot.timeout, record.hot.last_activity), (timeout_class::ICMP_REPLY, Tick(2)));
            assert_eq!((record.hot.peer_state, record.hot.packets), ([0, 0], [1, 1]));
            record.hot.pf_flags = pf_flags::SLOPPY;
            assert_eq!(follow(&mut record, &packet(Kind::IcmpReply, family, proto, true), 3), Outcome::Pass);
        }
    }

    #[test]
    fn a_state_keeps_the_direction_of_its_first_packet() {
        let first = Facts { direction: Direction::Out, ..packet(Kind::Udp, Family::V6, 17, true) };
        let mut record = begin(&first);
        assert_eq!(record.hot.direction(), Direction::Out);
        assert!(record.hot.local.has(LocalFlags::LIVE | LocalFlags::LOCAL_TRAFFIC));
        let reply = Facts { direction: Direction::In, ..first };
        assert_eq!(follow(&mut record, &reply, 1), Outcome::Pass);
        assert_eq!(record.hot.packets, [1, 1]);
    }

    #[test]
    fn an_icmp_error_is_counted_but_changes_nothing_else() {
        let mut record = begin(&packet(Kind::Udp, Family::V4, 17, true));
        let before = record.hot;
        let error = packet(Kind::IcmpError, Family::V4, 17, false);
        assert_eq!(follow(&mut record, &error, 9), Outcome::Pass);
        assert_eq!(record.hot.packets, [1, 1]);
        let counted = Hot { packets: before.packets, bytes: before.bytes, ..record.hot };
        assert_eq!(format!("{counted:?}"), format!("{before:?}"));
    }

    #[test]
    fn an_icmp_error_must_quote_a_segment_in_the_window() {
        let syn = TcpFacts { seq: 1_000, window: 500, flags: tcp_flags::SYN, ..TcpFacts::default() };
        let mut record = begin(&Facts { tcp: syn, ..packet(Kind::Tcp, Family::V6, 6, true) });
        let quoting = |seq| Facts {
            tcp: TcpFacts { seq, ..TcpFacts::default() },
            ..packet(Kind::IcmpError, Family::V6, 6, false)
        };
        let outside = Outcome::Drop(DropReason::QuotedWindow);
        // seqlo 1000, seqhi 1002, the other side's window 1.
        let oldest = 999u32.wrapping_sub(67_035);
        let rows = [(oldest - 1, outside), (oldest, Outcome::Pass), (1_002, Outcome::Pass), (1_003, outside)];
        for (seq, outcome) in rows {
            assert_eq!(follow(&mut record, &quoting(seq), 1), outcome, "{seq}");
        }
        assert_eq!(record.hot.packets, [1, 2]);
        record.hot.local.set(LocalFlags::RESYNC_SRC);
        assert_eq!(follow(&mut record, &quoting(1_003), 1), Outcome::Pass);
        record.hot.local.clear(LocalFlags::RESYNC_SRC);
        record.hot.pf_flags = pf_flags::SLOPPY;
        assert_eq!(follow(&mut record, &quoting(77_777_777), 1), Outcome::Pass);
    }

    #[test]
    fn counts_saturate_and_lose_nothing_if_folded_in_time() {
        let mut record = begin(&packet(Kind::Udp, Family::V4, 17, true));
        for now in 0..200_000 {
            assert_eq!(follow(&mut record, &packet(Kind::Udp, Family::V4, 17, true), now), Outcome::Pass);
            if record.hot.counts_are_full() {
                fold_counts(&mut record.hot, &mut record.cold);
            }
        }
        fold_counts(&mut record.hot, &mut record.cold);
        let Cold { packets, bytes, .. } = record.cold;
        assert_eq!((packets, bytes), ([200_001, 0], [20_000_100, 0]));

        let huge = Facts { ip_length: u32::MAX, ..packet(Kind::Udp, Family::V4, 17, true) };
        for now in 0..70_000 {
            follow(&mut record, &huge, now);
        }
        assert_eq!((record.hot.packets[0], record.hot.bytes[0]), (u16::MAX, u32::MAX));
    }

    #[test]
    fn a_syn_on_an_established_connection_is_answered_with_an_ack_before_the_window() {
        let syn = TcpFacts { seq: 5, ack: 99, flags: tcp_flags::SYN, ..TcpFacts::default() };
        let facts = Facts { tcp: syn, ..packet(Kind::Tcp, Family::V4, 6, true) };
        let mut record = begin(&facts);
        record.hot.peer_state = [ESTABLISHED; 2];
        record.track.dst.seqlo = 700;
        assert_eq!(follow(&mut record, &facts, 1), Outcome::Drop(DropReason::ChallengeAck));
        assert_eq!(record.hot.packets, [1, 0]);
        let answers = |reason| answer(reason, &record.hot, &record.track, &facts);
        let challenge = Answer { seq: 700u32.wrapping_sub(1 << 30), ack: 5, flags: tcp_flags::ACK };
        assert_eq!(answers(DropReason::ChallengeAck), Some(challenge));
        assert_eq!(answers(DropReason::Reset), Some(Answer { seq: 99, ack: 0, flags: tcp_flags::RST }));
        assert_eq!(answers(DropReason::Window), None);
    }
}
