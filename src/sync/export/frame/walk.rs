//! Writes frames of bulk transfers.

use super::Frame;
use crate::sync::bulk::{Pace, Walk};
use crate::sync::export::{Exporter, Flushed};
use crate::sync::repair::Lacks;
use crate::sync::store::Store;
use crate::sync::translate::Clock;
use pfsync::{Action, Full};

impl Exporter {
    /// Writes the next frame of a bulk transfer. `Ok(None)`: none of the slots held a state to send.
    pub(super) fn write_walk(
        &mut self,
        table: &mut impl Store,
        clock: &Clock<'_>,
        mut walk: Walk,
        pace: Pace,
        buffer: &mut [u8],
    ) -> Result<Option<Flushed>, Full> {
        let peer = walk.order.peer;
        let mut fields = self.begin_frame(peer);
        let mut frame = Frame::begin(&self.settings, &self.settings.peers[usize::from(peer)], buffer)?;
        let from = walk.at;
        let Self { repairs, comparison, .. } = self;
        let is_numbered = repairs.is_writing();
        let mut note = |slot, id| {
            repairs.note_state(slot, true, Lacks::Nothing);
            if is_numbered {
                comparison.marks.tell(peer.into(), slot, || id);
            }
        };
        let states = frame.push_states(table, clock, &self.settings.filter, &mut walk, &mut note);
        if frame.is_empty() && states.is_full {
            return Err(Full);
        }
        fields.flags |= self.report_flag(&walk);
        let length = frame.finish(self.packet_id, &fields);
        if walk.left == 0 {
            self.hasten_root(peer);
        }
        self.walks.written(walk, pace);
        // A walk that went around its end continues at the first slot.
        let end = if walk.at > from { walk.at } else { u32::MAX };
        self.sent_whole(table, from, end);
        self.counters.bulk_states_sent += states.count;
        self.counters.messages_inexpressible += states.inexpressible;
        self.count_sent(Action::Update, states.count, peer);
        if length.is_some() {
            self.content_sent(peer);
        }
        Ok(self.count_frame(length, peer))
    }
}
