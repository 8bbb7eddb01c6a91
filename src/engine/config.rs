//! An engine's configuration, checked as a whole before any memory is allocated.

use crate::cpu::{DEFAULT_KEY, Steering, system_random};
use crate::error::{Error, check_range};
use crate::lane::{AliasPlan, Aliases, Backlog, Lane, NatNodes, PacketPolicy, Rings, Shared};
use crate::limits::{SourcePlan, Sources};
use crate::memory::{Counted, Heap, List, Memory, Owned};
use crate::state::{SourceLimits, Timeouts, timeout_class};
use crate::sync::{Ends, Ids, PeerSettings, Seals, SyncSettings};
use crate::table::{Plan, PortPlan, PortPools, Table};
use crate::time::NANOS_PER_SECOND;

/// Maximum of lanes of one engine: the entries of the redirection table.
pub const MAX_LANES: u32 = 128;

/// Maximum of nodes that translate to the same addresses.
const MAX_NAT_NODES: u32 = 64;

/// An engine's settings. [`Config::default`] is one lane without a peer.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of lanes, one for each core that forwards packets.
    pub lanes: u32,
    /// Capacity of each lane.
    pub states_per_lane: u32,
    /// Translated states among these; more than all counts as all. Each takes a second entry in the index.
    pub translated_per_lane: u32,
    /// Entries of each lane for what only few states have ([`crate::state::Extra`]); more than one for each state counts as
    /// that. `None`: one for each state that may be imported if a peer's dialect has such fields, otherwise 0.
    pub extra_per_lane: Option<u32>,
    /// Seconds since 1970 at which this run started, from which ids start; 0 reads the wall clock once.
    pub start_unix_s: u64,
    /// Random bits from which ids, a random host id, hash secrets and port numbers are derived: secret, and different in each
    /// run. `None`: those of the operating system, drawn once.
    pub random_seed: Option<[u8; 32]>,
    /// Replication settings. A host id of 0 is replaced by a random one. The MTU may be reduced, see
    /// [`Self::effective_mtu`].
    pub sync: SyncSettings,
    /// MTU of the sync port; 0 if unknown.
    pub device_mtu: u32,
    /// Bytes that one packet buffer holds; 0 if unknown.
    pub buffer_room: u32,
    /// Maximum of slots that a lane examines for expiry in one housekeeping call.
    pub sweep_per_poll: u32,
    /// Maximum of half-open TCP connections over all lanes; at the maximum no new one is created. 0 for no limit. Exact with
    /// one lane; with several, the other lanes count as of their last housekeeping.
    pub max_half_open: u32,
    /// If a table is full and at least this percentage of its capacity is half-open TCP connections, a new state replaces
    /// the oldest of these. 0: it is refused.
    pub evict_half_open_percent: u32,
    /// Which of the nodes that translate to the same addresses this is.
    pub nat_nodes: NatNodes,
    /// The settings for packets of any state.
    pub packet_policy: PacketPolicy,
    /// Capacity and limits for the sources of connections, over all lanes and rules.
    pub sources: SourcePlan,
    /// The allocator of the tables.
    pub memory: Memory,
    /// NUMA node of each lane, -1 for any. Lanes beyond the list: any.
    pub lane_sockets: Vec<i32>,
    /// The RSS key. It must repeat every two bytes, so that both directions of a connection steer to one lane.
    pub rss_key: [u8; 40],
    /// The lane of each of the 128 hash values; `None` assigns them round-robin.
    pub redirection: Option<[u8; 128]>,
    /// The timeout of each class.
    pub timeouts: Timeouts,
    /// Whether the adaptive timeouts start and end at pf's defaults, 60 % and 120 % of the capacity, instead of the numbers in
    /// [`Self::timeouts`].
    pub adaptive_by_capacity: bool,
}

/// Returns how many changes of aliases may wait. Each translated state may be inserted and removed again before the other
/// lanes poll.
const fn max_alias_changes(translated: u32) -> usize {
    2 * translated as usize
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lanes: 1,
            states_per_lane: 65_536,
            translated_per_lane: u32::MAX,
            extra_per_lane: None,
            start_unix_s: 0,
            random_seed: None,
            sync: SyncSettings { repeat_age: 10 * NANOS_PER_SECOND, ..SyncSettings::default() },
            device_mtu: 0,
            buffer_room: 0,
            sweep_per_poll: 256,
            max_half_open: 0,
            evict_half_open_percent: 10,
            nat_nodes: NatNodes { node: 0, count: 1 },
            packet_policy: PacketPolicy::default(),
            sources: SourcePlan {
                capacity: 10_000,
                bits: [32, 128],
                limits: SourceLimits::default(),
                pass_when_full: false,
            },
            memory: Memory::SYSTEM,
            lane_sockets: Vec::new(),
            rss_key: DEFAULT_KEY,
            redirection: None,
            timeouts: Timeouts::default(),
            adaptive_by_capacity: true,
        }
    }
}

impl Config {
    /// Checks all settings.
    ///
    /// # Errors
    /// The first setting that cannot be used: [`Error::Setting`] or [`Error::Invalid`], naming the setting and the limit.
    pub fn check(&self) -> Result<(), Error> {
        check_range("lanes", self.lanes.into(), 1, MAX_LANES.into())?;
        check_range("states_per_lane", self.states_per_lane.into(), 1, 1 << 30)?;
        check_range("max_sweep_per_poll", self.sweep_per_poll.into(), 1, 1 << 20)?;
        check_range("evict_half_open_percent", self.evict_half_open_percent.into(), 0, 100)?;
        if let Some(redirection) = &self.redirection
            && let Some(lane) = redirection.iter().find(|lane| u32::from(**lane) >= self.lanes)
        {
            check_range("redirection", u64::from(*lane), 0, u64::from(self.lanes) - 1)?;
        }
        check_range("nat_nodes", self.nat_nodes.count.into(), 1, MAX_NAT_NODES.into())?;
        check_range("nat_node", self.nat_nodes.node.into(), 0, u64::from(self.nat_nodes.count) - 1)?;
        self.sources.check()?;
        Steering::check_key(&self.rss_key)?;
        self.sync.check_keys()?;
        self.effective_sync(1)?.check()
    }

    /// Returns the length of the longest IP packet sent on the sync link: the minimum of the configured MTU, the device's
    /// MTU and the size of a buffer.
    #[must_use]
    pub fn effective_mtu(&self) -> u32 {
        let known = [self.device_mtu, self.buffer_room].into_iter().filter(|limit| *limit != 0);
        known.fold(self.sync.mtu, u32::min)
    }

    /// Returns the replication settings with the open ones filled in.
    pub(super) fn effective_sync(&self, random_host_id: u32) -> Result<SyncSettings, Error> {
        let host_id = if self.sync.host_id == 0 { random_host_id } else { self.sync.host_id };
        let (mtu, report_ends) = (self.effective_mtu(), self.lanes > 1);
        Ok(SyncSettings { host_id, mtu, report_ends, ..self.sync.try_clone()? })
    }

    /// Returns how many bytes an engine of this configuration allocates, before mappings are rounded up to pages.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn memory_needed(&self) -> Result<u64, Error> {
        self.check()?;
        let (lanes, sync) = (self.lanes, self.effective_sync(1)?);
        let mut bytes = Counted::<Steering>::bytes()
            + Counted::<Shared>::bytes()
            + Shared::memory_needed(lanes)
            + Rings::memory_needed(lanes)
            + Backlog::memory_needed(self.states_of_owners())
            + sync.seals_memory();
        if self.sources.capacity > 0 {
            bytes += Sources::memory_needed(self.sources.capacity) + Counted::<Sources>::bytes();
        }
        let mut table = Table::memory_needed(self.plan());
        if let Some(capacity) = self.alias_capacity() {
            bytes += Aliases::memory_needed(lanes as u16, capacity);
            table += Table::foreign_keys_memory(max_alias_changes(capacity));
        }
        if let Some(ports) = self.port_capacity() {
            table += size_of::<PortPools>() + PortPools::memory_needed(ports, lanes as u16);
        }
        let ends = Ends::memory_needed(&sync, self.states_per_lane);
        for lane in 0..lanes {
            bytes += table + ends + Lane::memory_needed(sync.try_clone()?, lane, lanes, self.states_per_lane);
        }
        Ok(bytes as u64)
    }

    /// Builds the table of sources, if its capacity is not 0.
    pub(super) fn source_counts(&self, secret: [u64; 4]) -> Result<Option<Counted<Sources>>, Error> {
        if self.sources.capacity == 0 {
            return Ok(None);
        }
        let sources = Sources::new(&self.sources, secret, &self.memory)?;
        Ok(Some(Counted::new(self.heap(0), "sources", sources)?))
    }

    /// Builds the seals of the peers, with an epoch of this run.
    pub(super) fn seals(&self, host_id: u32, first_id: u64) -> Result<Seals, Error> {
        self.sync.seals((system_random(), self.random_seed, first_id), host_id, self.heap(0))
    }

    /// Returns the memory of a lane.
    pub(super) fn heap(&self, lane: u32) -> Heap {
        Heap::new(self.memory, self.lane_socket(lane))
    }

    /// Returns the plan of each lane's table.
    pub(super) fn plan(&self) -> Plan {
        let (states, translated) = (self.states_per_lane, self.translated_per_lane);
        Plan { states, translated: translated.min(states), extras: self.extras().min(states) }
    }

    fn extras(&self) -> u32 {
        let has_extra = |peer: &PeerSettings| peer.has_extra();
        match self.extra_per_lane {
            Some(entries) => entries,
            None if self.sync.peers.iter().any(has_extra) => self.sync.max_imported.unwrap_or(u32::MAX),
            None => 0,
        }
    }

    /// Returns the capacity for aliases of each lane; `None` if there cannot be any.
    fn alias_capacity(&self) -> Option<u32> {
        let translated = self.plan().translated;
        (self.lanes > 1 && translated > 0).then_some(translated)
    }

    /// Returns how many source ports in use each lane keeps track of: those of its translated states, and those of other lanes'
    /// states that steer to it.
    fn port_capacity(&self) -> Option<u32> {
        let translated = self.plan().translated;
        (translated > 0).then(|| translated.saturating_add(self.alias_capacity().unwrap_or(0)))
    }

    /// Builds the lanes' aliases, in order.
    pub(super) fn aliases(&self, secret: [u64; 4]) -> Result<impl Iterator<Item = Owned<Aliases>>, Error> {
        let all = match self.alias_capacity() {
            Some(capacity) => {
                let plan = AliasPlan { lanes: self.lanes as u16, capacity, secret, memory: &self.memory };
                Aliases::connect(&plan, |lane| self.lane_socket(lane.into()))?
            }
            None => List::new_in(self.heap(0)),
        };
        Ok(all.into_iter())
    }

    /// Returns the capacity of the lanes that get peers' messages from the sync lane.
    fn states_of_owners(&self) -> u64 {
        u64::from(self.states_per_lane) * u64::from(self.lanes - 1)
    }

    /// Builds the sync lane's space for messages that other lanes cannot receive.
    pub(super) fn backlog(&self) -> Result<Backlog, Error> {
        Backlog::new(self.states_of_owners(), &self.memory, self.lane_socket(0))
    }

    /// Builds the memory of a lane's ended states.
    pub(super) fn ends(
        &self,
        sync: &SyncSettings,
        lane: u32,
        first_id: u64,
        secret: [u64; 4],
    ) -> Result<Ends, Error> {
        let ids = Ids::new(sync.host_id, lane as u16, first_id);
        let memory = (&self.memory, self.lane_socket(lane));
        Ends::new(sync, ids, self.states_per_lane, secret[0], memory)
    }

    /// Builds the table of a lane.
    #[inline(always)]
    pub(super) fn table(
        &self,
        lane: u32,
        secret: [u64; 4],
        steering: &Counted<Steering>,
        sources: Option<&Counted<Sources>>,
    ) -> Result<Table, Error> {
        let mut table = Table::new(self.plan(), secret, &self.memory, self.lane_socket(lane))?;
        table.set_eviction(self.min_half_open());
        if let Some(sources) = sources {
            table.set_sources(sources.clone());
        }
        self.set_ports(&mut table, lane, secret, steering)?;
        if let Some(changes) = self.alias_capacity().map(max_alias_changes) {
            table.set_steering(steering.clone(), lane as u16, changes, self.heap(lane))?;
        }
        Ok(table)
    }

    #[inline(never)]
    fn set_ports(
        &self,
        table: &mut Table,
        lane: u32,
        secret: [u64; 4],
        steering: &Counted<Steering>,
    ) -> Result<(), Error> {
        let Some(ports) = self.port_capacity() else { return Ok(()) };
        let pools = PortPools::new(&PortPlan {
            ports,
            lane: lane as u16,
            lanes: self.lanes as u16,
            steering: steering.clone(),
            secret,
            memory: &self.memory,
            socket: self.lane_socket(lane),
        })?;
        table.set_ports(self.heap(lane).owned("port pools", pools)?);
        Ok(())
    }

    /// Returns how many half-open connections a full table has at least where it evicts them.
    fn min_half_open(&self) -> u32 {
        match self.evict_half_open_percent {
            0 => u32::MAX,
            percent => (u64::from(self.states_per_lane) * u64::from(percent)).div_ceil(100) as u32,
        }
    }

    /// Builds the function that steers keys to lanes.
    pub(super) fn steering(&self) -> Result<Counted<Steering>, Error> {
        let lanes = self.lanes as usize;
        let round_robin = || core::array::from_fn(|index| (index % lanes) as u8);
        let redirection = self.redirection.unwrap_or_else(round_robin);
        Counted::filled(self.heap(0), "steering", |steering: &mut Steering| {
            steering.fill(&self.rss_key, redirection)
        })
    }

    /// Returns the capacity of all lanes.
    pub(super) fn capacity(&self) -> u64 {
        u64::from(self.states_per_lane) * u64::from(self.lanes)
    }

    /// Returns the timeouts with the adaptive numbers filled in for a table of this capacity.
    pub(super) fn effective_timeouts(&self, capacity: u64) -> Result<Timeouts, Error> {
        let mut timeouts = self.timeouts.clone();
        if self.adaptive_by_capacity {
            let share = |tenths: u64| u32::try_from(capacity * tenths / 10).unwrap_or(u32::MAX);
            timeouts.set(timeout_class::ADAPTIVE_START, share(6))?;
            timeouts.set(timeout_class::ADAPTIVE_END, share(12))?;
        }
        Ok(timeouts)
    }

    pub(super) fn lane_socket(&self, lane: u32) -> i32 {
        self.lane_sockets.get(lane as usize).copied().unwrap_or(-1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.check().expect_err("must be refused").to_string()
    }

    #[test]
    fn every_setting_out_of_range_is_named_with_its_limit() {
        assert_eq!(why(|config| config.lanes = 0), "lanes is 0, it must be from 1 to 128");
        assert_eq!(why(|config| config.lanes = 129), "lanes is 129, it must be from 1 to 128");
        assert!(why(|config| config.states_per_lane = 0).contains("states_per_lane is 0"));
        assert!(why(|config| config.sweep_per_poll = 0).contains("sweep_per_poll is 0"));
        assert_eq!(why(|config| config.nat_nodes.count = 65), "nat_nodes is 65, it must be from 1 to 64");
        assert_eq!(why(|config| config.nat_nodes.node = 1), "nat_node is 1, it must be from 0 to 0");
        assert!(why(|config| config.redirection = Some([1; 128])).contains("redirection is 1"));
        assert!(why(|config| config.rss_key[5] = 1).contains("rss_key"));
    }

    #[test]
    fn the_memory_query_grows_with_lanes_and_states() {
        let one = Config::default().memory_needed().unwrap();
        let two = Config { lanes: 2, ..Config::default() }.memory_needed().unwrap();
        assert!(two > 2 * one, "lanes know each other's keys");
        assert!(one > 65_536 * 300, "{one}");
        let plain = Config { translated_per_lane: 0, ..Config::default() }.memory_needed().unwrap();
        assert!(plain < one, "a state that cannot be translated needs one index entry");
    }

    #[test]
    fn adaptive_timeouts_follow_the_capacity_as_in_pf() {
        let config = Config { lanes: 2, states_per_lane: 500, ..Config::default() };
        let timeouts = config.effective_timeouts(config.capacity()).unwrap();
        assert_eq!((timeouts.adaptive_start(), timeouts.adaptive_end()), (600, 1200));
    }
}
