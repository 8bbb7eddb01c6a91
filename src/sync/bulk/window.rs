//! How far a bulk transfer runs ahead of what a pfplane node has received. Its reports move the window; what is lost shrinks it.

use crate::time::Nanos;

/// Frames in flight: at first, and at least and at most.
const FIRST_SIZE: u32 = 64;
const MIN_SIZE: u32 = 16;
const MAX_SIZE: u32 = 4096;
/// Frames by which the window grows with each report after the first loss. Before, it grows by as many as were received.
const GROWTH: u32 = 4;
/// Frames after which the node is to report.
const REPORT_INTERVAL: u64 = 16;
/// Without a report for this long, the transfer continues at the pace for nodes that report nothing.
const PATIENCE: Nanos = 50_000_000;

/// The window of one lane's bulk transfer to one peer.
#[derive(Clone, Copy, Debug)]
pub(in crate::sync) struct Window {
    size: u32,
    /// The last frame that the node has received, or before the transfer.
    received: u64,
    /// Frames that it has lost; `None` before its first report.
    lost: Option<u32>,
    has_lost: bool,
    /// When it reported last, or the transfer began.
    reported: Nanos,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: FIRST_SIZE, received: 0, lost: None, has_lost: false, reported: 0 }
    }
}

impl Window {
    /// A transfer begins after `sent` frames.
    pub(crate) fn begin(&mut self, sent: u64, now: Nanos) {
        *self = Self { received: sent, reported: now, ..Self::default() };
    }

    /// Handles a report. Of several nodes in a group, the fastest moves the window and each loss shrinks it.
    pub(crate) fn report(&mut self, last: u64, lost: u32, now: Nanos) {
        let received = last.saturating_sub(self.received);
        self.received = self.received.max(last);
        self.reported = now;
        let before = *self.lost.get_or_insert(lost);
        if lost.wrapping_sub(before).cast_signed() > 0 {
            self.lost = Some(lost);
            self.has_lost = true;
            self.size = self.size / 10 * 7;
        } else if received > 0 {
            let growth = if self.has_lost { GROWTH } else { u32::try_from(received).unwrap_or(u32::MAX) };
            self.size = self.size.saturating_add(growth);
        }
        self.size = self.size.clamp(MIN_SIZE, MAX_SIZE);
    }

    /// Whether one more frame may be sent after `sent`.
    pub(crate) fn allows(&self, sent: u64) -> bool {
        sent.saturating_sub(self.received) < self.size.into()
    }

    /// Whether the node is to report the frame after `sent`.
    pub(crate) fn wants_report(&self, sent: u64) -> bool {
        (sent + 1).is_multiple_of(REPORT_INTERVAL) || !self.allows(sent + 1)
    }

    /// Whether the node reports nothing.
    pub(crate) const fn is_silent(&self, now: Nanos) -> bool {
        now.saturating_sub(self.reported) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_opens_with_what_is_received_and_shrinks_with_losses() {
        let mut window = Window::default();
        window.begin(1000, 0);
        assert!(window.allows(1063) && !window.allows(1064));
        window.report(1064, 7, 1);
        assert_eq!(window.size, 128, "losses before the transfer do not count");
        window.report(1192, 7, 2);
        assert_eq!(window.size, 256);
        window.report(1200, 9, 3);
        assert_eq!(window.size, 175);
        window.report(1201, 9, 4);
        assert_eq!(window.size, 179);
        window.report(1201, 8, 5);
        assert_eq!(window.size, 179, "nothing new of another node");
        (10..40).for_each(|lost| window.report(1201, lost, 6));
        assert_eq!(window.size, MIN_SIZE);
        (1202..9000).for_each(|last| window.report(last, 39, 7));
        assert_eq!(window.size, MAX_SIZE);
    }

    #[test]
    fn a_report_is_wanted_before_the_window_is_full() {
        let mut window = Window::default();
        window.begin(5, 0);
        let wanted: Vec<u64> =
            (5..69).filter(|&sent| window.wants_report(sent)).map(|sent| sent + 1).collect();
        assert_eq!(wanted, [16, 32, 48, 64, 68 + 1]);
        assert!(!window.is_silent(PATIENCE - 1) && window.is_silent(PATIENCE));
        window.report(6, 0, 10);
        assert!(!window.is_silent(PATIENCE));
    }
}
