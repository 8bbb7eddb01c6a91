//! Writes frames that repair lost ones.

use super::{Frame, full_state, is_walked};
use crate::state::StateId;
use crate::sync::export::control::{ControlBody, ControlMessage};
use crate::sync::export::{Exporter, Flushed};
use crate::sync::message::PeerIndex;
use crate::sync::repair::{IdKind, Lacks, Next};
use crate::sync::store::Store;
use crate::sync::translate::Clock;
use crate::table::Slot;
use arrayvec::ArrayVec;
use pfsync::{Action, Full, StreamOption};

/// Control messages that one frame of a repair puts back into their queue.
const MAX_CONTROL: usize = 8;

impl ControlBody {
    /// Returns the message in the form of an id.
    pub(super) const fn as_id(self) -> StateId {
        match self {
            Self::Request => StateId { id: 0, creator: 0 },
            Self::Start => StateId { id: 0, creator: 1 },
            Self::End(requested) => StateId { id: requested, creator: 2 },
        }
    }

    const fn of_id(id: StateId) -> Self {
        match id.creator {
            0 => Self::Request,
            1 => Self::Start,
            _ => Self::End(id.id),
        }
    }
}

impl Exporter {
    /// Writes the next frame of a peer's repair. `Ok(None)`: nothing to send was found within the bounds of one call.
    pub(super) fn write_repair(
        &mut self,
        table: &impl Store,
        clock: &Clock<'_>,
        peer: PeerIndex,
        buffer: &mut [u8],
    ) -> Result<Option<Flushed>, Full> {
        let mut fields = self.begin_frame(peer);
        fields.flags |= self.report_flags(peer, true);
        let mut frame = Frame::begin(&self.settings, &self.settings.peers[usize::from(peer)], buffer)?;
        let mut control = ArrayVec::<ControlBody, MAX_CONTROL>::new();
        let (mut states, mut ids) = (0, [0; 3]);
        while let Some(next) = self.repairs.next(peer, &mut self.counters.repairs_scanned) {
            match next {
                Next::Later => break,
                Next::Id(IdKind::Control, _) if control.is_full() => break,
                Next::Id(IdKind::Control, id) => control.push(ControlBody::of_id(id)),
                Next::Id(kind, id) => {
                    if frame.push_id(kind, id).is_err() {
                        break;
                    }
                    self.repairs.note_id(kind, id);
                    ids[kind as usize] += 1;
                }
                Next::State(slot) => {
                    if !table.is_live(slot) || !is_walked(table, &self.settings.filter, slot) {
                        // It ended, or its insert waits.
                    } else {
                        match frame.push_again(table, clock, slot) {
                            Ok(false) => {}
                            Ok(true) => {
                                self.repairs.note_state(slot, true, Lacks::Nothing);
                                self.comparison.marks.tell(peer.into(), slot, || table.id(slot));
                                states += 1;
                            }
                            Err(Full) => break,
                        }
                    }
                }
                Next::Mended(frames, is_complete) => {
                    if frame.push_report(&StreamOption::Mended { frames, is_complete }).is_err() {
                        break;
                    }
                    self.counters.repairs_served += 1;
                    self.counters.repairs_incomplete += u64::from(!is_complete);
                }
            }
            self.repairs.advance(peer);
        }
        let is_content = !frame.is_empty();
        let length = frame.finish(self.packet_id, &fields);
        self.counters.ids_repeated += ids.iter().sum::<u64>();
        for (action, count) in
            [Action::DeleteCompressed, Action::InsertAck, Action::UpdateRequest].into_iter().zip(ids)
        {
            self.count_sent(action, count, peer);
        }
        self.counters.states_repeated += states;
        self.count_sent(Action::Update, states, peer);
        for body in control {
            self.enqueue_control(ControlMessage { body, peer: Some(peer) });
        }
        if is_content {
            self.content_sent(peer);
        }
        Ok(self.count_frame(length, peer))
    }
}

impl Frame<'_> {
    fn push_id(&mut self, kind: IdKind, id: StateId) -> Result<(), Full> {
        let action = match kind {
            IdKind::Acknowledgement => Action::InsertAck,
            IdKind::Request => Action::UpdateRequest,
            IdKind::Delete | IdKind::Control => Action::DeleteCompressed,
        };
        self.writer.push_id(action, id.into())
    }

    /// Adds the state in a slot. Returns false if it cannot be sent.
    fn push_again(&mut self, table: &impl Store, clock: &Clock<'_>, slot: Slot) -> Result<bool, Full> {
        if !table.is_expressible(slot, self.peer.profile) {
            return Ok(false);
        }
        let Some(state) = full_state(self.peer, table, slot, clock) else { return Ok(false) };
        self.push_state(table, Action::Update, slot, &state)?;
        Ok(true)
    }

    /// Adds a report about a stream to the trailer.
    pub(in crate::sync::export) fn push_report(&mut self, report: &StreamOption) -> Result<(), Full> {
        let mut value = [0; StreamOption::MAX_BYTES];
        let length = report.emit(&mut value);
        self.writer.push_option(&pfsync::TrailerOption { kind: report.kind(), value: &value[..length] })
    }
}
