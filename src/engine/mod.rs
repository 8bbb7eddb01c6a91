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
    BOARD_VALUES, BulkProgress, Lane, LaneParts, PEER_STATISTICS, Rings, STATISTICS, Shared, peer_stat_index,
};
use crate::limits::{Source, Sources};
use crate::memory::{Counted, List, populate_code};
use crate::packet::Family;
use crate::seal::{SealKey, SealShared, SealStatus};
use crate::stats::{Board, Descriptor, Kind};
use crate::sync::{Equality, HELLO_GROUP, HelloBytes, Readiness, Seals, Tuning};
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
        let steering = Counted::new(heap, "steering", config.steering()?)?;
        let timeouts = config.effective_timeouts(config.capacity())?;
        let mut random = Random::new(config.random_seed)?;
        let sync = config.effective_sync(random.host_id())?;
        let first_id = random.first_id(config.start_unix_s);
        let peers = if sync.enabled { sync.peers.len() } else { 0 };
        let shared = Shared::new(peers, config.lanes, heap)?;
        let shared = Counted::new(heap, "numbers of the engine", shared)?;
        let (secret, ports_secret) = (random.secret(), random.secret());
        let seals = config.seals(sync.host_id, first_id)?;
        let epoch = seals.as_ref().map_or_else(|| random.epoch(first_id), |seals| seals.epoch());
        let mut aliases = config.aliases(secret)?;
        let sources = config.source_counts(secret)?;
        let mut boards = heap.list("statistics", config.lanes as usize)?;
        let mut lanes = heap.list("lanes", config.lanes as usize)?;
        for (index, rings) in (0..config.lanes).zip(Rings::connect(config.lanes, heap)?) {
            let heap = config.heap(index);
            let board = Counted::new(heap, "statistics", Board::new(heap, BOARD_VALUES)?)?;
            boards.push(board.clone());
            lanes.push(Lane::new(LaneParts {
                index: index as u16,
                lanes: config.lanes as u16,
                table: config.table(index, secret, &steering, sources.as_ref())?,
                steering: steering.clone(),
                timeouts: timeouts.clone(),
                shared: shared.clone(),
                board,
                rings,
                aliases: aliases.next(),
                secret: ports_secret,
                first_id,
                epoch,
                seals: seals.clone(),
                ends: config.ends(&sync, index, first_id, secret)?,
                backlog: config.backlog(index)?,
                sweep_per_poll: config.sweep_per_poll,
                max_half_open: config.max_half_open,
                nat_nodes: config.nat_nodes,
                packet_policy: config.packet_policy,
                sync: sync.try_clone()?,
                heap,
            })?);
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
