//! Settings of replication: plain data and its checks.

mod filter;
mod peer;
mod policy;
mod seal;
mod tuning;

pub use filter::Filter;
pub use peer::PeerSettings;
pub use policy::{Defer, GracePolicy, PF_DELAY, RetryPolicy};
pub use seal::{PeerSeal, UnsealedRights};
pub use tuning::Tuning;

use crate::error::{Error, check_range};
use crate::memory::{try_copy, try_vec};
use crate::state::{IfName, LineRate};
use crate::sync::message::PeerIndex;
use crate::time::Nanos;
use pfsync::FullState;

/// Maximum number of peers of one engine.
pub const MAX_PEERS: usize = 8;
/// Maximum number of source addresses of one peer, that is of nodes behind a group.
pub const MAX_SOURCES: usize = 8;

const MAX_DELETES: u32 = 1 << 24;
const MILLISECOND: Nanos = 1_000_000;

/// Settings of replication. `Default` is pf's behaviour, except that new states are sent after 10 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncSettings {
    /// Off: nothing is queued or sent.
    pub enabled: bool,
    /// Our host id (creatorid), not 0.
    pub host_id: u32,
    /// Longest IP packet: the minimum of what is configured, the device's MTU and what a buffer holds.
    pub mtu: u32,
    /// Maximum time that an insert or a delete waits for other messages to share its frame.
    pub insert_age: Nanos,
    /// Maximum time that a compressed update waits, and so the interval between two updates of one state.
    pub update_age: Nanos,
    /// pf's `maxupd`: number of merged updates after which a TCP state is sent at once.
    pub maxupd: u8,
    /// How far a TCP connection may move between two updates, in percent of the window that its receiver offers; 0 to send
    /// updates by age and number only.
    pub max_drift_percent: u32,
    /// Maximum rate of one connection in megabits per second, both directions together. It limits how far a connection may
    /// have moved while this node got no updates of it.
    pub max_rate_mbit: u32,
    /// Maximum number of deletes waiting in a lane. Engines and replicas raise it to one per state.
    pub max_deletes: u32,
    /// Maximum number of requests waiting in a lane.
    pub max_requests: u32,
    /// Capacity of a lane's table. Engines and replicas set it.
    pub table_capacity: u32,
    /// Maximum number of peers' states in one lane; the remaining capacity stays free for our own. Engines and replicas
    /// replace `None` by all but one in 64 of their capacity.
    pub max_imported: Option<u32>,
    /// Maximum number of ended states that a lane remembers; more than it has states means as many.
    pub max_ended: u32,
    /// Seconds for which an ended state is remembered.
    pub ended_s: u32,
    /// Whether first packets are held until a peer has their state.
    pub defer: Defer,
    /// How long the states of a silent peer are kept.
    pub grace: GracePolicy,
    /// When a bulk request is repeated and given up.
    pub bulk_retry: RetryPolicy,
    /// Bulk requests of one peer within this interval count as one.
    pub min_bulk_interval: Nanos,
    /// After a longer time between two polls of a lane, frames may have been lost: all states are requested. 0: never.
    pub max_poll_gap: Nanos,
    /// What is sent about a state below this age is repeated once, an [`Self::update_age`] later; 0 to repeat nothing.
    pub repeat_age: Nanos,
    /// Which states are replicated.
    pub filter: Filter,
    /// Refuse states of other interfaces, as FreeBSD does. `None`: accept states of any, as OpenBSD does.
    pub known_interfaces: Option<Vec<IfName>>,
    /// Refuse states of other routing tables than these and the default one. `None`: accept states of any.
    pub routing_tables: Option<Vec<u32>>,
    /// Frames of a bulk transfer in one burst.
    pub bulk_frames: u32,
    /// Interval between two such bursts.
    pub bulk_interval: Nanos,
    /// More than one lane: the removal of a foreign state is reported to the sync lane's directory.
    pub report_ends: bool,
    /// The peers, at most [`MAX_PEERS`]. Empty: nothing is queued or sent.
    pub peers: Vec<PeerSettings>,
}

/// The default of [`SyncSettings::max_imported`]: all but one in 64, so that peers cannot take the whole table.
const fn default_quota(states: u32) -> u32 {
    states - states / 64
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            host_id: 0,
            mtu: 1500,
            insert_age: 10 * MILLISECOND,
            update_age: 1000 * MILLISECOND,
            maxupd: 128,
            max_drift_percent: 25,
            max_rate_mbit: 10_000,
            max_deletes: 65_536,
            max_requests: 1024,
            table_capacity: 65_536,
            max_imported: None,
            max_ended: u32::MAX,
            ended_s: 86_400,
            defer: Defer::default(),
            grace: GracePolicy::default(),
            bulk_retry: RetryPolicy::default(),
            min_bulk_interval: 1000 * MILLISECOND,
            max_poll_gap: 500 * MILLISECOND,
            repeat_age: 0,
            filter: Filter::default(),
            known_interfaces: None,
            routing_tables: None,
            bulk_frames: 8,
            bulk_interval: MILLISECOND,
            report_ends: false,
            peers: Vec::new(),
        }
    }
}

impl SyncSettings {
    /// Whether there is a peer to replicate to.
    pub(super) fn is_active(&self) -> bool {
        self.enabled && !self.peers.is_empty()
    }

    /// Returns a copy without the keys of seals. Lists of interface names are the process's allocator's; if memory runs out, a clone
    /// of them would end the process.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn try_clone(&self) -> Result<Self, Error> {
        let known_interfaces = self.known_interfaces.as_ref().map(|names| try_copy(names)).transpose()?;
        let routing_tables = self.routing_tables.as_ref().map(|tables| try_copy(tables)).transpose()?;
        let peers = try_vec(self.peers.len())?;
        let mut copy = Self { peers, known_interfaces, routing_tables, ..*self };
        for peer in &self.peers {
            let interfaces = try_copy(&peer.interfaces)?;
            let (sources, seal) = (peer.sources.clone(), peer.seal.without_keys());
            copy.peers.push(PeerSettings { interfaces, sources, seal, ..*peer });
        }
        Ok(copy)
    }

    /// The MTU towards a peer.
    pub(super) fn mtu_of(&self, peer: &PeerSettings) -> usize {
        let own = if peer.mtu == 0 { self.mtu } else { peer.mtu.min(self.mtu) };
        own as usize
    }

    /// Maximum number of frames of repairs and of bulk transfers to pfplane nodes in one burst. What such a node loses is sent
    /// again, so it can be sent more at once.
    pub(super) const fn windowed_frames(&self) -> u32 {
        self.bulk_frames.saturating_mul(8)
    }

    /// Whether a peer is a pfplane node, so that frames have numbers.
    pub(crate) fn has_numbers(&self) -> bool {
        self.is_active() && self.peers.iter().any(|peer| peer.extensions)
    }

    /// The minimum MTU with which a whole state can be sent to every peer.
    #[must_use]
    pub fn min_mtu(&self) -> u32 {
        let need = |peer: &PeerSettings| peer.overhead() + peer.state_bytes();
        let min = self.peers.iter().map(need).max().unwrap_or(0);
        u32::try_from(min).unwrap_or(u32::MAX)
    }

    /// Whether the routing tables and routing domains of a state exist. A negative number and 0 mean the default table. A
    /// routing domain has the number of its first table, as in OpenBSD.
    pub(super) fn has_tables_of(&self, state: &FullState) -> bool {
        let Some(known) = &self.routing_tables else { return true };
        let exists = |table: u32| table == 0 || known.contains(&table);
        state.rtableid.iter().all(|&table| u32::try_from(table).is_ok_and(exists) || table < 0)
            && state.key.iter().all(|key| exists(key.rdomain.into()))
    }

    /// Whether this time between two polls of a lane is too long.
    #[must_use]
    pub fn is_pause(&self, gap: Nanos) -> bool {
        self.is_active() && self.max_poll_gap > 0 && gap > self.max_poll_gap
    }

    /// Returns the peers that frames are sent to.
    pub(in crate::sync) fn active_peers(&self) -> &[PeerSettings] {
        let count = if self.is_active() { self.peers.len().min(MAX_PEERS) } else { 0 };
        &self.peers[..count]
    }

    /// Returns the pfplane peers, and how many nodes of each this node compares itself with.
    pub(in crate::sync) fn compared_peers(&self) -> impl Iterator<Item = (PeerIndex, usize)> + '_ {
        let peers = (0..).zip(self.active_peers()).filter(|(_, peer)| peer.extensions);
        peers.map(|(index, peer)| (index, peer.compared_nodes()))
    }

    /// Returns how many nodes this node compares itself with.
    pub(in crate::sync) fn compared_nodes(&self) -> usize {
        self.compared_peers().map(|(_, nodes)| nodes).sum()
    }

    /// Whether it compares itself with every node that can send states.
    pub(in crate::sync) fn compares_all(&self) -> bool {
        let is_compared = |peer: &PeerSettings| peer.extensions && peer.max_nodes() <= peer.compared_nodes();
        self.active_peers().iter().all(is_compared)
    }

    /// Whether there may be more nodes than this one and one other.
    pub(crate) fn has_third_node(&self) -> bool {
        self.peers.iter().map(PeerSettings::max_nodes).fold(0, usize::saturating_add) > 1
    }

    /// Fills in what depends on a lane's capacity: the quota of imports, the limit of requests, and space for a delete of
    /// every state. While nothing can be sent, only states that peers know end, so none of their deletes is lost.
    pub(crate) fn for_capacity(self, states: u32) -> Self {
        let max_deletes = self.max_deletes.max(states.min(MAX_DELETES));
        let max_imported = Some(self.max_imported.unwrap_or_else(|| default_quota(states)));
        Self { max_deletes, max_imported, table_capacity: states, ..self }
    }

    /// Returns how many ended states a lane of `states` states remembers.
    pub(super) fn ends_of(&self, states: u32) -> u32 {
        if self.is_active() { self.max_ended.min(states) } else { 0 }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Setting`] or [`Error::Invalid`], with the setting's name.
    pub fn check(&self) -> Result<(), Error> {
        check_range("peer_count", self.peers.len() as u64, 0, MAX_PEERS as u64)?;
        if !self.is_active() {
            return Ok(());
        }
        self.check_peers()?;
        check_range("deletes", self.max_deletes.into(), 1, MAX_DELETES.into())?;
        check_range("requests", self.max_requests.into(), 1, 1 << 20)?;
        check_range("max_bulk_frames_per_ms", self.bulk_frames.into(), 1, 4096)?;
        check_range("bulk_interval", self.bulk_interval, 1, 1000 * MILLISECOND)?;
        check_range("defer_delay", self.defer.delay, 0, 1000 * MILLISECOND)?;
        check_range("max_deferred", self.defer.max_states.into(), 1, 4096)?;
        check_range("bulk_retry", self.bulk_retry.interval, MILLISECOND, 60_000 * MILLISECOND)?;
        check_range("max_bulk_attempts", self.bulk_retry.attempts.into(), 1, 1000)?;
        check_range("bulk_stall", self.bulk_retry.progress_timeout, MILLISECOND, 60_000 * MILLISECOND)?;
        check_range("max_bulk", self.bulk_retry.total_timeout, MILLISECOND, 86_400_000 * MILLISECOND)?;
        check_range("min_bulk_interval", self.min_bulk_interval, 0, 60_000 * MILLISECOND)?;
        check_range("max_poll_gap", self.max_poll_gap, 0, 60_000 * MILLISECOND)?;
        check_range("grace", self.grace.duration, 0, 86_400_000 * MILLISECOND)?;
        check_range("ended_s", self.ended_s.into(), 1, 1_000_000)?;
        check_range("min_age", self.filter.min_age, 0, 3_600_000 * MILLISECOND)?;
        check_range("repeat_age", self.repeat_age, 0, 3_600_000 * MILLISECOND)?;
        check_range("insert_age", self.insert_age, 0, 10_000 * MILLISECOND)?;
        check_range("max_drift_percent", self.max_drift_percent.into(), 0, 100)?;
        check_range("max_rate_mbit", self.max_rate_mbit.into(), 1, LineRate::MAX_MBIT.into())?;
        check_range("update_age", self.update_age, 0, 60_000 * MILLISECOND)
    }

    fn check_peers(&self) -> Result<(), Error> {
        if self.host_id == 0 {
            return Err(Error::Invalid { name: "host_id", reason: "0 is not a valid host id" });
        }
        let min_mtu = self.min_mtu();
        for peer in &self.peers {
            check_range("mtu", self.mtu_of(peer) as u64, min_mtu.into(), 65_535)?;
        }
        if self.peers.iter().any(|peer| !peer.has_one_family()) {
            return Err(Error::Invalid {
                name: "peer",
                reason: "source and destination differ in address family",
            });
        }
        self.peers.iter().try_for_each(PeerSettings::check_seal)?;
        if !self.peers.iter().all(PeerSettings::has_known_icmp_ports) {
            return Err(Error::Invalid {
                name: "peer.icmp_id_twice",
                reason: "only systems with the profiles freebsd1301 and freebsd1400 have this convention",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pfsync::Profile;
    use pfsync::envelope::{Address, GROUP_V6};

    fn with(profile: Profile, mtu: u32) -> SyncSettings {
        let mut settings = SyncSettings { host_id: 1, mtu, ..SyncSettings::default() };
        settings.peers.push(PeerSettings::group(profile, Address::V4([10, 0, 0, 1])));
        settings
    }

    #[test]
    fn an_mtu_too_small_for_one_state_is_refused_with_the_minimum() {
        for (profile, min) in [
            (Profile::OpenBsd6, 20 + 20 + 4 + 264u32),
            (Profile::FreeBsd1301, 20 + 20 + 4 + 242 + 4),
            (Profile::FreeBsd1500, 20 + 20 + 4 + 360 + 4),
        ] {
            assert_eq!(with(profile, min).check(), Ok(()));
            let refused = with(profile, min - 1).check();
            assert!(
                matches!(refused, Err(Error::Setting { name: "mtu", min: least, .. }) if least == u64::from(min))
            );
        }
    }

    #[test]
    fn without_peers_nothing_is_refused() {
        assert_eq!(SyncSettings { mtu: 0, ..SyncSettings::default() }.check(), Ok(()));
    }

    #[test]
    fn a_peer_with_addresses_of_two_families_is_refused() {
        let mut settings = with(Profile::FreeBsd1400, 1500);
        settings.peers[0].transport.destination = GROUP_V6;
        assert!(matches!(settings.check(), Err(Error::Invalid { name: "peer", .. })));
    }
}
