//! How packets of UDP, ICMP queries and all other protocols change their state (OpenBSD `pf_test_state`,
//! `pf_test_state_icmp`; protocol 7.2 and 7.3).

use super::peer::peer_state::{MULTIPLE, SINGLE};
use super::timeout::timeout_class::{ICMP_REPLY, OTHER_MULTIPLE, OTHER_SINGLE, UDP_MULTIPLE, UDP_SINGLE};
use super::{DropReason, Hot, Outcome, pf_flags};
use crate::time::Tick;

/// The two timeout classes after the first packet.
pub(super) struct Classes {
    single: u8,
    multiple: u8,
}

pub(super) const UDP: Classes = Classes { single: UDP_SINGLE, multiple: UDP_MULTIPLE };
pub(super) const OTHER: Classes = Classes { single: OTHER_SINGLE, multiple: OTHER_MULTIPLE };

/// A packet of a protocol without a machine of its own: the sender has sent, and a receiver that has sent is answered.
#[inline]
pub(super) fn datagram(hot: &mut Hot, classes: &Classes, side: usize, now: Tick) -> Outcome {
    let [sender, receiver] = [hot.peer_state[side], hot.peer_state[1 - side]];
    hot.peer_state[side] = sender.max(SINGLE);
    hot.peer_state[1 - side] = if receiver == SINGLE { MULTIPLE } else { receiver };
    hot.timeout = if hot.peer_state == [MULTIPLE; 2] { classes.multiple } else { classes.single };
    hot.last_activity = now;
    Outcome::Pass
}

/// A query or a reply: queries travel the state's way, replies against it, but for sloppy states.
#[inline]
pub(super) fn icmp(hot: &mut Hot, is_reply: bool, side: usize, now: Tick) -> Outcome {
    if (side == 1) != is_reply && hot.pf_flags & pf_flags::SLOPPY == 0 {
        return Outcome::Drop(DropReason::IcmpDirection);
    }
    hot.timeout = ICMP_REPLY;
    hot.last_activity = now;
    Outcome::Pass
}
