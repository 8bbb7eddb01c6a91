//! Streams between pfplane nodes, in a lane: what it reports of those that it receives, and what peers report of its own.

mod heartbeat;

pub(super) use heartbeat::Heartbeats;

use super::frame::Frame;
use super::{Exporter, Flushed};
use crate::sync::message::PeerIndex;
use crate::sync::repair::Asked;
use crate::time::Nanos;
use arrayvec::ArrayVec;
use pfsync::{Full, StreamName, StreamOption, TrailerFields};

/// Reports that wait for a frame. One that does not fit is made again.
const MAX_REPORTS: usize = 32;

/// Reports for the senders of streams.
pub(super) type Reports = ArrayVec<(PeerIndex, StreamOption), MAX_REPORTS>;

impl Exporter {
    /// Begins a frame to a peer. Returns the fields of its trailer.
    pub(super) fn begin_frame(&mut self, peer: PeerIndex) -> TrailerFields {
        let fields = self.numbers.next(peer);
        self.repairs.begin_frame(peer, fields.sequence);
        self.seal_fields(peer, fields)
    }

    /// Notes that a frame with contents was written.
    pub(super) fn content_sent(&mut self, peer: PeerIndex) {
        if self.repairs.is_writing() {
            self.heartbeats.content_sent(peer, self.flushed_at);
        }
    }

    /// Returns the peer whose repair may be continued now.
    pub(super) fn due_repair(&mut self, now: Nanos) -> Option<PeerIndex> {
        let (frames, interval) = (self.settings.windowed_frames(), self.settings.bulk_interval);
        self.repairs.next_peer(now, frames, interval)
    }

    /// Returns how many frames were sent to a peer.
    #[cfg(test)]
    pub fn numbers_sent(&self, peer: PeerIndex) -> u64 {
        self.numbers.next(peer).sequence - 1
    }

    /// Reports to the sender of a stream, at once. Returns false if there is no space.
    pub fn send_report(&mut self, peer: PeerIndex, report: StreamOption) -> bool {
        self.pacing.wake();
        self.is_active && self.reports.try_push((peer, report)).is_ok()
    }

    /// Returns the lane that sends a stream to a peer; `None` if it is not one of this run of this node.
    #[must_use]
    pub fn lane_of(&self, peer: PeerIndex, stream: &StreamName) -> Option<u16> {
        self.numbers.is_of_this_run(peer, stream).then_some(stream.lane.into())
    }

    /// Handles a report of a peer about this lane's stream to it.
    pub fn handle_report(&mut self, peer: PeerIndex, report: &StreamOption) {
        if let StreamOption::Lost { frames, .. } = *report {
            self.counters.repairs_asked += 1;
            match self.repairs.ask(peer, frames) {
                Asked::Accepted => self.pacing.wake(),
                Asked::Known => {}
                Asked::Refused => self.counters.repairs_refused += 1,
            }
        }
    }

    /// Writes the reports to one peer into an otherwise empty frame.
    pub(super) fn write_reports(&mut self, buffer: &mut [u8]) -> Result<Option<Flushed>, Full> {
        let Some(&(peer, _)) = self.reports.first() else { return Ok(None) };
        let fields = self.begin_frame(peer);
        let mut frame = Frame::begin(&self.settings, &self.settings.peers[usize::from(peer)], buffer)?;
        self.reports.retain(|(to, report)| *to != peer || frame.push_report(report).is_err());
        let length = frame.finish(self.packet_id, &fields);
        if length.is_none() {
            return Err(Full);
        }
        self.counters.reports_sent += 1;
        Ok(self.count_frame(length, peer))
    }

    /// Writes an empty frame, if one is due.
    pub(super) fn write_heartbeat(&mut self, now: Nanos, buffer: &mut [u8]) -> Result<Option<Flushed>, Full> {
        let Some(peer) = self.heartbeats.due(now) else { return Ok(None) };
        let fields = self.begin_frame(peer);
        let frame = Frame::begin(&self.settings, &self.settings.peers[usize::from(peer)], buffer)?;
        let length = frame.finish_empty(self.packet_id, &fields);
        self.heartbeats.sent(peer, now);
        self.counters.heartbeats_sent += 1;
        Ok(self.count_frame(length, peer))
    }
}
