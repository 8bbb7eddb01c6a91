//! How packets of UDP, ICMP queries and all other protocols change their state (OpenBSD `pf_test_state`,
//! `pf_test_state_icmp`; protocol 7.2 and 7.3).

use super::peer::peer_state::{MULTIPLE, SINGLE};
use super::timeout::timeout_class::{
    ICMP_REPLY, OTHER_MULTIPLE, OTHER_SINGLE, SCTP_FIRST, UDP_MULTIPLE, UDP_SINGLE,
};
use super::{DropReason, Hot, Outcome, pf_flags};
use crate::time::Tick;

const SCTP: u8 = 132;

/// The two timeout classes after the first packet.
pub(super) struct Classes {
    single: u8,
    multiple: u8,
}

pub(super) const UDP: Classes = Classes { single: UDP_SINGLE, multiple: UDP_MULTIPLE };
const OTHER: Classes = Classes { single: OTHER_SINGLE, multiple: OTHER_MULTIPLE };

/// A packet of a protocol without a machine of its own: the sender has sent, and a receiver that has sent is answered.
#[inline]
pub(super) fn track_datagram(hot: &mut Hot, classes: &Classes, side: usize, now: Tick) -> Outcome {
    let [sender, receiver] = [hot.peer_state[side], hot.peer_state[1 - side]];
    hot.peer_state[side] = sender.max(SINGLE);
    hot.peer_state[1 - side] = if receiver == SINGLE { MULTIPLE } else { receiver };
    hot.timeout = if hot.peer_state == [MULTIPLE; 2] { classes.multiple } else { classes.single };
    hot.last_activity = now;
    Outcome::Pass
}

/// A packet of a protocol that is known by its addresses, or SCTP.
///
/// SCTP is tracked as OpenBSD and FreeBSD 13 do it, as any other protocol, by its ports as well. A state that FreeBSD 14 or
/// later has made stays as its maker told it (protocol 4.1): its numbers are bits of a machine that only FreeBSD runs, and
/// the classes of other protocols would end an association between two heartbeats.
pub(super) fn track_other(hot: &mut Hot, side: usize, now: Tick) -> Outcome {
    if hot.key.proto == SCTP && hot.timeout >= SCTP_FIRST {
        hot.last_activity = now;
        return Outcome::Pass;
    }
    track_datagram(hot, &OTHER, side, now)
}

/// A query or a reply: queries travel the state's way, replies against it, but for sloppy states.
#[inline]
pub(super) fn track_icmp(hot: &mut Hot, is_reply: bool, side: usize, now: Tick) -> Outcome {
    if (side == 1) != is_reply && hot.pf_flags & pf_flags::SLOPPY == 0 {
        return Outcome::Drop(DropReason::IcmpDirection);
    }
    hot.timeout = ICMP_REPLY;
    hot.last_activity = now;
    Outcome::Pass
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Key;

    fn sctp(peer_state: [u8; 2], timeout: u8) -> Hot {
        Hot { key: Key { proto: SCTP, ..Key::EMPTY }, peer_state, timeout, ..Hot::EMPTY }
    }

    #[test]
    fn an_sctp_state_of_freebsd_stays_as_it_was_told() {
        const ESTABLISHED: u8 = 8;
        let mut hot = sctp([ESTABLISHED; 2], 22);
        for (side, now) in [(0, 5), (1, 6)] {
            assert_eq!(track_other(&mut hot, side, Tick(now)), Outcome::Pass);
            assert_eq!((hot.peer_state, hot.timeout), ([ESTABLISHED; 2], 22));
            assert_eq!(hot.last_activity, Tick(now));
        }
    }

    #[test]
    fn an_sctp_state_of_ours_goes_the_way_of_other_protocols() {
        let mut hot = sctp([SINGLE, 0], 11);
        track_other(&mut hot, 1, Tick(5));
        track_other(&mut hot, 0, Tick(6));
        assert_eq!((hot.peer_state, hot.timeout), ([MULTIPLE; 2], OTHER_MULTIPLE));
    }
}
