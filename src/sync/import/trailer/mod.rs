//! The trailer behind a pfplane node's frame.

mod seal;

pub(super) use seal::Accepted;

use super::{Importer, Sender};
use crate::state::{ExtraPart, KeptFields, Opaque};
use crate::sync::equality::{Answer, Equality, Question, Total};
use crate::sync::export::Exporter;
use crate::sync::interfaces;
use crate::sync::message::{Body, MessageSink, PeerIndex};
use crate::sync::stream::Order;
use crate::sync::translate::decode_fields;
use crate::time::Nanos;
use pfsync::{FrameReader, StateOption, StreamOption, Trailer, TrailerError, option_kind};

/// The frame came twice, or is out of date.
pub(super) struct Old;

impl Importer {
    /// Reads the trailer of a pfplane node's frame, and notes the frame's number. Counts a trailer that is not read.
    ///
    /// # Errors
    /// [`Old`]: the frame is to be dropped.
    pub(super) fn accept_trailer<'a>(
        &mut self,
        reader: &FrameReader<'a>,
        sender: &mut Sender,
    ) -> Result<Option<Trailer<'a>>, Old> {
        if !self.peers[usize::from(sender.peer)].extensions {
            return Ok(None);
        }
        match reader.trailer() {
            Ok(Some(trailer)) => {
                let is_loading = !self.bulk.is_ready();
                let order = self.streams.receive(sender.peer, trailer.fields(), is_loading, sender.now);
                self.count_order(sender.peer, order);
                sender.origin = self.comparer.origin_of(sender.peer, trailer.fields(), sender.now);
                if order == Order::Old { Err(Old) } else { Ok(Some(trailer)) }
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.count_bad_trailer(error);
                Ok(None)
            }
        }
    }

    /// Passes on the options of a trailer. Counts those that are not read.
    pub(super) fn decode_options(
        &mut self,
        trailer: &Trailer<'_>,
        sender: &Sender,
        sink: &mut impl MessageSink,
    ) {
        for option in trailer.options() {
            let Ok(option) = option else {
                self.counters.options_malformed += 1;
                continue;
            };
            if option.kind == option_kind::ELECTION
                && let Ok(hello) = option.value.try_into()
            {
                self.counters.hellos_received += 1;
                sink.hello(hello);
                continue;
            }
            if matches!(option.kind, option_kind::HELLO | option_kind::ECHO) {
                // Of the seal, which was judged before.
                continue;
            }
            match StreamOption::parse(&option) {
                Some(StreamOption::Mended { frames, is_complete }) => {
                    self.streams.mended(frames);
                    self.counters.gaps_repaired += 1;
                    self.counters.gaps_incomplete += u64::from(!is_complete);
                    continue;
                }
                Some(StreamOption::Root { sum, states }) => {
                    let may_differ = !self.bulk.is_ready() || self.streams.has_gap_in_last();
                    let sent = Total { sum, states };
                    self.comparer
                        .root(sender.origin, sent, may_differ, sender.now, |question| sink.ask(question));
                    continue;
                }
                Some(StreamOption::Cells(run)) => {
                    self.comparer.cells(sender.origin, &run, sender.now, |question| sink.ask(question));
                    continue;
                }
                Some(StreamOption::Gone { id }) => {
                    self.pass_on(Body::Gone(id.into()), sender, sink);
                    continue;
                }
                Some(report) => {
                    let is_ours = sink.report((sender.peer, trailer.fields().epoch), &report);
                    self.counters.reports_foreign += u64::from(!is_ours);
                    continue;
                }
                None => {}
            }
            match option.state().and_then(|about| Some((about.id, self.extra_part(&about, sender)?))) {
                Some((id, part)) => self.pass_on(Body::Extra(id.into(), part), sender, sink),
                None => self.counters.options_skipped += 1,
            }
        }
    }

    /// Sends the reports about peers' streams that are due, and ends a transfer whose missing frames have been repaired.
    /// Call it in every poll of the sync lane. `is_behind`: what was received waits for other lanes.
    pub fn step_streams(&mut self, exporter: &mut Exporter, is_behind: bool, now: Nanos) {
        self.streams.report(is_behind, now, |peer, report| exporter.send_report(peer, report));
        if let Some(end) = self.held_end
            && !self.streams.has_gap(end.peer, end.epoch)
        {
            self.held_end = None;
            self.bulk_ended(&end);
        }
    }

    /// Continues the comparison with peers. `ask_others` passes a question to the other lanes, and returns their number; `None`
    /// if one did not receive it. Call it in every poll, after the lanes' answers.
    pub fn step_comparison(
        &mut self,
        exporter: &mut Exporter,
        mut ask_others: impl FnMut(&Question) -> Option<u16>,
        now: Nanos,
    ) {
        while let Some(answer) = exporter.take_answer() {
            self.answered(&answer, exporter);
        }
        let cell = core::cell::RefCell::new(exporter);
        let ask = |question: &Question| {
            let Some(others) = ask_others(question) else { return 0 };
            cell.borrow_mut().ask(question);
            others + 1
        };
        self.comparer.step(now, ask, |peer, report| cell.borrow_mut().send_report(peer, report));
    }

    /// Receives a lane's answer.
    pub fn answered(&mut self, answer: &Answer, exporter: &mut Exporter) {
        if let Some((peer, report)) = self.comparer.answered(answer) {
            // A report that does not fit is made again.
            let _ = exporter.send_report(peer, report);
        }
    }

    /// Whether this node was compared with a peer that lives, and does not hold what it sent.
    #[must_use]
    pub fn is_unequal(&self, now: Nanos) -> bool {
        (0..self.peers.len()).any(|peer| !self.equality(peer as PeerIndex, now).is_equal)
    }

    #[cfg(test)]
    pub(in crate::sync) const fn comparison_counts(&self) -> crate::sync::equality::ComparisonCounts {
        self.comparer.counts
    }

    /// Returns how this node's states compare with a peer's.
    #[must_use]
    pub fn equality(&self, peer: PeerIndex, now: Nanos) -> Equality {
        self.comparer.equality(peer, now)
    }

    /// Returns how many frames are missing and not repaired.
    #[cfg(test)]
    pub fn unrepaired(&self) -> u64 {
        self.streams.unrepaired()
    }

    /// Returns how many gaps were given up while frames were received.
    #[must_use]
    pub const fn gaps_abandoned(&self) -> u64 {
        self.streams.abandoned
    }

    /// Returns how many comparisons found more differences than they can name.
    #[must_use]
    pub const fn sketches_overflowed(&self) -> u64 {
        self.comparer.counts.overflows
    }

    /// Whether a gap of a node that lives has been open for long.
    #[must_use]
    pub fn has_old_gap(&self, now: Nanos) -> bool {
        self.streams.has_old_gap(now)
    }

    fn count_order(&mut self, peer: PeerIndex, order: Order) {
        let of_peer = &mut self.peer_counters[usize::from(peer)];
        match order {
            Order::Next => {}
            Order::Gap(frames) => {
                self.counters.frames_lost = self.counters.frames_lost.wrapping_add(frames);
                of_peer.frames_lost = of_peer.frames_lost.wrapping_add(frames);
            }
            Order::Late | Order::Old => {
                self.counters.frames_late += 1;
                of_peer.frames_late += 1;
            }
        }
    }

    pub(super) fn count_bad_trailer(&mut self, error: TrailerError) {
        *match error {
            TrailerError::Short => &mut self.counters.trailer_short,
            TrailerError::Format => &mut self.counters.trailer_format,
            TrailerError::Length => &mut self.counters.trailer_length,
        } += 1;
    }

    fn extra_part(&self, about: &StateOption<'_>, sender: &Sender) -> Option<ExtraPart> {
        match about.kind {
            option_kind::STATE_OPAQUE => Opaque::new(about.value).map(ExtraPart::Opaque),
            option_kind::STATE_FIELDS => self.decode_fields(about.value, sender).map(ExtraPart::Fields),
            _ => None,
        }
    }

    fn decode_fields(&self, value: &[u8], sender: &Sender) -> Option<KeptFields> {
        let mut fields = decode_fields(value)?;
        let pairs = &self.peers[usize::from(sender.peer)].interfaces;
        for name in [&mut fields.rt_ifname, &mut fields.orig_ifname] {
            *name = interfaces::to_ours(pairs, name);
        }
        Some(fields)
    }
}
