//! One firewall instance of the host process (L5): its configuration, its lanes, and the control thread's calls.
//!
//! [`Engine::new`] returns the engine and its lanes separately: the lanes move to the cores that own them, the engine stays
//! with the control thread. They share single numbers without locks: `Shared`, and each lane's board of statistics.

mod config;
mod identity;
mod replica;

pub use config::{Config, MAX_LANES};
pub(crate) use identity::random;
pub use replica::replica;

use crate::cpu::Steering;
use crate::cpu::system_random;
use crate::error::Error;
use crate::lane::{
    Aliases, BOARD_VALUES, BulkProgress, Lane, LaneIdentity, LaneParts, PEER_STATISTICS, Rings, STATISTICS,
    Shared, SyncPart, TrackerPart, TrackerParts, peer_stat_index,
};
use crate::limits::{Source, Sources};
use crate::memory::{Counted, List, Owned, populate_code};
use crate::packet::Family;
use crate::seal::{SealKey, SealShared, SealStatus};
use crate::state::Timeouts;
use crate::stats::{Board, Descriptor, Kind};
use crate::sync::{Equality, Exporter, HELLO_GROUP, HelloBytes, Readiness, Seals, SyncSettings, Tuning};
use crate::time::Nanos;
use identity::Random;

/// The control thread's side of an engine.
pub struct Engine {
    shared: Counted<Shared>,
    boards: List<Counted<Board>>,
    steering: Counted<Steering>,
    sources: Option<Counted<Sources>>,
    seals: Seals,
    host_id: u32,
    mtu: u32,
    peers: usize,
}

/// What all lanes of an engine are built from.
struct LanePlan<'a> {
    config: &'a Config,
    sync: &'a SyncSettings,
    timeouts: &'a Timeouts,
    steering: &'a Counted<Steering>,
    shared: &'a Counted<Shared>,
    sources: Option<&'a Counted<Sources>>,
    seals: &'a Seals,
    secret: [u64; 4],
    ports_secret: [u64; 4],
    first_id: u64,
    epoch: u64,
}

impl LanePlan<'_> {
    fn exporter(&self, index: u32) -> Result<Owned<Exporter>, Error> {
        let ends = self.config.ends(self.sync, index, self.first_id, self.secret)?;
        let lane = (index as u8, self.config.states_per_lane);
        Exporter::for_lane((self.sync, self.seals), lane, ends, self.epoch, self.config.heap(index))
    }

    fn sync_lane(&self, index: u32) -> Result<Option<SyncPart>, Error> {
        if index > 0 {
            return Ok(None);
        }
        let (lanes, backlog) = (self.config.lanes, self.config.backlog()?);
        let states = self.config.capacity() as usize;
        SyncPart::new(self.sync, (lanes, states), backlog, self.seals, self.config.heap(0)).map(Some)
    }

    #[inline(never)]
    fn tracker(
        &self,
        index: u32,
        exporter: Owned<Exporter>,
        aliases: Option<Owned<Aliases>>,
    ) -> Result<TrackerPart, Error> {
        let config = self.config;
        let lane = LaneIdentity {
            index: index as u16,
            lanes: config.lanes as u16,
            host_id: self.sync.host_id,
            first_id: self.first_id,
        };
        let table = config.table(index, self.secret, self.steering, self.sources)?;
        let parts = TrackerParts {
            lane,
            exporter,
            steering: self.steering,
            timeouts: self.timeouts,
            shared: self.shared,
            aliases,
            secret: self.ports_secret,
            max_half_open: config.max_half_open,
            nat_nodes: config.nat_nodes,
            packet_policy: &config.packet_policy,
        };
        TrackerPart::new(parts, table, config.heap(index))
    }

    #[inline(never)]
    fn push_lane(&self, lanes: &mut List<Lane>, parts: LaneParts) -> Result<(), Error> {
        lanes.push(Lane::new(parts, self.config.sweep_per_poll)?);
        Ok(())
    }
}

impl Engine {
    /// Builds an engine and its lanes, lane 0 first. Allocates and touches all memory; nothing is allocated later.
    ///
    /// # Errors
    /// A setting is out of range, or memory cannot be allocated.
    pub fn new(config: Config) -> Result<(Self, Vec<Lane>), Error> {
        let (engine, lanes) = Self::build(&config)?;
        Ok((engine, lanes.into_iter().collect()))
    }

    /// As [`Self::new`], with the lanes in memory of the engine.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn build(config: &Config) -> Result<(Self, List<Lane>), Error> {
        config.check()?;
        populate_code();
        let heap = config.heap(0);
        let steering = config.steering()?;
        let timeouts = config.effective_timeouts(config.capacity())?;
        let mut random = Random::new(config.random_seed)?;
        let sync = config.effective_sync(random.host_id())?;
        let first_id = random.first_id(config.start_unix_s);
        let peers = if sync.enabled { sync.peers.len() } else { 0 };
        let shared = Shared::new(peers, config.lanes, heap)?;
        let (secret, ports_secret) = (random.secret(), random.secret());
        let seals = config.seals(sync.host_id, first_id)?;
        let epoch = seals.as_ref().map_or_else(|| random.epoch(first_id), |seals| seals.epoch());
        let mut aliases = config.aliases(secret)?;
        let sources = config.source_counts(secret)?;
        let plan = LanePlan {
            config,
            sync: &sync,
            timeouts: &timeouts,
            steering: &steering,
            shared: &shared,
            sources: sources.as_ref(),
            seals: &seals,
            secret,
            ports_secret,
            first_id,
            epoch,
        };
        let mut boards = heap.list("statistics", config.lanes as usize)?;
        let mut lanes = heap.list("lanes", config.lanes as usize)?;
        for (index, rings) in (0..config.lanes).zip(Rings::connect(config.lanes, heap)?) {
            let heap = config.heap(index);
            let board = Counted::new(heap, "statistics", Board::new(heap, BOARD_VALUES)?)?;
            boards.push(board.clone());
            let (exporter, sync) = (plan.exporter(index)?, plan.sync_lane(index)?);
            let tracker = plan.tracker(index, exporter, aliases.next())?;
            plan.push_lane(&mut lanes, LaneParts { tracker, sync, board, rings, heap })?;
        }
        let (host_id, mtu, peers) = (sync.host_id, sync.mtu, sync.peers.len());
        Ok((Self { shared, boards, steering, sources, seals, host_id, mtu, peers }, lanes))
    }

    /// Returns whether this node may take over.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.shared.ready()
    }

    /// Returns whether this node may take over, and what speaks against it.
    #[must_use]
    pub fn readiness(&self, now: Nanos) -> Readiness {
        self.shared.readiness(now)
    }

    /// Notes that the sync port missed `frames` frames, or that the host dropped them. All states are requested again then.
    pub fn frames_missed(&self, frames: u64) {
        self.shared.count_missed_frames(frames);
    }

    /// Returns the progress of the bulk transfer from the peer.
    #[must_use]
    pub fn bulk(&self) -> BulkProgress {
        self.shared.bulk()
    }

    /// Requests all states of the peers, at the sync lane's next housekeeping.
    pub fn request_bulk(&self) {
        self.shared.request_bulk();
    }

    /// Removes all states, from each lane's next housekeeping on, some slots a call. States created meanwhile stay. The peers
    /// get a delete for each state.
    pub fn clear(&self) {
        self.shared.request_clear();
    }

    /// Sends all states to all peers, from the sync lane's next housekeeping on.
    pub fn push_bulk(&self) {
        self.shared.request_push();
    }

    /// Changes the pace of replication. Bulk transfers in progress continue.
    ///
    /// # Errors
    /// A setting is out of range. Nothing has changed then.
    pub fn tune(&self, tuning: &Tuning) -> Result<(), Error> {
        tuning.check()?;
        self.shared.set_tuning(tuning);
        Ok(())
    }

    /// Sends the hello of an election group to the other pfplane nodes, at the sync lane's next housekeeping. Returns false if the
    /// hello of another group was lost by that, because too many wait.
    #[must_use]
    pub fn send_hello(&self, hello: &HelloBytes, now: Nanos) -> bool {
        self.shared.hellos_to_send.put(hello, now, |other| other[HELLO_GROUP] == hello[HELLO_GROUP])
    }

    /// Returns a wanted hello of another node, and when it was received.
    pub fn take_hello(&self, wanted: impl Fn(&HelloBytes) -> bool) -> Option<(HelloBytes, Nanos)> {
        self.shared.hellos_received.take(wanted)
    }

    /// Adds a key for a sealed peer. It is preferred to the others: frames are sealed with it as soon as the peer has it.
    ///
    /// # Errors
    /// The peer is not sealed, it has a key with this id, or four keys.
    pub fn add_seal_key(&self, peer: usize, key: SealKey) -> Result<(), Error> {
        self.seals()?.add_key(peer, key)
    }

    /// Removes a key of a sealed peer.
    ///
    /// # Errors
    /// The peer is not sealed, has no such key or no other one, or still sends with this one.
    pub fn remove_seal_key(&self, peer: usize, id: u8) -> Result<(), Error> {
        self.seals()?.remove_key(peer, id)
    }

    /// Begins another run of the seal, with another epoch, in a copy of a process or of a machine. All states are sent again.
    ///
    /// # Errors
    /// No peer is sealed, or the system has no random bits.
    pub fn renew_seals(&self) -> Result<(), Error> {
        renew_seals(self.seals()?)
    }

    fn seals(&self) -> Result<&SealShared, Error> {
        self.seals.as_deref().ok_or(Error::Invalid { name: "peer.seal", reason: "no peer is sealed" })
    }

    /// Returns how this node's states compare with those that a peer sent. `None` past the last peer.
    #[must_use]
    pub fn comparison(&self, peer: usize) -> Option<Equality> {
        self.shared.comparisons.get(peer).filter(|_| peer < self.peers).map(|board| board.get())
    }

    /// Returns the state of a peer's seal. `None` past the last peer.
    #[must_use]
    pub fn seal_status(&self, peer: usize) -> Option<SealStatus> {
        match &self.seals {
            Some(seals) => seals.status(peer),
            None => (peer < self.peers).then(SealStatus::default),
        }
    }

    /// Sets whether the sync port's link is up. When it comes back, requests all states and sends all own states.
    pub fn set_link(&self, up: bool) {
        let was_up = self.shared.set_link_up(up);
        if up && !was_up {
            self.shared.request_bulk();
            self.shared.request_push();
        }
    }

    /// Returns the length of the longest IP packet sent on the sync link.
    #[must_use]
    pub const fn mtu(&self) -> u32 {
        self.mtu
    }

    /// Returns this node's host id.
    #[must_use]
    pub const fn host_id(&self) -> u32 {
        self.host_id
    }

    /// Returns the number of lanes.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.boards.len() as u32
    }

    /// Returns the function that assigns keys to lanes.
    #[must_use]
    pub fn steering(&self) -> &Steering {
        &self.steering
    }

    /// Returns the states of a source, and how many of them are open TCP connections: those of one rule with limits, or of
    /// all rules if the engine has limits. `None` if sources are not counted.
    #[must_use]
    pub fn source(&self, address: [u8; 16], family: Family, rule: Option<u32>) -> Option<(u32, u32)> {
        let source = Source { address, family, rule: rule.unwrap_or(u32::MAX) };
        self.sources.as_ref().map(|sources| sources.counts(&source, rule.is_some()))
    }

    /// Returns statistic number `index` of one lane, or of all lanes together. `None` past the last.
    ///
    /// Values are as of each lane's last housekeeping.
    #[must_use]
    pub fn stat(&self, lane: Option<usize>, index: usize) -> Option<(&'static Descriptor, u64)> {
        let descriptor = STATISTICS.get(index)?;
        Some((descriptor, self.value(lane, index, descriptor.kind)?))
    }

    /// Returns statistic number `index` of a peer, by its index in the configuration, of one lane or of all lanes together.
    /// `None` past the last statistic or the last peer.
    #[must_use]
    pub fn peer_stat(
        &self,
        peer: usize,
        lane: Option<usize>,
        index: usize,
    ) -> Option<(&'static Descriptor, u64)> {
        let descriptor = PEER_STATISTICS.get(index).filter(|_| peer < self.peers)?;
        Some((descriptor, self.value(lane, peer_stat_index(peer, index), descriptor.kind)?))
    }

    /// Returns the number of peers.
    #[must_use]
    pub const fn peers(&self) -> usize {
        self.peers
    }

    fn value(&self, lane: Option<usize>, index: usize, kind: Kind) -> Option<u64> {
        let boards = match lane {
            Some(lane) => self.boards.get(lane..=lane)?,
            None => &self.boards[..],
        };
        Some(boards.iter().map(|board| board.read(index)).fold(0, |a, b| kind.combine(a, b)))
    }

    /// Returns the value of the statistic `name`, of all lanes together.
    #[must_use]
    pub fn stat_named(&self, name: &str) -> Option<u64> {
        let mut all = (0..).map_while(|index| self.stat(None, index));
        all.find(|(descriptor, _)| descriptor.name.to_bytes() == name.as_bytes()).map(|(_, value)| value)
    }
}

/// Begins another run of these seals.
///
/// # Errors
/// The system has no random bits.
pub(crate) fn renew_seals(seals: &SealShared) -> Result<(), Error> {
    let reason = "the system has no random bits for the seal";
    let random = system_random().ok_or(Error::Invalid { name: "peer.seal", reason })?;
    seals.renew(random);
    Ok(())
}
