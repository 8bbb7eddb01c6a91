//! Tracks UDP, ICMP queries and all protocols other than TCP (OpenBSD `pf_test_state`, `pf_test_state_icmp`; protocol 7.2
//! and 7.3).

use super::peer::peer_state::{MULTIPLE, SINGLE};
use super::timeout::timeout_class::{
    ICMP_REPLY, OTHER_MULTIPLE, OTHER_SINGLE, SCTP_FIRST, UDP_MULTIPLE, UDP_SINGLE,
};
use super::{DropReason, Hot, Outcome, pf_flags};
use crate::packet::protocol::SCTP;
use crate::time::Tick;

/// The two timeout classes after the first packet.
pub(super) struct Classes {
    single: u8,
    multiple: u8,
}

pub(super) const UDP: Classes = Classes { single: UDP_SINGLE, multiple: UDP_MULTIPLE };
const OTHER: Classes = Classes { single: OTHER_SINGLE, multiple: OTHER_MULTIPLE };

/// Tracks a packet of a protocol without connections: the sender becomes single, a receiver that has sent becomes multiple.
#[inline]
pub(super) fn track_datagram(hot: &mut Hot, classes: &Classes, side: usize, now: Tick) -> Outcome {
    let [sender, receiver] = [hot.peer_state[side], hot.peer_state[1 - side]];
    hot.peer_state[side] = sender.max(SINGLE);
    hot.peer_state[1 - side] = if receiver == SINGLE { MULTIPLE } else { receiver };
    hot.timeout = if hot.peer_state == [MULTIPLE; 2] { classes.multiple } else { classes.single };
    hot.last_activity = now;
    Outcome::Pass
}

/// Tracks a packet of SCTP or another protocol.
///
/// SCTP is tracked like any other protocol, as in OpenBSD and FreeBSD 13. A state created by FreeBSD 14 or later keeps its
/// states and timeout class (protocol 4.1): they belong to FreeBSD's SCTP state machine, and the timeouts of other protocols
/// would expire an association between two heartbeats.
pub(super) fn track_other(hot: &mut Hot, side: usize, now: Tick) -> Outcome {
    if hot.key.proto == SCTP && hot.timeout >= SCTP_FIRST {
        hot.last_activity = now;
        return Outcome::Pass;
    }
    track_datagram(hot, &OTHER, side, now)
}

/// Tracks a query or reply. Queries travel in the state's direction, replies against it; sloppy states take either.
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
    fn an_sctp_state_of_freebsd_keeps_its_states_and_timeout() {
        const ESTABLISHED: u8 = 8;
        let mut hot = sctp([ESTABLISHED; 2], 22);
        for (side, now) in [(0, 5), (1, 6)] {
            assert_eq!(track_other(&mut hot, side, Tick(now)), Outcome::Pass);
            assert_eq!((hot.peer_state, hot.timeout), ([ESTABLISHED; 2], 22));
            assert_eq!(hot.last_activity, Tick(now));
        }
    }

    #[test]
    fn our_own_sctp_state_is_tracked_like_other_protocols() {
        let mut hot = sctp([SINGLE, 0], 11);
        track_other(&mut hot, 1, Tick(5));
        track_other(&mut hot, 0, Tick(6));
        assert_eq!((hot.peer_state, hot.timeout), ([MULTIPLE; 2], OTHER_MULTIPLE));
    }
}
