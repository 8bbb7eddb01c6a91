//! A lane's states, and what a packet does to them.

use super::exchange::{Aliases, Shared};
use super::policy::{PacketPolicy, PolicyMasks};
use super::ports::{NatNodes, Ports};
use super::{Action, BurstInfo, Checksums, LaneCounters, Packet, PacketView, Reason, Verdict};
use crate::cpu::Steering;
use crate::error::Error;
use crate::memory::{Counted, Heap, Owned};
use crate::packet::{Facts, Fragment, Kind, Rejection, parse_fragment, parse_into};
use crate::state::{
    DropReason, LineRate, LocalFlags, MAX_SECONDS, Outcome, StateId, Timeouts, fold_counts, timeout_class,
    track_replicated,
};
use crate::sync::{Exporter, Removal, SilentPeers, distance};
use crate::table::{Slot, Table};
use crate::time::{NANOS_PER_TICK, Nanos, Tick};

/// A peer's delete comes within the interval of its sweep and this time.
const PEER_SWEEP_SLACK_S: u32 = 2;

/// Returns whether a NIC that is programmed as documented hashes the fields of this packet's key. An ICMP error belongs to
/// the lane of the quoted connection, whose addresses the NIC does not read.
#[inline(always)]
const fn has_trusted_fields(facts: &Facts) -> bool {
    matches!(facts.kind, Kind::Tcp | Kind::Udp)
}

/// Which lane of which node this is.
#[derive(Clone, Copy)]
pub(crate) struct LaneIdentity {
    /// Its index.
    pub index: u16,
    /// Lanes of the engine.
    pub lanes: u16,
    /// The host id.
    pub host_id: u32,
    /// Where this run began to count ids.
    pub first_id: u64,
}

impl LaneIdentity {
    /// Returns the lane that issued an id in this run, in which the lanes had counted to `counted` at their last
    /// housekeeping.
    ///
    /// Ids of an earlier run count as foreign when they come back: there may have been more or fewer lanes then.
    pub(crate) fn issuer_of(&self, id: StateId, counted: u64) -> Option<u16> {
        /// More than a lane issues between two calls of its housekeeping.
        const UNPUBLISHED: u64 = 1 << 24;
        let lane = (id.id >> 56) as u16;
        let is_ours = id.creator == self.host_id && distance(id, self.first_id) < counted + UNPUBLISHED;
        (is_ours && lane < self.lanes).then_some(lane)
    }
}

/// States of all lanes, as of the last housekeeping.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    pub states: u32,
    /// Half-open connections of the other lanes.
    pub half_open_elsewhere: u32,
}

/// What a tracker is built from, besides its table.
pub(crate) struct TrackerParts<'a> {
    /// Which lane this is.
    pub lane: LaneIdentity,
    /// The export, with ended states, numbers and seals.
    pub exporter: Owned<Exporter>,
    /// Which lane owns which key.
    pub steering: &'a Counted<Steering>,
    /// The timeout of each class.
    pub timeouts: &'a Timeouts,
    /// Numbers shared with the other lanes and the control thread.
    pub shared: &'a Counted<Shared>,
    /// Keys of other lanes' states; none with one lane or without translation.
    pub aliases: Option<Owned<Aliases>>,
    /// 256 random bits.
    pub secret: [u64; 4],
    /// Maximum of half-open TCP connections over all lanes, 0 for no limit.
    pub max_half_open: u32,
    /// Which of the nodes that translate to the same addresses this is.
    pub nat_nodes: NatNodes,
    /// The settings for packets of any state.
    pub packet_policy: &'a PacketPolicy,
}

/// A tracker for a lane.
pub(crate) struct TrackerPart(pub(super) Owned<Tracker>);

impl TrackerPart {
    /// Builds a tracker.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[inline(never)]
    pub(crate) fn new(parts: TrackerParts<'_>, table: Table, heap: Heap) -> Result<Self, Error> {
        let tracker = Tracker {
            lane: parts.lane,
            table,
            exporter: parts.exporter,
            timeouts: parts.timeouts.clone(),
            steering: parts.steering.clone(),
            counters: LaneCounters::default(),
            silent_peers: SilentPeers::default(),
            totals: Totals::default(),
            aliases: parts.aliases,
            ports: Ports::new(parts.secret, parts.lane.index, parts.nat_nodes),
            max_half_open: parts.max_half_open,
            last_poll: None,
            policy: PolicyMasks::new(parts.packet_policy),
            shared: parts.shared.clone(),
        };
        heap.owned("a lane's states", tracker).map(Self)
    }
}

/// A lane's states and everything that a packet or a peer's message may change with them.
#[repr(align(128))]
pub(super) struct Tracker {
    pub lane: LaneIdentity,
    pub table: Table,
    pub exporter: Owned<Exporter>,
    pub timeouts: Timeouts,
    pub steering: Counted<Steering>,
    pub counters: LaneCounters,
    pub silent_peers: SilentPeers,
    pub totals: Totals,
    pub aliases: Option<Owned<Aliases>>,
    pub ports: Ports,
    /// Maximum of half-open connections, 0 for no limit.
    pub max_half_open: u32,
    /// When the lane was polled last.
    pub last_poll: Option<Nanos>,
    pub policy: PolicyMasks,
    pub shared: Counted<Shared>,
}

impl Tracker {
    /// Parses a packet that belongs to this lane into `facts`. Fails with the verdict on any other packet.
    #[inline(always)]
    pub(super) fn parse_and_steer(
        &mut self,
        info: &BurstInfo,
        packet: &Packet<'_>,
        facts: &mut Facts,
    ) -> Result<(), Verdict> {
        match packet {
            Packet::Bytes(view) => {
                if view.checksums == Checksums::Bad {
                    return Err(Verdict::drop(Reason::Checksum));
                }
                let parsed = parse_into(view.data, view.packet_length, info.link, info.direction, facts);
                if let Err(rejection) = parsed {
                    return Err(self.verdict_without_key(info, view, rejection));
                }
                self.policy.check(facts, view).map_err(Verdict::drop)?;
            }
            Packet::Facts { facts: given, .. } => {
                if given.has_impossible_flags() {
                    return Err(Verdict::drop(Reason::Malformed));
                }
                *facts = Facts { direction: info.direction, ..*given };
                if self.policy.refuses(facts.ip_options) {
                    return Err(Verdict::drop(Reason::IpOptions));
                }
            }
        }
        facts.key.put_in(info.rdomain);
        if facts.kind == Kind::Pfsync {
            return Err(Verdict::plain(Action::Sync));
        }
        if self.lane.lanes > 1 { self.steer(info, facts, packet.hash()) } else { Ok(()) }
    }

    /// Fails with the verdict on a packet that another lane owns.
    ///
    /// A NIC's hash that leads here is believed. A packet whose hash leads elsewhere was handed off: its key decides, so
    /// that it is never handed back.
    #[inline(always)]
    fn steer(&mut self, info: &BurstInfo, facts: &Facts, hash: Option<u32>) -> Result<(), Verdict> {
        let trusted = hash.filter(|_| info.trust_hash && has_trusted_fields(facts));
        let trusted = trusted.map(|hash| u16::from(self.steering.lane_of_hash(hash)));
        if trusted == Some(self.lane.index) {
            return Ok(());
        }
        let owner = u16::from(self.steering.lane_of(&facts.key));
        self.counters.hash_mismatch += u64::from(trusted.is_some_and(|lane| lane != owner));
        // A translated state of this lane may have a key that steers to another lane: then the table decides.
        if owner != self.lane.index && self.table.foreign_keys() == 0 {
            return Err(Verdict::hand_off(owner));
        }
        Ok(())
    }

    /// Counts a packet that the NIC's hash led to this lane, although its key steers to another one.
    #[cold]
    pub(super) fn count_hash_mismatch(&mut self, info: &BurstInfo, packet: &Packet<'_>, facts: &Facts) {
        let Some(hash) = packet.hash().filter(|_| info.trust_hash && has_trusted_fields(facts)) else {
            return;
        };
        let trusted = u16::from(self.steering.lane_of_hash(hash));
        let is_mismatch =
            trusted == self.lane.index && u16::from(self.steering.lane_of(&facts.key)) != trusted;
        self.counters.hash_mismatch += u64::from(is_mismatch);
    }

    /// Returns the verdict on a packet without a key of its own. For a first fragment it names the state, which stays
    /// unchanged: whether the fragment may pass is the host's decision.
    #[cold]
    fn verdict_without_key(&self, info: &BurstInfo, view: &PacketView<'_>, rejection: Rejection) -> Verdict {
        let verdict = Verdict::of_rejection(rejection);
        if rejection != Rejection::Fragment {
            return verdict;
        }
        let fragment = parse_fragment(view.data, view.packet_length, info.link, info.direction);
        if fragment.is_some_and(|fragment| self.policy.refuses(fragment.ip_options)) {
            return Verdict::drop(Reason::IpOptions);
        }
        let Some(Fragment { mut key, has_ports: true, .. }) = fragment else { return verdict };
        key.put_in(info.rdomain);
        let now = Tick::from_nanos(info.now);
        match self.table.find(&key, info.direction).filter(|&slot| !self.is_expired(slot, now)) {
            Some(slot) => {
                let reverse = info.direction != self.table.hot(slot).direction();
                Verdict { slot, reverse, ..verdict }
            }
            None => verdict,
        }
    }

    /// Tracks one packet whose key was looked up, and notes the change for the peers. An earlier packet of the burst may
    /// have removed the state.
    #[inline(always)]
    pub(super) fn track_and_note(
        &mut self,
        info: &BurstInfo,
        facts: &Facts,
        slot: Slot,
        now: Tick,
    ) -> Verdict {
        let Some((hot, _, cold)) = self.table.live_records_mut(slot) else {
            return self.verdict_without_state(facts);
        };
        let own_timeout_s = hot.local.has(LocalFlags::OVERRIDE).then_some(cold.timeout_override_s);
        if self.timeouts.expired(hot, own_timeout_s, now, self.totals.states) {
            return self.track_expired(info, facts, slot, now);
        }
        self.track_live(info, facts, slot, now)
    }

    /// Tracks a packet of a state whose scaled timeout is over: usually the state has expired.
    #[cold]
    #[inline(never)]
    fn track_expired(&mut self, info: &BurstInfo, facts: &Facts, slot: Slot, now: Tick) -> Verdict {
        if self.is_expired(slot, now) {
            self.expire(slot, info.now);
            return self.verdict_without_state(facts);
        }
        self.track_live(info, facts, slot, now)
    }

    /// Tracks a packet of a live state, and notes the change for the peers.
    ///
    /// Whatever the usual packet needs is done on the records at hand: each call that takes the slot looks them up again.
    #[inline(always)]
    fn track_live(&mut self, info: &BurstInfo, facts: &Facts, slot: Slot, now: Tick) -> Verdict {
        let (hot, track_line, cold) = self.table.records_mut(slot);
        let reverse = facts.direction != hot.direction();
        let settings = self.exporter.settings();
        let reach = || LineRate::from_mbit(settings.max_rate_mbit).reach(cold.network_update, now);
        let outcome = track_replicated(hot, track_line, facts, now, self.exporter.max_drift(), reach);
        let local = hot.local;
        if hot.counts_are_full() {
            fold_counts(hot, cold);
        }
        let verdict = Verdict { slot, reverse, ..Verdict::plain(Action::Pass) };
        match outcome {
            Outcome::Pass | Outcome::PassLoose => {
                let is_opening = local.has(LocalFlags::OPENING);
                let is_noted = facts.kind == Kind::IcmpError || !is_opening && self.exporter.update_hot(hot);
                if is_opening && let Some(refused) = self.enforce_source_limits(slot, info.now) {
                    return refused;
                }
                self.counters.packets_passed_loose += u64::from(outcome == Outcome::PassLoose);
                if !is_noted {
                    self.exporter.updated(&mut self.table, slot, info.now);
                }
                // A packet behind a held one is held too, so that it does not overtake it.
                let held = local.has(LocalFlags::DEFERRED) && !reverse;
                let translated = local.any(LocalFlags::REWRITTEN);
                Verdict { action: if held { Action::Held } else { Action::Pass }, translated, ..verdict }
            }
            Outcome::Retire => {
                self.remove(slot, info.now, Removal::Ended);
                self.counters.states_retired += 1;
                self.verdict_without_state(facts)
            }
            Outcome::Drop(reason) => Verdict { action: Action::Drop, reason: reason.into(), ..verdict },
        }
    }

    /// Counts a connection that may just have opened. Removes the state and returns the verdict if the connection exceeds
    /// a limit of its source.
    #[cold]
    #[inline(never)]
    fn enforce_source_limits(&mut self, slot: Slot, now: Nanos) -> Option<Verdict> {
        let refusal = self.table.note_opened(slot, Tick::from_nanos(now)).err()?;
        self.remove(slot, now, Removal::Ended);
        Some(Verdict::drop(refusal.into()))
    }

    /// Returns the verdict on a packet that has no state in this lane. Another lane may own the key, or have a translated
    /// state with this key. An ICMP error never creates a state.
    pub(super) fn verdict_without_state(&mut self, facts: &Facts) -> Verdict {
        if self.lane.lanes > 1
            && let Some(owner) = self.other_owner(facts)
        {
            return Verdict::hand_off(owner);
        }
        match facts.kind {
            Kind::IcmpError => Verdict::drop(Reason::NoState),
            _ => Verdict::plain(Action::New),
        }
    }

    /// Returns whether a state's timeout is over.
    #[inline]
    pub(super) fn is_expired(&self, slot: Slot, now: Tick) -> bool {
        let own = self.own_timeout_s(slot);
        self.timeouts.expired(self.table.hot(slot), own, now, self.totals.states)
            && !self.is_kept(slot, own, now)
    }

    /// Returns whether an expired state is left to the pfplane node that sent it, whose delete comes within the time of a sweep.
    /// No lookup returns it. Otherwise the two nodes, which sweep at different times, would differ meanwhile.
    #[cold]
    pub(super) fn is_left_to_peer(&self, slot: Slot, now: Tick) -> bool {
        let grace = self.timeouts.get(timeout_class::INTERVAL).saturating_add(PEER_SWEEP_SLACK_S);
        self.exporter.is_sent_by_another(&self.table, slot)
            && !self.is_expired(slot, now.minus_seconds(grace.min(MAX_SECONDS)))
    }

    /// Returns whether a state is kept although its scaled timeout is over.
    #[cold]
    fn is_kept(&self, slot: Slot, own: Option<u32>, now: Tick) -> bool {
        self.holds_expiry(now)
            || self.silent_peers.in_grace(&self.table, slot)
            || !self.timeouts.expired(self.table.hot(slot), own, now, self.scaling_states(slot))
    }

    /// Notes a poll, and whether the one before it was too long ago.
    pub(super) fn note_poll(&mut self, now: Nanos) {
        if self.is_paused(Tick::from_nanos(now)) {
            self.shared.count_pause(now);
        }
        self.last_poll = Some(now);
    }

    /// Whether the last poll was too long ago.
    fn is_paused(&self, now: Tick) -> bool {
        let since = |last| u64::from(now.since(Tick::from_nanos(last)).max(0).cast_unsigned());
        self.last_poll.is_some_and(|last| self.exporter.settings().is_pause(since(last) * NANOS_PER_TICK))
    }

    /// Whether nothing expires: this node was paused, and a peer may have passed packets of its states since.
    pub(super) fn holds_expiry(&self, now: Tick) -> bool {
        self.shared.holds_expiry(now) || self.is_paused(now) && self.shared.has_seen_peer()
    }

    /// Returns the number of states that scales a state's timeout. 0, so that nothing scales it, where the traffic is a
    /// peer's that is there to expire it or may be (this lane creates no states, so the peer may just have none to send), and
    /// where the peer sent a time that was scaled already.
    pub(super) fn scaling_states(&self, slot: Slot) -> u32 {
        let (hot, creation) = (self.table.hot(slot), self.table.cold(slot).creation);
        let is_foreign = !hot.local.has(LocalFlags::LOCAL_TRAFFIC);
        let is_unscaled = is_foreign
            && (self.silent_peers.is_unscaled(&self.table, slot)
                || !self.exporter.has_own_states(self.table.len())
                || Timeouts::sender_scaled(hot, creation));
        if is_unscaled { 0 } else { self.totals.states }
    }

    /// Removes a state whose timeout is over.
    #[cold]
    pub(super) fn expire(&mut self, slot: Slot, now: Nanos) {
        let (tick, own) = (Tick::from_nanos(now), self.own_timeout_s(slot));
        self.counters.states_expired += 1;
        self.counters.states_expired_early +=
            u64::from(!self.timeouts.expired(self.table.hot(slot), own, tick, 0));
        self.remove(slot, now, Removal::Expired);
    }

    /// Returns the state's own timeout, if it has one.
    #[inline]
    pub(super) fn own_timeout_s(&self, slot: Slot) -> Option<u32> {
        let has_own = self.table.hot(slot).local.has(LocalFlags::OVERRIDE);
        has_own.then(|| self.table.cold(slot).timeout_override_s)
    }

    /// Removes a state, and notes a delete for the peers if this node is to send one.
    pub(super) fn remove(&mut self, slot: Slot, now: Nanos, why: Removal) {
        self.exporter.removed(&mut self.table, slot, now, why);
        self.table.remove(slot);
        self.publish_aliases();
    }

    /// Returns whether no further delete can be noted now. With the link down none can be for long, so deletes are not
    /// waited for then.
    pub(super) fn must_wait_for_deletes(&self) -> bool {
        self.exporter.delete_capacity() == 0 && self.shared.link_up()
    }
}

impl From<DropReason> for Reason {
    fn from(reason: DropReason) -> Self {
        match reason {
            DropReason::Window | DropReason::QuotedWindow => Self::Window,
            DropReason::ChallengeAck => Self::ChallengeAck,
            DropReason::Reset => Self::Reset,
            DropReason::IpOptions => Self::IpOptions,
            DropReason::SynProxy | DropReason::SctpTag | DropReason::IcmpDirection => Self::State,
        }
    }
}
