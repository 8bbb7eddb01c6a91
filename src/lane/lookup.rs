//! A burst's way through the lane: parse, probe and match, track, note, verdict.
//!
//! Each stage is a pass over one chunk of packets (see `chunk.rs`), and each asks for the memory that the next one reads.

use super::{Action, Burst, Lane, PacketView, Reason, Verdict};
use crate::packet::{Facts, Fragment, Kind, Refused, Rejection, Translation, parse_fragment, parse_into};
use crate::state::{DropReason, LocalFlags, Outcome, fold_counts, track};
use crate::sync::Removal;
use crate::table::Slot;
use crate::time::{Nanos, Tick};

/// Leaves a packet as it is.
pub(super) const fn leave(_: usize, _: &Facts, _: &Translation<'_>) -> Result<i16, Refused> {
    Ok(0)
}

impl Lane {
    /// Looks up and tracks `count` packets; `packet` gives each, `verdict` takes what is to be done with it, in any
    /// order but once for every place.
    ///
    /// Packets are left as they are: [`Verdict::translated`] says which are to be rewritten, [`Self::translation`] how.
    ///
    /// Cost: no allocation, lock, clock or system call.
    pub fn lookup<'a>(
        &mut self,
        burst: &Burst,
        count: usize,
        packet: impl Fn(usize) -> PacketView<'a>,
        verdict: impl FnMut(usize, Verdict),
    ) {
        self.lookup_and_rewrite(burst, count, packet, leave, verdict);
    }

    /// As [`Self::lookup`]; `rewrite` is asked to apply a translation to a packet that passes, right before its verdict.
    ///
    /// It gives back by how many bytes the packet's beginning has moved.
    pub fn lookup_and_rewrite<'a>(
        &mut self,
        burst: &Burst,
        count: usize,
        packet: impl Fn(usize) -> PacketView<'a>,
        mut rewrite: impl FnMut(usize, &Facts, &Translation<'_>) -> Result<i16, Refused>,
        mut verdict: impl FnMut(usize, Verdict),
    ) {
        let read = |lane: &Self, place: usize, facts: &mut Facts| lane.read_one(burst, &packet(place), facts);
        self.run_pipeline(burst, count, read, &mut rewrite, &mut verdict);
    }

    /// As [`Self::lookup`], for packets that the host has read itself, or put together from fragments: `facts` gives what
    /// each says, and its RSS hash where there is one.
    ///
    /// Their direction is the burst's, whatever the facts say. [`Burst::link`] counts for nothing.
    ///
    /// Cost: as [`Self::lookup`] without the reading.
    pub fn lookup_facts(
        &mut self,
        burst: &Burst,
        count: usize,
        facts: impl Fn(usize) -> (Facts, Option<u32>),
        mut verdict: impl FnMut(usize, Verdict),
    ) {
        let take = |lane: &Self, place: usize, taken: &mut Facts| {
            let (facts, hash) = facts(place);
            lane.take_one(burst, &facts, hash, taken)
        };
        self.run_pipeline(burst, count, take, &mut leave, &mut verdict);
    }

    /// Writes down the facts of a packet that this lane is to judge, or gives the verdict on one that it is not.
    #[inline(always)]
    pub(super) fn read_one(
        &self,
        burst: &Burst,
        view: &PacketView<'_>,
        facts: &mut Facts,
    ) -> Result<(), Verdict> {
        if let Err(rejection) = parse_into(view.data, view.packet_length, burst.link, burst.direction, facts)
        {
            return Err(self.without_key(burst, *view, rejection));
        }
        self.judged_here(burst, facts, view.hash)
    }

    /// As [`Self::read_one`], of a packet that the host has read.
    #[inline(always)]
    pub(super) fn take_one(
        &self,
        burst: &Burst,
        given: &Facts,
        hash: Option<u32>,
        facts: &mut Facts,
    ) -> Result<(), Verdict> {
        if given.is_impossible() {
            return Err(Verdict::drop(Reason::Malformed));
        }
        *facts = Facts { direction: burst.direction, ..*given };
        self.judged_here(burst, facts, hash)
    }

    /// An error for a packet that is not tracked, or that another lane is to judge.
    #[inline(always)]
    fn judged_here(&self, burst: &Burst, facts: &Facts, hash: Option<u32>) -> Result<(), Verdict> {
        if facts.kind == Kind::Pfsync {
            return Err(Verdict::plain(Action::Sync));
        }
        if self.lanes > 1 {
            // Only where card and engine hash the same fields: an ICMP error belongs to the lane of the connection
            // that it speaks of, whose addresses the card did not read.
            let hash = match hash {
                Some(hash) if burst.trust_hash && matches!(facts.kind, Kind::Tcp | Kind::Udp) => hash,
                _ => self.steering.hash_of(&facts.key),
            };
            let owner = u16::from(self.steering.lane_of_hash(hash));
            // A translated state of this lane may have a key that steers to another one: then the table knows better.
            if owner != self.index && self.table.foreign_keys() == 0 {
                return Err(Verdict::hand_off(owner));
            }
        }
        Ok(())
    }

    /// The verdict on a packet that has no key of its own. Of a first fragment the state is named, which is left as it
    /// is: whether the fragment may go is the host's to say.
    #[cold]
    fn without_key(&self, burst: &Burst, view: PacketView<'_>, rejection: Rejection) -> Verdict {
        let verdict = Verdict::of_rejection(rejection);
        if rejection != Rejection::Fragment {
            return verdict;
        }
        let fragment = parse_fragment(view.data, view.packet_length, burst.link, burst.direction);
        let Some(Fragment { key, has_ports: true, .. }) = fragment else { return verdict };
        let now = Tick::from_nanos(burst.now);
        match self.table.find(&key, burst.direction).filter(|&slot| !self.is_expired(slot, now)) {
            Some(slot) => {
                let reverse = burst.direction != self.table.hot(slot).direction();
                Verdict { slot, reverse, ..verdict }
            }
            None => verdict,
        }
    }

    /// The verdict on one packet whose key was looked up. An earlier packet of the burst may have ended the state.
    #[inline]
    pub(super) fn judge_one(&mut self, burst: &Burst, facts: &Facts, slot: Slot, now: Tick) -> Verdict {
        if slot == Slot::NONE || !self.table.is_live(slot) {
            return self.without_state(facts);
        }
        if self.is_expired(slot, now) {
            self.expire(slot, burst.now);
            return self.without_state(facts);
        }
        let (hot, track_line) = self.table.hot_and_track_mut(slot);
        let reverse = facts.direction != hot.direction();
        let outcome = track(hot, track_line, facts, now);
        let local = hot.local;
        if hot.counts_are_full() {
            let (hot, _, cold) = self.table.records_mut(slot);
            fold_counts(hot, cold);
        }
        let found = Verdict { slot, reverse, ..Verdict::plain(Action::Pass) };
        match outcome {
            Outcome::Pass | Outcome::PassLoose => {
                if local.has(LocalFlags::OPENING)
                    && let Some(refused) = self.refused_as_it_opens(slot, burst.now)
                {
                    return refused;
                }
                self.counters.passed_loose += u64::from(outcome == Outcome::PassLoose);
                if facts.kind != Kind::IcmpError {
                    self.exporter.updated(&mut self.table, slot, burst.now);
                }
                // A packet behind a held one is held as well, so that it does not get before it.
                let held = local.has(LocalFlags::DEFERRED) && !reverse;
                let translated = local.any(LocalFlags::REWRITTEN);
                Verdict { action: if held { Action::Held } else { Action::Pass }, translated, ..found }
            }
            Outcome::Retire => {
                self.end(slot, burst.now, Removal::Ended);
                self.counters.retired += 1;
                self.without_state(facts)
            }
            Outcome::Drop(reason) => Verdict { action: Action::Drop, reason: Self::reason(reason), ..found },
        }
    }

    /// A connection that was not open has passed a packet. Where it opens one too many for its source it ends.
    #[cold]
    #[inline(never)]
    fn refused_as_it_opens(&mut self, slot: Slot, now: Nanos) -> Option<Verdict> {
        let refusal = self.table.note_opened(slot, Tick::from_nanos(now)).err()?;
        self.end(slot, now, Removal::Ended);
        Some(Verdict::drop(refusal.into()))
    }

    /// Another lane may have the state: the one that the key steers to, or one of whose translated state it is the other
    /// key. An ICMP error that belongs to no state can never make one.
    pub(super) fn without_state(&mut self, facts: &Facts) -> Verdict {
        if self.lanes > 1
            && let Some(owner) = self.owner_elsewhere(facts)
        {
            return Verdict::hand_off(owner);
        }
        match facts.kind {
            Kind::IcmpError => Verdict::drop(Reason::NoState),
            _ => Verdict::plain(Action::New),
        }
    }

    fn reason(reason: DropReason) -> Reason {
        match reason {
            DropReason::Window | DropReason::QuotedWindow => Reason::Window,
            DropReason::ChallengeAck => Reason::ChallengeAck,
            DropReason::Reset => Reason::Reset,
            DropReason::SynProxy | DropReason::IcmpDirection => Reason::State,
        }
    }

    /// Counts a verdict by what it says.
    #[inline]
    pub(super) fn count(&mut self, verdict: &Verdict) {
        let counters = &mut self.counters;
        let counter = match (verdict.action, verdict.reason) {
            (Action::Pass | Action::Held, _) => &mut counters.passed,
            (Action::New, _) => &mut counters.new,
            (Action::HandOff, _) => &mut counters.handed_off,
            (Action::Sync, _) => &mut counters.sync_packets,
            (Action::NotIp, _) => &mut counters.not_ip,
            (Action::Fragment, _) => &mut counters.fragments,
            (Action::NotContiguous, _) => &mut counters.not_contiguous,
            (Action::NotWritable, _) => &mut counters.not_writable,
            (Action::Drop, Reason::Truncated) => &mut counters.truncated,
            (Action::Drop, Reason::Malformed) => &mut counters.malformed,
            (Action::Drop, Reason::Window) => &mut counters.dropped_window,
            (Action::Drop, Reason::ChallengeAck) => &mut counters.dropped_challenge_ack,
            (Action::Drop, Reason::Reset) => &mut counters.dropped_reset,
            (Action::Drop, Reason::TableFull) => &mut counters.not_created_table_full,
            (Action::Drop, Reason::KeyCollision) => &mut counters.not_created_key_collision,
            (Action::Drop, Reason::NoState) => &mut counters.dropped_no_state,
            (Action::Drop, Reason::Translation) => &mut counters.dropped_translation,
            (Action::Drop, Reason::NoPort) => &mut counters.not_created_no_port,
            (Action::Drop, Reason::Sources) => &mut counters.not_created_sources,
            (Action::Drop, Reason::SourceStates) => &mut counters.not_created_source_states,
            (Action::Drop, Reason::SourceConnections) => &mut counters.ended_source_connections,
            (Action::Drop, Reason::SourceConnectionRate) => &mut counters.ended_source_connection_rate,
            (Action::Drop, Reason::SourceNewRate) => &mut counters.not_created_source_new_rate,
            (Action::Drop, Reason::SourcesFull) => &mut counters.not_created_sources_full,
            (Action::Drop, Reason::HalfOpen) => &mut counters.not_created_half_open,
            (Action::Drop, Reason::None | Reason::State) => &mut counters.dropped_other,
        };
        *counter += 1;
    }
}
