//! One firewall instance of the host process (L5): the configuration, the lanes, and what they tell each other.
//!
//! [`Engine::new`] gives the engine and its lanes apart: the lanes go to the cores that own them, the engine stays with
//! the control thread. What both see is in `Shared` and on each lane's board, single numbers without locks.

mod config;
mod identity;
mod replica;

pub use config::{Config, MAX_LANES};
pub use replica::replica;

use crate::cpu::Steering;
use crate::error::Error;
use crate::lane::{
    BOARD_VALUES, BulkProgress, Lane, LaneParts, PEER_STATISTICS, Rings, STATISTICS, Shared, peer_stat_index,
};
use crate::limits::{Source, Sources};
use crate::packet::Family;
use crate::stats::{Board, Descriptor, Kind};
use crate::sync::Tuning;
use std::sync::Arc;

/// The control thread's side of an engine.
pub struct Engine {
    shared: Arc<Shared>,
    boards: Vec<Arc<Board>>,
    steering: Arc<Steering>,
    sources: Option<Arc<Sources>>,
    host_id: u32,
    mtu: u32,
    peers: usize,
}

impl Engine {
    /// An engine and its lanes, lane 0 first. All memory is taken and touched here, none later.
    ///
    /// # Errors
    /// A setting out of range, or no memory.
    pub fn new(config: Config) -> Result<(Self, Vec<Lane>), Error> {
        config.check()?;
        let steering = Arc::new(config.steering()?);
        let timeouts = config.effective_timeouts()?;
        let sync = config.effective_sync(identity::random_host_id());
        let start = identity::start(config.start_unix_s);
        let shared = Arc::new(Shared::new(sync.enabled && !sync.peers.is_empty()));
        let (secret, ports_secret) = (identity::random_secret(), identity::random_secret());
        let mut aliases = config.aliases(secret)?;
        let sources = config.source_counts(secret)?;
        let mut boards = Vec::new();
        let mut lanes = Vec::new();
        for (index, rings) in (0..config.lanes).zip(Rings::connect(config.lanes)) {
            let board = Arc::new(Board::new(BOARD_VALUES));
            boards.push(Arc::clone(&board));
            lanes.push(Lane::new(LaneParts {
                index: index as u16,
                lanes: config.lanes as u16,
                table: match &sources {
                    Some(sources) => {
                        config.table(index, secret, &steering)?.with_sources(Arc::clone(sources))
                    }
                    None => config.table(index, secret, &steering)?,
                },
                steering: Arc::clone(&steering),
                timeouts: timeouts.clone(),
                shared: Arc::clone(&shared),
                board,
                rings,
                aliases: aliases.next(),
                secret: ports_secret,
                first_id: identity::first_id(index, start),
                sweep_per_poll: config.sweep_per_poll,
                max_half_open: config.max_half_open,
                sync: sync.clone(),
                ethernet: config.ethernet.clone(),
            })?);
        }
        let (host_id, mtu, peers) = (sync.host_id, sync.mtu, sync.peers.len());
        Ok((Self { shared, boards, steering, sources, host_id, mtu, peers }, lanes))
    }

    /// Whether this node may take over.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.shared.ready()
    }

    /// How far the bulk transfer from the peer is.
    #[must_use]
    pub fn bulk(&self) -> BulkProgress {
        self.shared.bulk()
    }

    /// Asks the peer for all its states at the sync lane's next housekeeping.
    pub fn request_bulk(&self) {
        self.shared.request_bulk();
    }

    /// Ends all states, from each lane's next housekeeping on. Peers are told in one message.
    pub fn clear(&self) {
        self.shared.request_clear();
    }

    /// Tells the peers all states, from the sync lane's next housekeeping on.
    pub fn push_bulk(&self) {
        self.shared.request_push();
    }

    /// Changes pace and bounds of the sending side while all goes on; what is under way stays under way.
    ///
    /// # Errors
    /// A setting out of range; then nothing changes.
    pub fn tune(&self, tuning: &Tuning) -> Result<(), Error> {
        tuning.check()?;
        self.shared.set_tuning(tuning);
        Ok(())
    }

    /// Says whether the sync port's link is up. When it comes back, all states are asked for and offered.
    pub fn set_link(&self, up: bool) {
        let was_up = self.shared.set_link_up(up);
        if up && !was_up {
            self.shared.request_bulk();
            self.shared.request_push();
        }
    }

    /// The longest IP packet that is sent on the sync link.
    #[must_use]
    pub const fn mtu(&self) -> u32 {
        self.mtu
    }

    /// Our host id.
    #[must_use]
    pub const fn host_id(&self) -> u32 {
        self.host_id
    }

    /// Number of lanes.
    #[must_use]
    pub const fn lanes(&self) -> u32 {
        self.boards.len() as u32
    }

    /// Which lane owns which key.
    #[must_use]
    pub fn steering(&self) -> &Steering {
        &self.steering
    }

    /// States of a source now, and how many of them are TCP connections that both sides have opened: those of one rule
    /// with limits, or of all where there are limits over all rules. `None` where nothing is counted.
    #[must_use]
    pub fn source(&self, address: [u8; 16], family: Family, rule: Option<u32>) -> Option<(u32, u32)> {
        let source = Source { address, family, rule: rule.unwrap_or(u32::MAX) };
        self.sources.as_ref().map(|sources| sources.counts(&source, rule.is_some()))
    }

    /// Statistic number `index` of one lane, or of all of them together; none past the last.
    ///
    /// Values are as of each lane's last housekeeping.
    #[must_use]
    pub fn stat(&self, lane: Option<usize>, index: usize) -> Option<(&'static Descriptor, u64)> {
        let descriptor = STATISTICS.get(index)?;
        Some((descriptor, self.value(lane, index, descriptor.kind)?))
    }

    /// Statistic number `index` of a peer, by its number in the configuration, as one lane or all of them show it; none
    /// past the last, and none past the last peer.
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

    /// Number of peers.
    #[must_use]
    pub const fn peers(&self) -> usize {
        self.peers
    }

    fn value(&self, lane: Option<usize>, place: usize, kind: Kind) -> Option<u64> {
        let boards = match lane {
            Some(lane) => self.boards.get(lane..=lane)?,
            None => &self.boards,
        };
        Some(boards.iter().map(|board| board.read(place)).fold(0, |a, b| kind.combine(a, b)))
    }

    /// The value of the statistic called `name`, summed over all lanes.
    #[must_use]
    pub fn stat_named(&self, name: &str) -> Option<u64> {
        let mut all = (0..).map_while(|index| self.stat(None, index));
        all.find(|(descriptor, _)| descriptor.name.to_bytes() == name.as_bytes()).map(|(_, value)| value)
    }
}
