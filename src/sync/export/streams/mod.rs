//! Streams between pfplane nodes, in a lane: what it reports of those that it receives, and what peers report of its own.

mod comparison;
mod heartbeat;

pub(super) use comparison::Roots;
pub(super) use heartbeat::Heartbeats;

use super::frame::Frame;
use super::{Exporter, Flushed};
use crate::sync::bulk::{Pace, Walk};
use crate::sync::message::PeerIndex;
use crate::sync::repair::Asked;
use crate::sync::store::Store;
use crate::time::Nanos;
use pfsync::{Full, StreamOption, TrailerFields, trailer_flags};

/// Reports that wait for a frame. One that does not fit is made again.
pub(super) const MAX_REPORTS: usize = 32;

/// A report for the sender of a stream.
pub(super) type Report = (PeerIndex, StreamOption);

impl Exporter {
    /// Begins a frame to a peer. Returns the fields of its trailer.
    pub(super) fn begin_frame(&mut self, peer: PeerIndex) -> TrailerFields {
        self.renew_run();
        let fields = self.numbers.next(peer);
        self.repairs.begin_frame(peer, fields.sequence, self.flushed_at);
        self.seal_fields(peer, fields)
    }

    /// Notes that a frame with contents was written.
    pub(super) fn content_sent(&mut self, peer: PeerIndex) {
        if self.repairs.is_writing() {
            self.heartbeats.content_sent(peer, self.flushed_at);
            self.roots.content_sent(peer, self.flushed_at);
        }
    }

    /// Returns the flag by which the peer is to report the frame that is written. `has_contents`: otherwise only if it lacks something.
    pub(super) fn report_flags(&mut self, peer: PeerIndex, has_contents: bool) -> u16 {
        let is_wanted = has_contents || self.repairs.is_lacking(peer);
        let is_flagged = is_wanted && self.repairs.requests_report(false, self.flushed_at);
        if is_flagged { trailer_flags::REPORT } else { 0 }
    }

    /// Notes what the peers have taken, and which states they lack no longer. Call it in every poll.
    pub fn step_taken(&mut self, now: Nanos) {
        for peer in 0..self.settings.peers.len() {
            self.repairs.step_taken(peer as PeerIndex, now, |_| {});
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
        self.numbers.sent(peer)
    }

    /// Reports to the sender of a stream, at once. Returns false if there is no space.
    pub fn send_report(&mut self, peer: PeerIndex, report: StreamOption) -> bool {
        self.pacing.wake();
        let has_space = self.is_active && self.reports.len() < MAX_REPORTS;
        if has_space {
            self.reports.push((peer, report));
        }
        has_space
    }

    /// Returns the lane whose stream a peer reports about; `None` if this run of this node does not send it.
    #[must_use]
    pub fn lane_of(&self, peer: PeerIndex, report: &StreamOption) -> Option<u16> {
        let stream = report.stream()?;
        self.numbers.is_of_this_run(peer, stream).then_some(stream.lane.into())
    }

    /// Handles a report about this lane's stream to a peer, from a run of that peer.
    pub fn handle_report(
        &mut self,
        table: &mut impl Store,
        (peer, run): (PeerIndex, u64),
        report: &StreamOption,
        now: Nanos,
    ) {
        match *report {
            StreamOption::Lost { frames, .. } => {
                self.counters.repairs_asked += 1;
                match self.repairs.ask(peer, frames) {
                    Asked::Accepted => self.pacing.wake(),
                    Asked::Known => {}
                    Asked::Refused => self.counters.repairs_refused += 1,
                }
            }
            StreamOption::Took { last, lost, taken, .. } => {
                let sent = self.numbers.sent(peer);
                if last > sent {
                    return;
                }
                if let Some(window) = self.walks.windows.get_mut(usize::from(peer)) {
                    window.report(last, lost, self.flushed_at);
                    self.pacing.wake();
                }
                if let Some(taken) = taken.filter(|taken| taken.last <= last) {
                    self.repairs.taken(peer, run, taken, now);
                    self.repairs.step_taken(peer, now, |_| {});
                }
            }
            _ => self.handle_comparison(table, peer, report),
        }
    }

    /// A walk to a peer begins.
    pub(in crate::sync) fn begin_window(&mut self, peer: PeerIndex) {
        let sent = self.numbers.sent(peer);
        self.walks.windows[usize::from(peer)].begin(sent, self.flushed_at);
    }

    /// Returns the walk whose frame may be written now, and what limits it.
    pub(super) fn next_walk(&mut self, now: Nanos) -> Option<(Walk, Pace)> {
        let Self { walks, settings, numbers, .. } = self;
        let frames = [settings.bulk_frames, settings.windowed_frames()];
        walks.next(now, frames, settings.bulk_interval, |window, peer| {
            if !settings.peers[usize::from(peer)].extensions || window.is_silent(now) {
                return Some(Pace::Fixed);
            }
            window.allows(numbers.sent(peer)).then_some(Pace::Windowed)
        })
    }

    /// Returns the flag of the next frame of a walk, by which the peer is to report.
    pub(super) fn report_flag(&self, walk: &Walk) -> u16 {
        let peer = walk.order.peer;
        let is_wanted = self.walks.windows[usize::from(peer)].wants_report(self.numbers.sent(peer));
        if is_wanted || walk.left == 0 { trailer_flags::REPORT } else { 0 }
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
        let mut fields = self.begin_frame(peer);
        fields.flags |= self.report_flags(peer, false);
        let frame = Frame::begin(&self.settings, &self.settings.peers[usize::from(peer)], buffer)?;
        let length = frame.finish_empty(self.packet_id, &fields);
        self.heartbeats.sent(peer, now);
        self.counters.heartbeats_sent += 1;
        Ok(self.count_frame(length, peer))
    }
}
