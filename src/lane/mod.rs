//! What one core owns and does (L4): its states, its sync queues, its counters, and a burst's way through them.
//!
//! ```text
//!  packets --> read --> find --> judge --> verdicts          flush --> pfsync frames out
//!             headers   index    track                       receive <-- pfsync frames in (lane 0)
//!             to keys   and hot  and note for the peers      poll: rings, expiry, bulk, statistics
//! ```
//!
//! A lane belongs to one thread. Nothing in it is shared but [`Shared`]'s single numbers and the rings of [`Rings`],
//! and the packet path touches neither.

mod aliases;
mod answer;
mod burst;
mod chunk;
mod counters;
mod create;
mod defer;
mod kill;
mod lookup;
mod mail;
mod poll;
mod ports;
mod rings;
mod shared;
mod statistics;
mod sync;
mod translate;
mod verdict;

pub use aliases::{AliasPlan, Aliases};
pub use burst::{Burst, PacketView};
pub use counters::LaneCounters;
pub use kill::{Prefix, StateFilter};
pub use mail::{LaneMessage, SyncLaneMessage};
pub use rings::{RING_CAPACITY, Rings};
pub use shared::{BulkProgress, Shared};
pub use statistics::{BOARD_PLACES, PEER_STATISTICS, STATISTICS, peer_place};
pub use verdict::{Action, Reason, Verdict};

use crate::cpu::Steering;
use crate::error::Error;
use crate::state::Timeouts;
use crate::stats::Board;
use crate::sync::{Exporter, MAX_PEERS, Message, SilentPeers, SyncSettings, WalkOrder};
use crate::table::{Slot, Table};
use crate::time::{Nanos, Tick};
use arrayvec::ArrayVec;
use pfsync::link::Ethernet;
use ports::Ports;
use std::sync::Arc;
use sync::SyncLane;

/// Peers' messages whose memory is sent for together. Each is some 400 bytes here.
const APPLY_BATCH: usize = 16;

/// What an engine makes a lane of.
pub struct LaneParts {
    /// The lane's number. Lane 0 is the sync lane.
    pub index: u16,
    /// Lanes of the engine.
    pub lanes: u16,
    /// Its states.
    pub table: Table,
    /// Which lane owns which key.
    pub steering: Arc<Steering>,
    /// When states end.
    pub timeouts: Timeouts,
    /// What all lanes and the control thread see.
    pub shared: Arc<Shared>,
    /// Where it shows its values; [`BOARD_PLACES`] places.
    pub board: Arc<Board>,
    /// Its ends of the rings.
    pub rings: Rings,
    /// Keys of other lanes' states; none where there is one lane or no translation.
    pub aliases: Option<Box<Aliases>>,
    /// 256 random bits.
    pub secret: [u64; 4],
    /// Its first state's id.
    pub first_id: u64,
    /// States looked at for expiry in one housekeeping call.
    pub sweep_per_poll: u32,
    /// TCP connections of all lanes that may be half-open, 0 for any number.
    pub max_half_open: u32,
    /// Replication.
    pub sync: SyncSettings,
    /// The Ethernet header of the frames to each peer.
    pub ethernet: ArrayVec<Option<Ethernet>, MAX_PEERS>,
}

/// One core's share of an engine. It may be sent to another thread, and is used by one at a time.
///
/// Lanes never share a cache line, nor a pair of lines that a core fetches together.
#[repr(align(128))]
pub struct Lane {
    index: u16,
    lanes: u16,
    host_id: u32,
    table: Table,
    exporter: Exporter,
    timeouts: Timeouts,
    steering: Arc<Steering>,
    counters: LaneCounters,
    /// Gone while a burst is under way.
    work: Option<Box<chunk::Work>>,
    keeping: SilentPeers,
    /// The tuning taken over last, packed.
    tuned: u64,
    /// States of all lanes as of the last housekeeping.
    states_everywhere: u32,
    /// Ids below this one, the lane in the top byte apart, are an earlier run's.
    first_id: u64,
    next_id: u64,
    sweep_at: u32,
    sweep_per_poll: u32,
    /// When slots were last looked at.
    swept_at: Nanos,
    show_at: Nanos,
    /// States as last told to [`Shared`].
    states_shown: u32,
    max_half_open: u32,
    /// Half-open connections as last told to [`Shared`], and those of the other lanes then.
    half_open_shown: u32,
    half_open_elsewhere: u32,
    sync: Option<Box<SyncLane>>,
    /// Peers' messages that are done next, together. Gone while that goes on.
    told: Option<Box<ArrayVec<Message, APPLY_BATCH>>>,
    /// Mail of the sync lane that was acted upon, modulo 2^32.
    heard: u32,
    /// A finished walk that found the ring full.
    unsent_walk: Option<WalkOrder>,
    rings: Rings,
    aliases: Option<Box<Aliases>>,
    ports: Ports,
    /// Clears of all states: begun, done, and told to the peers.
    clears_begun: u32,
    clears_done: u32,
    clears_told: u32,
    emptying: Option<kill::ClearProgress>,
    ethernet: ArrayVec<Option<Ethernet>, MAX_PEERS>,
    shared: Arc<Shared>,
    board: Arc<Board>,
    broken: bool,
}

/// A state as a host may see it.
#[derive(Clone, Copy, Debug)]
pub struct StateView<'a> {
    /// Its place.
    pub slot: Slot,
    /// Its hot record.
    pub hot: &'a crate::state::Hot,
    /// Its track record; other protocols than TCP leave it as it came.
    pub track: &'a crate::state::Track,
    /// Its cold record.
    pub cold: &'a crate::state::Cold,
    /// Seconds since it was made.
    pub age_s: u32,
    /// Seconds until it ends without traffic.
    pub expires_s: u32,
}

impl Lane {
    /// A lane of these parts. Its memory is had now.
    ///
    /// # Errors
    /// A replication setting out of range.
    pub fn new(parts: LaneParts) -> Result<Self, Error> {
        let capacity = parts.table.capacity();
        let states = capacity as usize * usize::from(parts.lanes);
        let sync =
            (parts.index == 0).then(|| Box::new(SyncLane::new(&parts.sync, parts.lanes.into(), states)));
        Ok(Self {
            index: parts.index,
            lanes: parts.lanes,
            host_id: parts.sync.host_id,
            table: parts.table,
            exporter: Exporter::new(parts.sync.with_delete_capacity(capacity))?,
            timeouts: parts.timeouts,
            steering: parts.steering,
            counters: LaneCounters::default(),
            work: Some(Box::new(chunk::Work::NONE)),
            keeping: SilentPeers::default(),
            tuned: 0,
            states_everywhere: 0,
            first_id: parts.first_id,
            next_id: parts.first_id,
            sweep_at: 0,
            sweep_per_poll: parts.sweep_per_poll,
            swept_at: 0,
            show_at: 0,
            states_shown: 0,
            max_half_open: parts.max_half_open,
            half_open_shown: 0,
            half_open_elsewhere: 0,
            sync,
            told: Some(Box::default()),
            heard: 0,
            unsent_walk: None,
            rings: parts.rings,
            aliases: parts.aliases,
            ports: Ports::new(parts.secret, parts.index, parts.lanes),
            clears_begun: 0,
            clears_done: 0,
            clears_told: 0,
            emptying: None,
            ethernet: parts.ethernet,
            shared: parts.shared,
            board: parts.board,
            broken: false,
        })
    }

    /// The state at a place.
    #[must_use]
    pub fn state_at(&self, slot: Slot, now: Nanos) -> Option<StateView<'_>> {
        self.state_from(slot.0, now).filter(|view| view.slot == slot)
    }

    /// The first state at or after place `from`.
    #[must_use]
    pub fn state_from(&self, from: u32, now: Nanos) -> Option<StateView<'_>> {
        let slot = self.table.next_live(from)?;
        let tick = Tick::from_nanos(now);
        let (hot, cold) = (self.table.hot(slot), self.table.cold(slot));
        let age = tick.since(cold.creation).max(0).cast_unsigned();
        let remaining =
            self.timeouts.remaining_s(hot, self.own_timeout_s(slot), tick, self.states_everywhere);
        let track = self.table.track(slot);
        Some(StateView {
            slot,
            hot,
            track,
            cold,
            age_s: age / crate::time::TICKS_PER_SECOND,
            expires_s: remaining,
        })
    }

    /// Whether a defect was met in this lane, after which its tables may be torn.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Takes the lane out of use.
    pub const fn set_broken(&mut self) {
        self.broken = true;
    }
}
