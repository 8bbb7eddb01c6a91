//! Replication in a lane: pfsync frames out, peers' messages in, and packets held until a peer has their state.

mod backlog;
mod owner;
mod readiness;
mod sync_lane;

pub(crate) use backlog::Backlog;
pub(super) use owner::{Inbox, report_ended};
pub(super) use sync_lane::SyncLane;
pub(crate) use sync_lane::SyncPart;

use super::Lane;
use super::exchange::{LaneMessage, Rings};
use super::tracker::Tracker;
use crate::sync::{Exposure, NotHeld, Responder, WalkOrder};
use crate::table::Slot;
use crate::time::Nanos;
use core::ops::Range;
use pfsync::envelope::Envelope;
use pfsync::link::Ethernet;

/// Starts sending all states to a peer: this lane sends START, then every lane its own states. An order that does not fit
/// into a lane's ring is given again.
pub(super) fn begin_walk(
    tracker: &mut Tracker,
    rings: &mut Rings,
    responder: &mut Responder,
    order: Option<WalkOrder>,
) {
    let Some(order) = order else { return };
    tracker.exporter.begin_walk(&tracker.table, order);
    for lane in 1..tracker.lane.lanes {
        if !rings.send_to_lane(lane, LaneMessage::Walk(order)) {
            tracker.counters.messages_lost += 1;
            responder.order_lost(order);
        }
    }
}

impl Lane {
    /// Returns whether a frame is due. Cost: two comparisons.
    #[must_use]
    pub fn flush_due(&self, now: Nanos) -> bool {
        self.tracker.exporter.due(self.clock.at(now)) && self.tracker.shared.link_up()
    }

    /// Writes the next frame that is due into `buffer`. Returns where it lies there; `None` when no frame is due.
    ///
    /// While the sync port's link is down nothing is written, and the queues stay bounded.
    pub fn flush(&mut self, buffer: &mut [u8], now: Nanos) -> Option<Range<usize>> {
        if !self.tracker.shared.link_up() {
            return None;
        }
        let now = self.clock.advance(now);
        let headroom = self.ethernet_headroom();
        let Tracker { exporter, table, timeouts, .. } = &mut *self.tracker;
        let packet = buffer.get_mut(headroom..)?;
        let flushed = exporter.flush(table, timeouts, now, packet)?;
        let end = headroom + flushed.length;
        let peer = &exporter.settings().peers[usize::from(flushed.peer)];
        let Some(header) = peer.ethernet else { return Some(headroom..end) };
        let family = peer.transport.source;
        let start = headroom - header.encoded_len();
        // The headroom is that of the longest header, so this one fits.
        header.emit(&mut buffer[start..headroom], family).ok()?;
        Some(start..end)
    }

    /// Requeues the contents of a frame of [`Self::flush`] that could not be sent. `frame` is as it was written.
    pub fn requeue_frame(&mut self, frame: &[u8], now: Nanos) {
        let now = self.clock.advance(now);
        let has_ethernet = self.ethernet_headers().next().is_some();
        let packet = match Ethernet::parse(frame) {
            Ok((_, packet)) if has_ethernet && Envelope::parse(&frame[packet.clone()]).is_ok() => {
                &frame[packet]
            }
            _ => frame,
        };
        let tracker = &mut *self.tracker;
        tracker.exporter.requeue_frame(&mut tracker.table, packet, now);
    }

    /// Counts that the host had no buffer for a frame that is due.
    pub fn count_missing_buffer(&mut self) {
        self.tracker.exporter.counters.onomem += 1;
    }

    /// Returns the bytes that a buffer for [`Self::flush`] must have.
    #[must_use]
    pub fn max_frame_bytes(&self) -> usize {
        self.ethernet_headroom() + self.tracker.exporter.settings().mtu as usize
    }

    /// Returns the bytes before the IP packet: the longest Ethernet header of any peer.
    pub(crate) fn ethernet_headroom(&self) -> usize {
        self.ethernet_headers().map(Ethernet::encoded_len).max().unwrap_or(0)
    }

    fn ethernet_headers(&self) -> impl Iterator<Item = &Ethernet> {
        self.tracker.exporter.settings().peers.iter().filter_map(|peer| peer.ethernet.as_ref())
    }

    /// Returns what would be lost if the node died now. Cost: a few loads.
    #[must_use]
    pub fn exposure(&self, now: Nanos) -> Exposure {
        self.tracker.exporter.exposure(self.clock.at(now))
    }

    /// Holds a packet whose verdict said so. `handle` is the host's name for it.
    ///
    /// # Errors
    /// [`NotHeld`] if no more packets can be held: send the packet now.
    pub fn hold(&mut self, slot: Slot, handle: u64) -> Result<(), NotHeld> {
        if slot.0 >= self.tracker.table.capacity() {
            return Err(NotHeld);
        }
        let tracker = &mut *self.tracker;
        tracker.exporter.hold(&tracker.table, slot, handle)
    }

    /// Passes the handles of packets that may be sent now to `send`, in order, at most `max`. Returns how many.
    pub fn take_released(&mut self, now: Nanos, max: usize, mut send: impl FnMut(u64)) -> usize {
        let now = self.clock.advance(now);
        let Tracker { exporter, table, .. } = &mut *self.tracker;
        exporter.release_expired(table, now);
        let mut count = 0;
        while count < max {
            let Some(handle) = exporter.take_released() else { break };
            send(handle);
            count += 1;
        }
        count
    }

    /// Releases all held packets: [`Self::take_released`] returns them.
    pub fn release_all(&mut self) {
        let tracker = &mut *self.tracker;
        tracker.exporter.release_all(&mut tracker.table);
    }
}
