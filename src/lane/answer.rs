//! What pf sends back for a TCP packet that its state refuses: a challenge acknowledgement, or a reset.

use super::{Action, Burst, Lane, PacketView, Reason, Verdict};
use crate::packet::{Facts, Kind, parse_into, write_answer};
use crate::state::{DropReason, answer};

impl Lane {
    /// Writes the answer to a packet that a lookup just said to drop, to go out where the packet came in. The bytes
    /// written, nothing when the verdict calls for no answer.
    ///
    /// Without it a client that uses its ports again while the server, or this node, still has the connection before
    /// waits until that one ends by itself.
    #[must_use]
    pub fn answer(
        &self,
        burst: &Burst,
        packet: &PacketView<'_>,
        verdict: &Verdict,
        out: &mut [u8],
    ) -> Option<usize> {
        let reason = match (verdict.action, verdict.reason) {
            (Action::Drop, Reason::ChallengeAck) => DropReason::ChallengeAck,
            (Action::Drop, Reason::Reset) => DropReason::Reset,
            _ => return None,
        };
        let mut facts = Facts::EMPTY;
        parse_into(packet.data, packet.packet_length, burst.link, burst.direction, &mut facts).ok()?;
        if facts.kind != Kind::Tcp || verdict.slot.0 >= self.table.end() || !self.table.is_live(verdict.slot)
        {
            return None;
        }
        let segment = answer(reason, self.table.hot(verdict.slot), self.table.track(verdict.slot), &facts)?;
        write_answer(packet.data, &facts, segment.seq, segment.ack, segment.flags, out)
    }
}
