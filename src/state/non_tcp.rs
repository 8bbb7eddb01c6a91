//! Tracks UDP, ICMP queries and all protocols other than TCP (OpenBSD `pf_test_state`, `pf_test_state_icmp`; protocol 7.2
//! and 7.3).

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
