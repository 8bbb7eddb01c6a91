//! What one core owns and does (L4): its states, its sync queues, its counters, and the packet pipeline.
//!
//! ```text
//!  packets --> parse --> steer --> probe --> match --> track --> note --> verdict
//!
//!  lookup, create   packets in, verdicts out          poll              housekeeping
//!  flush            pfsync frames out                 receive (lane 0)  pfsync frames in
//! ```
//!
//! A lane belongs to one thread. It shares only the numbers of [`Shared`] and the rings of [`exchange`] with others, and
//! the packet path touches neither.

mod admin_delete;
mod burst;
mod create;
mod exchange;
mod pipeline;
mod policy;
mod poll;
mod ports;
mod replication;
mod statistics;
mod tracker;
mod translate;
mod verdict;

pub use admin_delete::{Prefix, StateFilter};
pub use burst::{Burst, BurstInfo, Checksums, Packet, PacketView};
pub use exchange::{
    AliasPlan, Aliases, BulkProgress, ImportReport, LaneMessage, RING_CAPACITY, Rings, Shared,
    SyncLaneMessage,
};
pub use policy::{PacketPolicy, VerifyChecksums};
pub use ports::NatNodes;
pub(crate) use replication::{Backlog, SyncPart};
pub use statistics::{BOARD_VALUES, LaneCounters, PEER_STATISTICS, STATISTICS, peer_stat_index};
pub use verdict::{Action, Reason, Verdict};

use crate::error::Error;
use crate::memory::{Counted, Heap, Owned};
use crate::packet::{Facts, Kind, Translation, parse_into, write_answer};
use crate::state::{Cold, DropReason, Extra, Hot, Options, Track, answer};
use crate::stats::Board;
use crate::sync::{Arrival, Directory, Exporter, SyncSettings};
use crate::table::Slot;
use crate::time::{HostClock, Nanos, TICKS_PER_SECOND, Tick};
use admin_delete::ClearProgress;
use burst::SinglePacket;
use pfsync::link::ReceivedLink;
use pipeline::Pipeline;
use poll::{Published, Sweep};
use replication::{Inbox, SyncLane};
use tracker::Tracker;
pub(crate) use tracker::{LaneIdentity, TrackerPart, TrackerParts};

/// What an engine builds a lane from. The large parts are in memory of their own already: each is built by a function with a
/// stack of its own, since that of the caller may be small.
pub(crate) struct LaneParts {
    /// Its states.
    pub tracker: TrackerPart,
    /// On lane 0.
    pub sync: Option<SyncPart>,
    /// Where the lane publishes its statistics; [`BOARD_VALUES`] values.
    pub board: Counted<Board>,
    /// The lane's ends of the rings.
    pub rings: Rings,
    /// Where the lane allocates.
    pub heap: Heap,
}

/// One core's share of an engine. It may move to another thread, and one thread at a time uses it.
///
/// Lanes never share a cache line, nor a pair of lines that a core prefetches together; nor do their trackers and exporters.
#[repr(align(128))]
pub struct Lane {
    tracker: Owned<Tracker>,
    pipeline: Pipeline,
    rings: Rings,
    inbox: Inbox,
    /// On lane 0.
    sync: Option<Owned<SyncLane>>,
    sweep: Sweep,
    clear: ClearProgress,
    published: Published,
    clock: HostClock,
    board: Counted<Board>,
    broken: bool,
}

/// A state as a host sees it.
#[derive(Clone, Copy, Debug)]
pub struct StateView<'a> {
    /// Its slot.
    pub slot: Slot,
    /// Its hot record.
    pub hot: &'a Hot,
    /// Its track record. Only TCP uses it.
    pub track: &'a Track,
    /// Its cold record.
    pub cold: &'a Cold,
    /// What only few states have.
    pub extra: Option<&'a Extra>,
    /// Seconds since its creation.
    pub age_s: u32,
    /// Seconds until it expires without traffic.
    pub expires_s: u32,
}

impl Lane {
    /// Builds a lane from its parts, and allocates the rest of its memory. One housekeeping call examines at most `sweep_per_poll`
    /// slots for expiry.
    ///
    /// # Errors
    /// Memory cannot be allocated.
    pub(crate) fn new(parts: LaneParts, sweep_per_poll: u32) -> Result<Self, Error> {
        let LaneParts { tracker: TrackerPart(tracker), heap, .. } = parts;
        Ok(Self {
            pipeline: Pipeline::new(heap, tracker.table.capacity())?,
            tracker,
            rings: parts.rings,
            inbox: Inbox::new(heap)?,
            sync: parts.sync.map(|part| part.0),
            sweep: Sweep::new(sweep_per_poll),
            clear: ClearProgress::default(),
            published: Published::default(),
            clock: HostClock::default(),
            board: parts.board,
            broken: false,
        })
    }

    /// Returns the bytes of a lane besides its table: lane `index` of `lanes`, with `capacity` states each.
    pub(crate) fn memory_needed(sync: SyncSettings, index: u32, lanes: u32, capacity: u32) -> usize {
        let directory = if lanes > 1 { capacity as usize * lanes as usize } else { 0 };
        let of_sync_lane = size_of::<SyncLane>()
            + Directory::memory_needed(directory)
            + SyncLane::parts_memory(&sync, lanes)
            + sync.opener_memory();
        let board =
            size_of::<Counted<Board>>() + Counted::<Board>::bytes() + Board::memory_needed(BOARD_VALUES);
        size_of::<Self>()
            + size_of::<Tracker>()
            + board
            + Pipeline::memory_needed()
            + Inbox::memory_needed()
            + Exporter::memory_needed(&sync.for_capacity(capacity))
            + if index == 0 { of_sync_lane } else { 0 }
    }

    /// Looks up and tracks the packets of a burst, and gives a verdict on each.
    ///
    /// Cost: no allocation, lock, clock or system call.
    #[inline(always)]
    pub fn lookup_burst<B: Burst>(&mut self, info: &BurstInfo, burst: &mut B) {
        let info = &BurstInfo { now: self.clock.advance(info.now), ..*info };
        self.pipeline.run(&mut self.tracker, info, burst);
    }

    /// Looks up and tracks one packet, and returns its verdict. The packet stays as it is: [`Verdict::translated`] says
    /// whether to rewrite it, and [`Self::translation`] how.
    pub fn lookup(&mut self, info: &BurstInfo, packet: &PacketView<'_>) -> Verdict {
        self.lookup_single(info, Packet::Bytes(*packet))
    }

    /// As [`Self::lookup`], for a packet that the host has parsed.
    pub fn lookup_facts(&mut self, info: &BurstInfo, facts: &Facts, hash: Option<u32>) -> Verdict {
        self.lookup_single(info, Packet::Facts { facts: *facts, hash })
    }

    fn lookup_single(&mut self, info: &BurstInfo, packet: Packet<'_>) -> Verdict {
        let mut burst = SinglePacket::new(packet);
        self.lookup_burst(info, &mut burst);
        burst.verdict
    }

    /// Creates the state for packet `index` of a burst, whose verdict was [`Action::New`] and which the host's rules let
    /// pass. Returns the packet's verdict, and queues the state for the peers.
    ///
    /// A state that an earlier packet of the burst created tracks the packet, so both pass. A packet that cannot be
    /// rewritten creates no state.
    pub fn create_in_burst<B: Burst>(
        &mut self,
        info: &BurstInfo,
        burst: &mut B,
        index: usize,
        options: &Options,
    ) -> Verdict {
        let info = &BurstInfo { now: self.clock.advance(info.now), ..*info };
        self.tracker.receive_aliases(info.now);
        let mut facts = Facts::EMPTY;
        match self.tracker.parse_and_steer(info, &burst.packet(index), &mut facts) {
            Ok(()) => self.tracker.create(info, &facts, options, index, burst),
            Err(verdict) => verdict,
        }
    }

    /// As [`Self::create_in_burst`], for one packet, which stays as it is: see [`Self::lookup`].
    pub fn create(&mut self, info: &BurstInfo, packet: &PacketView<'_>, options: &Options) -> Verdict {
        self.create_in_burst(info, &mut SinglePacket::new(Packet::Bytes(*packet)), 0, options)
    }

    /// As [`Self::create`], for a packet that the host has parsed.
    pub fn create_from_facts(
        &mut self,
        info: &BurstInfo,
        facts: &Facts,
        hash: Option<u32>,
        options: &Options,
    ) -> Verdict {
        let packet = Packet::Facts { facts: *facts, hash };
        self.create_in_burst(info, &mut SinglePacket::new(packet), 0, options)
    }

    /// Returns what to rewrite in a packet that the state in `slot` passes. For an untranslated state it changes nothing.
    #[must_use]
    pub fn translation<'a>(&'a self, facts: &'a Facts, slot: Slot) -> Translation<'a> {
        translate::translation(&self.tracker.table, facts, slot)
    }

    /// Writes pf's reply to a TCP packet that a lookup just dropped: a challenge acknowledgement or a reset, to be sent
    /// out on the packet's own interface. Returns its length; `None` when the verdict calls for no reply.
    ///
    /// Without it, a client that reuses its ports while the old connection still has a state waits until that expires.
    #[must_use]
    pub fn answer(
        &self,
        info: &BurstInfo,
        packet: &PacketView<'_>,
        verdict: &Verdict,
        out: &mut [u8],
    ) -> Option<usize> {
        let reason = match (verdict.action, verdict.reason) {
            (Action::Drop, Reason::ChallengeAck) => DropReason::ChallengeAck,
            (Action::Drop, Reason::Reset) => DropReason::Reset,
            _ => return None,
        };
        let (slot, table) = (verdict.slot, &self.tracker.table);
        let mut facts = Facts::EMPTY;
        parse_into(packet.data, packet.packet_length, info.link, info.direction, &mut facts).ok()?;
        if facts.kind != Kind::Tcp || slot.0 >= table.end() || !table.is_live(slot) {
            return None;
        }
        let segment = answer(reason, table.hot(slot), table.track(slot), &facts)?;
        write_answer(packet.data, &facts, segment.seq, segment.ack, segment.flags, out)
    }

    /// Receives one IP packet of protocol 240 from the sync port. Returns false if this is not the sync lane.
    pub fn receive(&mut self, packet: &[u8], now: Nanos) -> bool {
        self.receive_from(packet, Arrival::SyncPort, now)
    }

    /// Receives one Ethernet frame from the sync port, from which the NIC has removed the `stripped` VLAN tags, outermost
    /// first. Ignores a frame that carries no IP. Returns false if this is not the sync lane.
    pub fn receive_frame(&mut self, frame: &[u8], stripped: &[u16], now: Nanos) -> bool {
        match ReceivedLink::parse(frame, stripped) {
            Ok((link, packet)) => self.receive_from(packet, Arrival::SyncLink(link), now),
            Err(_) => self.sync.is_some(),
        }
    }

    fn receive_from(&mut self, packet: &[u8], arrival: Arrival, now: Nanos) -> bool {
        let Some(sync) = &mut self.sync else { return false };
        let now = self.clock.advance(now);
        sync.receive(&mut self.tracker, &mut self.rings, packet, arrival, now);
        self.tracker.shared.set_last_seen(&sync.importer.last_seen);
        true
    }

    /// Returns whether messages of received frames were lost since the last call, because lanes do not keep up.
    pub fn take_lost(&mut self) -> bool {
        self.sync.as_deref_mut().is_some_and(|sync| {
            core::mem::replace(&mut sync.lost_reported, sync.messages_lost) != sync.messages_lost
        })
    }

    /// Returns the state in a slot.
    #[must_use]
    pub fn state_at(&self, slot: Slot, now: Nanos) -> Option<StateView<'_>> {
        self.state_from(slot.0, now).filter(|view| view.slot == slot)
    }

    /// Returns the first state at or after slot `from`.
    #[must_use]
    pub fn state_from(&self, from: u32, now: Nanos) -> Option<StateView<'_>> {
        let Tracker { table, timeouts, .. } = &*self.tracker;
        let slot = table.next_live(from)?;
        let tick = Tick::from_nanos(self.clock.at(now));
        let (hot, track, cold) = (table.hot(slot), table.track(slot), table.cold(slot));
        let age_s = tick.since(cold.creation).max(0).cast_unsigned() / TICKS_PER_SECOND;
        let own = self.tracker.own_timeout_s(slot);
        let expires_s = timeouts.remaining_s(hot, own, tick, self.tracker.scaling_states(slot));
        Some(StateView { slot, hot, track, cold, extra: table.extra(slot), age_s, expires_s })
    }

    /// Returns whether a panic was contained in this lane. Its tables may be inconsistent then.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Takes the lane out of use.
    pub const fn set_broken(&mut self) {
        self.broken = true;
    }
}
