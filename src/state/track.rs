//! What a packet does to the state that it was found to belong to.

use super::takeover::{TakeoverSlack, resync_flag};
use super::tcp_established::track_established;
use super::tcp_window::quoted_fits;
use super::{Hot, LocalFlags, Track, non_tcp, pf_flags, tcp};
use crate::packet::{Facts, Kind, tcp_flags};
use crate::time::Tick;

/// IP protocol number of TCP.
const TCP: u8 = 6;

/// What becomes of a packet that has a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It fits.
    Pass,
    /// It passes, but only by the loose rule at either end of a connection, or by the slack after a takeover.
    PassLoose,
    /// A new connection begins on an ended one's key: the caller removes the state and treats the packet as new.
    Retire,
    /// It does not fit.
    Drop(DropReason),
}

impl Outcome {
    /// Whether the packet goes on.
    #[inline]
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Pass | Self::PassLoose)
    }
}

/// Why a state refuses a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// A TCP segment outside the window.
    Window,
    /// A SYN on an established connection, to be answered: see [`answer`].
    ChallengeAck,
    /// A TCP segment outside the window while both sides are opening, mostly one of the connection that had the ports
    /// before; to be answered: see [`answer`].
    Reset,
    /// The connection is still between a peer's syn-proxy and the client; only that peer can bring it on.
    SynProxy,
    /// An ICMP error that quotes a TCP segment outside the window.
    QuotedWindow,
    /// An ICMP query against the state's direction, or a reply along it.
    IcmpDirection,
}

/// Tracks a packet: moves the state's machine, windows and clock, and counts the packet when it passes.
///
/// `facts` are of a packet whose key was found to be the state's, in the direction that it was looked up in. The track
/// line is read for TCP, and for ICMP errors that quote TCP, only. Counts saturate: after a packet that passes ask
/// [`Hot::counts_are_full`] and then fold them into the cold record.
///
/// Cost: the hot line, for TCP also the track line, no other memory.
#[inline]
pub fn track(hot: &mut Hot, track: &mut Track, facts: &Facts, now: Tick) -> Outcome {
    let side = usize::from(facts.direction.source_slot() != hot.direction().source_slot());
    if facts.kind == Kind::Tcp && track_established(hot, track, &facts.tcp, side, now) {
        note(hot, side, facts.ip_length);
        return Outcome::Pass;
    }
    track_slow(hot, track, facts, side, now)
}

/// What is not the next segment of an open connection.
#[inline(never)]
fn track_slow(hot: &mut Hot, track: &mut Track, facts: &Facts, side: usize, now: Tick) -> Outcome {
    let outcome = match facts.kind {
        Kind::Tcp => tcp::track(hot, track, &facts.tcp, side, now),
        Kind::Udp => non_tcp::track_datagram(hot, &non_tcp::UDP, side, now),
        Kind::IcmpQuery => non_tcp::track_icmp(hot, false, side, now),
        Kind::IcmpReply => non_tcp::track_icmp(hot, true, side, now),
        Kind::IcmpError => return icmp_error(hot, track, facts, side),
        Kind::Pfsync | Kind::Other => non_tcp::track_other(hot, side, now),
    };
    if outcome.passes() {
        note(hot, side, facts.ip_length);
    }
    outcome
}

/// Writes down that a packet passed.
#[inline(always)]
const fn note(hot: &mut Hot, side: usize, bytes: u32) {
    hot.local.set(LocalFlags::LOCAL_TRAFFIC);
    hot.count(side, bytes);
}

/// An ICMP error about a packet of the state: counted, nothing else, since anybody can make one. What it quotes was
/// sent by the side that the error goes to.
#[cold]
fn icmp_error(hot: &mut Hot, track: &Track, facts: &Facts, side: usize) -> Outcome {
    let is_tcp = facts.key.proto == TCP && hot.pf_flags & pf_flags::SLOPPY == 0;
    if is_tcp && !quotes_the_window(hot, track, facts.tcp.seq, 1 - side) {
        return Outcome::Drop(DropReason::QuotedWindow);
    }
    hot.count(side, facts.ip_length);
    Outcome::Pass
}

fn quotes_the_window(hot: &Hot, track: &Track, seq: u32, sender: usize) -> bool {
    let slack = TakeoverSlack::of([0, 1].map(|side| hot.local.has(resync_flag(side))));
    if sender == 0 {
        quoted_fits(seq, &track.src, &track.dst, slack)
    } else {
        quoted_fits(seq, &track.dst, &track.src, slack)
    }
}

/// The segment that pf sends back, from the dropped one's destination to its source, without data, window 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags, see [`tcp_flags`].
    pub flags: u8,
}

/// How far before its window the challenge lies: beyond every window and every lag of our numbers.
const CHALLENGE_BEFORE: u32 = 1 << 30;

/// What to send to the sender of a TCP packet that [`track`] just dropped, if anything (OpenBSD
/// `pf_send_challenge_ack`, `pf_tcp_track_full`). Sending it is the host's choice.
///
/// **Unlike pf**, whose challenge a live end takes for true: it acknowledges all that was seen here, also what was lost
/// behind us and must be sent again, and a late double of a SYN or a forged one is enough to call for it. Ours lies before
/// the window. A live end throws it away; one that has forgotten the connection looks at the acknowledgement only, and
/// answers with the RST that was wanted (RFC 9293, 3.10.7.3 and 3.10.7.4).
#[must_use]
pub fn answer(reason: DropReason, hot: &Hot, track: &Track, facts: &Facts) -> Option<Answer> {
    let (sender, receiver) =
        if facts.direction == hot.direction() { (&track.src, &track.dst) } else { (&track.dst, &track.src) };
    match reason {
        DropReason::ChallengeAck => {
            let seq = receiver.seqlo.wrapping_sub(CHALLENGE_BEFORE);
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
    use crate::packet::{Be16, Direction, Family, Key, TcpFacts};

    /// A packet between the two ends of one connection: `forward` is the way that the first one goes, into the host.
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
            ip_options: false,
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
    fn udp_and_others_go_from_first_to_single_to_multiple() {
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
                // As long as only one side speaks the state stays single.
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
    fn icmp_queries_go_along_the_state_and_replies_against_it() {
        for (family, proto) in [(Family::V4, 1), (Family::V6, 58)] {
            let mut record = begin(&packet(Kind::IcmpQuery, family, proto, true));
            assert_eq!((record.hot.peer_state, record.hot.timeout), ([0, 0], timeout_class::ICMP_FIRST));
            let against = Outcome::Drop(DropReason::IcmpDirection);
            assert_eq!(follow(&mut record, &packet(Kind::IcmpReply, family, proto, true), 1), against);
            assert_eq!(follow(&mut record, &packet(Kind::IcmpQuery, family, proto, false), 1), against);
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
        let exporter = Facts { direction: Direction::Out, ..packet(Kind::Udp, Family::V6, 17, true) };
        let mut record = begin(&exporter);
        assert_eq!(record.hot.direction(), Direction::Out);
        assert!(record.hot.local.has(LocalFlags::LIVE | LocalFlags::LOCAL_TRAFFIC));
        let reply = Facts { direction: Direction::In, ..exporter };
        assert_eq!(follow(&mut record, &reply, 1), Outcome::Pass);
        assert_eq!(record.hot.packets, [1, 1]);
    }

    #[test]
    fn an_icmp_error_is_counted_and_changes_nothing_else() {
        let mut record = begin(&packet(Kind::Udp, Family::V4, 17, true));
        let before = record.hot;
        let error = packet(Kind::IcmpError, Family::V4, 17, false);
        assert_eq!(follow(&mut record, &error, 9), Outcome::Pass);
        assert_eq!(record.hot.packets, [1, 1]);
        let counted = Hot { packets: before.packets, bytes: before.bytes, ..record.hot };
        assert_eq!(format!("{counted:?}"), format!("{before:?}"));
    }

    #[test]
    fn an_icmp_error_must_quote_a_segment_of_the_window() {
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
    fn counts_stop_when_full_and_lose_nothing_when_folded_in_time() {
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
    fn a_dropped_syn_on_an_established_connection_is_answered_before_the_window() {
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
