//! Sends the sums and sketches of a lane's streams, and handles what peers ask about them; see `equality/`.

use super::super::frame::Frame;
use super::super::queue::Event;
use super::super::{Exporter, Flushed, Removal};
use crate::state::{LocalFlags, StateId};
use crate::sync::equality::{Answer, Finder, Origin, Question, ROOT_INTERVAL, Total};
use crate::sync::import::Refused;
use crate::sync::message::PeerIndex;
use crate::sync::settings::MAX_PEERS;
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::Nanos;
use pfsync::{Full, StreamOption};

/// When each peer gets the sum of what it was sent.
#[derive(Clone, Debug)]
pub(in crate::sync::export) struct Roots {
    next: [Nanos; MAX_PEERS],
}

impl Default for Roots {
    fn default() -> Self {
        Self { next: [Nanos::MAX; MAX_PEERS] }
    }
}

impl Roots {
    /// Notes that a frame with contents was sent to a peer: from now on it gets sums.
    #[inline]
    pub(super) fn content_sent(&mut self, peer: PeerIndex, now: Nanos) {
        let next = &mut self.next[usize::from(peer)];
        if *next == Nanos::MAX {
            *next = now.saturating_add(ROOT_INTERVAL);
        }
    }

    fn deadline(&self) -> Nanos {
        self.next.iter().copied().min().unwrap_or(Nanos::MAX)
    }

    fn due(&self, now: Nanos) -> Option<PeerIndex> {
        let peer = self.next.iter().position(|&next| now >= next)?;
        PeerIndex::try_from(peer).ok()
    }
}

impl Exporter {
    /// Notes that a state was received in a stream.
    #[inline]
    pub(in crate::sync) fn note_taken(&mut self, table: &impl Store, origin: Origin, slot: Slot) {
        if origin != Origin::NONE {
            self.comparison.marks.take(origin, slot, || table.id(slot));
        }
    }

    /// Notes that a state of a stream cannot be held here.
    #[cold]
    pub(crate) fn note_refused(&mut self, origin: Origin, id: StateId, why: Refused) {
        self.comparison.refuse(origin, id, why as u8);
    }

    /// Whether a state is there because another node sent it, which has the traffic and will end it.
    #[must_use]
    pub fn is_sent_by_another(&self, table: &impl Store, slot: Slot) -> bool {
        let local = table.local(slot);
        local.has(LocalFlags::IMPORTED)
            && !local.has(LocalFlags::LOCAL_TRAFFIC)
            && self.comparison.marks.is_taken(slot)
    }

    /// Answers a question of the sync lane.
    pub fn ask(&mut self, question: &Question) {
        self.comparison.ask(question);
    }

    /// Returns the next answer for the sync lane.
    pub fn take_answer(&mut self) -> Option<Answer> {
        self.comparison.take_answer()
    }

    /// Handles what a peer asks about the states of this lane's stream to it.
    pub(super) fn handle_comparison(
        &mut self,
        table: &mut impl Store,
        peer: PeerIndex,
        report: &StreamOption,
    ) {
        match *report {
            StreamOption::Sketch { cells, .. } => {
                let is_known = self.comparison.begin_sketch(peer, cells);
                self.counters.comparisons_refused += u64::from(!is_known);
            }
            StreamOption::Want { elements, .. } => self.comparison.want(peer, &elements),
            StreamOption::Refused { id, .. } => {
                self.counters.states_refused_by_peer += 1;
                // A node of a group must not hide the state from the others.
                if let Some(slot) = table.find_id(id.into())
                    && self.settings.peers[usize::from(peer)].max_nodes() == 1
                {
                    self.comparison.marks.untell(peer.into(), slot, id.into());
                }
            }
            StreamOption::Doubt { id, .. } => match table.find_id(id.into()) {
                Some(slot) => self.tell_again(table, slot),
                None => _ = self.send_report(peer, StreamOption::Gone { id }),
            },
            _ => {}
        }
    }

    /// Sends a state in full.
    fn tell_again(&mut self, table: &mut impl Store, slot: Slot) {
        if self.is_replicated(table, slot) {
            self.counters.states_told_again += 1;
            self.note_event(table, slot, Event::Requested, self.flushed_at);
        }
    }

    /// Handles the note that the sender of a stream does not have a state. Ends the state if it is here for no other reason: this node
    /// neither created it nor has its traffic, and no other node sent it. Returns whether it ended.
    pub(in crate::sync) fn handle_gone(
        &mut self,
        table: &mut impl Store,
        origin: Origin,
        id: StateId,
        now: Nanos,
    ) -> bool {
        let Some(slot) = table.find_id(id) else { return false };
        self.comparison.marks.untake(origin, slot, id);
        let local = table.local(slot);
        let is_ours = !local.has(LocalFlags::IMPORTED) || local.has(LocalFlags::LOCAL_TRAFFIC);
        if is_ours || self.comparison.marks.is_taken(slot) || !self.settings.compares_all() {
            return false;
        }
        self.counters.ghosts_ended += 1;
        self.removed(table, slot, now, Removal::Network);
        table.remove(slot);
        true
    }

    /// Builds sketches and looks for states that peers want, a few slots each. Call it in every poll.
    pub fn step_comparison(&mut self, table: &mut impl Store) {
        self.comparison.step(table);
        let mut budget = Finder::budget();
        while let Some(slot) = self.comparison.next_wanted(table, &mut budget) {
            self.tell_again(table, slot);
        }
        if self.comparison.sketch_for().is_some() {
            self.pacing.wake();
        }
    }

    /// Returns when a sum or a part of a sketch is to be sent.
    pub(in crate::sync::export) fn comparison_deadline(&self) -> Nanos {
        if self.comparison.sketch_for().is_some() { 0 } else { self.roots.deadline() }
    }

    /// Makes the sum for a peer due: it was sent all states.
    pub(in crate::sync::export) fn hasten_root(&mut self, peer: PeerIndex) {
        let next = &mut self.roots.next[usize::from(peer)];
        *next = if *next == Nanos::MAX { *next } else { 0 };
    }

    /// Writes a sum, or the next cells of a sketch, if due. Until then no delete may wait: what ended here is sent.
    pub(in crate::sync::export) fn write_comparison(
        &mut self,
        now: Nanos,
        buffer: &mut [u8],
    ) -> Result<Option<Flushed>, Full> {
        let sketch_for = self.comparison.sketch_for();
        let Some(peer) = sketch_for.or_else(|| self.roots.due(now)) else { return Ok(None) };
        let mut fields = self.begin_frame(peer);
        if fields.sequence == 0 {
            // Without numbers there is no cut.
            self.roots.next[usize::from(peer)] = Nanos::MAX;
            return Ok(None);
        }
        fields.flags |= self.report_flags(peer, false);
        let mut frame = Frame::begin(&self.settings, &self.settings.peers[usize::from(peer)], buffer)?;
        if sketch_for.is_some() {
            let mut count = 0;
            while let Some(run) = self.comparison.next_cells()
                && frame.push_report(&StreamOption::Cells(run)).is_ok()
            {
                self.comparison.cells_sent();
                count += 1;
            }
            if count == 0 {
                return Err(Full);
            }
            self.counters.sketch_frames_sent += 1;
        } else {
            let Total { sum, states } = self.comparison.sent_total(peer);
            frame.push_report(&StreamOption::Root { sum, states })?;
            self.roots.next[usize::from(peer)] = now.saturating_add(ROOT_INTERVAL);
            self.counters.roots_sent += 1;
        }
        let length = frame.finish(self.packet_id, &fields);
        Ok(self.count_frame(length, peer))
    }
}
