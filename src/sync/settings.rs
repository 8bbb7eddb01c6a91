//! What replication is told at its creation.

use super::bulk::RetryPolicy;
use super::export::Defer;
use super::export::Filter;
use super::import::GracePolicy;
use super::interfaces::InterfacePair;
use crate::error::{Error, check_range};
use crate::state::IfName;
use crate::time::Nanos;
use arrayvec::ArrayVec;
use pfsync::envelope::{Address, GROUP_V4, GROUP_V6, TOS_LOW_DELAY, Transport};
use pfsync::{HEADER_BYTES, Profile, SUBHEADER_BYTES};

/// The most peers of one engine.
pub const MAX_PEERS: usize = 8;

/// The most addresses that frames of one peer come from: of the nodes behind a group.
pub const MAX_SOURCES: usize = 8;

const MAX_DELETES: u32 = 1 << 24;

const MILLISECOND: Nanos = 1_000_000;

/// One peer: the dialect that it speaks and the addresses of its frames.
///
/// A multicast destination stands for all nodes that listen there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// The dialect.
    pub profile: Profile,
    /// Our address, the peer's or the group's, and the type of service.
    pub transport: Transport,
    /// Longest IP packet towards this peer; 0 for [`SyncSettings::mtu`].
    pub mtu: u32,
    /// Ruleset checksum to send, zeros for none (`protocol` section 1.1).
    pub checksum: [u8; 16],
    /// The first timeout class that is invalid in the peer's messages. A FreeBSD 14 peer that is configured for
    /// version 1301 takes 25, not its profile's 20.
    pub timeout_limit: u8,
    /// Where there are any, frames of this peer come from these addresses, and others are not taken for its own.
    pub sources: ArrayVec<Address, MAX_SOURCES>,
    /// Interfaces that the peer calls by another name.
    pub interfaces: Vec<InterfacePair>,
}

impl PeerSettings {
    /// A peer with its profile's defaults.
    #[must_use]
    pub fn new(profile: Profile, source: Address, destination: Address) -> Self {
        let tos = match source {
            Address::V4(_) => TOS_LOW_DELAY,
            Address::V6(_) => 0,
        };
        Self {
            profile,
            transport: Transport { source, destination, tos },
            mtu: 0,
            checksum: [0; 16],
            timeout_limit: profile.timeout_limit(),
            sources: ArrayVec::new(),
            interfaces: Vec::new(),
        }
    }

    /// A peer behind the multicast group of its family.
    #[must_use]
    pub fn group(profile: Profile, source: Address) -> Self {
        let group = match source {
            Address::V4(_) => GROUP_V4,
            Address::V6(_) => GROUP_V6,
        };
        Self::new(profile, source, group)
    }

    /// How many nodes it stands for at most, as far as the settings tell.
    pub(crate) fn nodes(&self) -> usize {
        let is_group = match self.transport.destination {
            Address::V4(address) => address[0] & 0xf0 == 0xe0,
            Address::V6(address) => address[0] == 0xff,
        };
        match self.sources.len() {
            0 if is_group => usize::MAX,
            named => named.max(1),
        }
    }

    /// Bytes of an IP packet with a single region, besides the region's records.
    pub(super) const fn overhead(&self, trailer: usize) -> usize {
        let end_mark = match self.profile.version() {
            pfsync::Version::V5 => SUBHEADER_BYTES,
            pfsync::Version::V6 => 0,
        };
        self.transport.encoded_len() + HEADER_BYTES + end_mark + trailer
    }
}

/// What replication is told at its creation. `Default` is pf's behaviour, but for new states: those leave after 10 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncSettings {
    /// Off: nothing is queued, nothing is sent.
    pub enabled: bool,
    /// Our host id (creatorid), not 0.
    pub host_id: u32,
    /// Longest IP packet. The caller puts in the least of what is configured, the device's MTU and what a buffer holds.
    pub mtu: u32,
    /// How long an insert or a delete may wait for company.
    pub insert_age: Nanos,
    /// How long a compressed update may wait, and so the time between two of one state.
    pub update_age: Nanos,
    /// pf's `maxupd`: updates of a TCP state that are folded before it is sent at once.
    pub maxupd: u8,
    /// Bytes kept free behind every frame, see [`pfsync::WriterOptions`].
    pub trailer: usize,
    /// Deletions that may wait in a lane. An engine or a replica has room for one a state, if that is more.
    pub max_deletes: u32,
    /// Requests that may wait.
    pub max_requests: u32,
    /// States of peers that one lane holds at most: what is above stays free for our own.
    pub max_imported: u32,
    /// Whether first packets are held until a peer has their state.
    pub defer: Defer,
    /// How long the states of a peer that went silent are kept.
    pub grace: GracePolicy,
    /// When the request for all states is given up.
    pub bulk_retry: RetryPolicy,
    /// Requests of a peer for all states that come closer together are one.
    pub min_bulk_interval: Nanos,
    /// Which states are told.
    pub filter: Filter,
    /// States of other interfaces are refused, as FreeBSD does. `None`: states of any are taken in, as OpenBSD does.
    pub known_interfaces: Option<Vec<IfName>>,
    /// Frames of a bulk transfer that are written at once.
    pub bulk_frames: u32,
    /// Time between two such bursts.
    pub bulk_interval: Nanos,
    /// More than one lane: ends of foreign states are told to the sync lane's directory.
    pub report_ends: bool,
    /// The peers. None: nothing is queued, nothing is sent.
    pub peers: ArrayVec<PeerSettings, MAX_PEERS>,
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
            trailer: 0,
            max_deletes: 65_536,
            max_requests: 1024,
            max_imported: u32::MAX,
            defer: Defer::default(),
            grace: GracePolicy::default(),
            bulk_retry: RetryPolicy::default(),
            min_bulk_interval: 1000 * MILLISECOND,
            filter: Filter::default(),
            known_interfaces: None,
            bulk_frames: 8,
            bulk_interval: MILLISECOND,
            report_ends: false,
            peers: ArrayVec::new(),
        }
    }
}

impl SyncSettings {
    /// The MTU towards a peer.
    pub(super) fn mtu_of(&self, peer: &PeerSettings) -> usize {
        let own = if peer.mtu == 0 { self.mtu } else { peer.mtu.min(self.mtu) };
        own as usize
    }

    /// The shortest MTU with which every peer can be sent a whole state.
    #[must_use]
    pub fn min_mtu(&self) -> u32 {
        let need =
            |peer: &PeerSettings| peer.overhead(self.trailer) + SUBHEADER_BYTES + peer.profile.state_bytes();
        let least = self.peers.iter().map(need).max().unwrap_or(0);
        u32::try_from(least).unwrap_or(u32::MAX)
    }

    /// Whether there may be more nodes than this one and another.
    pub(crate) fn has_third_node(&self) -> bool {
        self.peers.iter().map(PeerSettings::nodes).fold(0, usize::saturating_add) > 1
    }

    /// With room for the delete of every state of a lane: while nothing can be sent, only states end that peers were told
    /// of before, so none of their deletes is lost.
    pub(crate) fn with_delete_capacity(self, states: u32) -> Self {
        let max_deletes = self.max_deletes.max(states.min(MAX_DELETES));
        Self { max_deletes, ..self }
    }

    /// Tests the ranges.
    ///
    /// # Errors
    /// [`Error::Setting`] or [`Error::Invalid`], with the setting's name.
    pub fn check(&self) -> Result<(), Error> {
        if !self.enabled || self.peers.is_empty() {
            return Ok(());
        }
        if self.host_id == 0 {
            return Err(Error::Invalid { name: "host_id", reason: "0 is no host" });
        }
        let least = self.min_mtu();
        for mtu in self.peers.iter().map(|peer| self.mtu_of(peer)) {
            check_range("mtu", mtu as u64, least.into(), 65_535)?;
        }
        for peer in &self.peers {
            let families = (peer.transport.source, peer.transport.destination);
            if !matches!(families, (Address::V4(_), Address::V4(_)) | (Address::V6(_), Address::V6(_))) {
                return Err(Error::Invalid {
                    name: "peer",
                    reason: "source and destination are of two families",
                });
            }
        }
        check_range("deletes", self.max_deletes.into(), 1, MAX_DELETES.into())?;
        check_range("requests", self.max_requests.into(), 1, 1 << 20)?;
        check_range("bulk_frames", self.bulk_frames.into(), 1, 4096)?;
        check_range("bulk_interval", self.bulk_interval, 1, 1000 * MILLISECOND)?;
        check_range("defer_delay", self.defer.delay, 0, 1000 * MILLISECOND)?;
        check_range("max_defer", self.defer.max_states.into(), 1, 4096)?;
        check_range("bulk_retry", self.bulk_retry.interval, MILLISECOND, 60_000 * MILLISECOND)?;
        check_range("bulk_attempts", self.bulk_retry.attempts.into(), 1, 1000)?;
        check_range("bulk_progress", self.bulk_retry.progress_timeout, MILLISECOND, 60_000 * MILLISECOND)?;
        check_range("bulk_whole", self.bulk_retry.total_timeout, MILLISECOND, 86_400_000 * MILLISECOND)?;
        check_range("min_bulk_interval", self.min_bulk_interval, 0, 60_000 * MILLISECOND)?;
        check_range("grace", self.grace.duration, 0, 86_400_000 * MILLISECOND)?;
        check_range("min_age", self.filter.min_age, 0, 3_600_000 * MILLISECOND)?;
        check_range("insert_age", self.insert_age, 0, 10_000 * MILLISECOND)?;
        check_range("update_age", self.update_age, 0, 60_000 * MILLISECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(profile: Profile, mtu: u32) -> SyncSettings {
        let mut settings = SyncSettings { host_id: 1, mtu, ..SyncSettings::default() };
        settings.peers.push(PeerSettings::group(profile, Address::V4([10, 0, 0, 1])));
        settings
    }

    #[test]
    fn an_mtu_without_room_for_one_state_is_refused_with_the_least_one() {
        for (profile, least) in [
            (Profile::OpenBsd6, 20 + 20 + 4 + 264u32),
            (Profile::FreeBsd1301, 20 + 20 + 4 + 242 + 4),
            (Profile::FreeBsd1500, 20 + 20 + 4 + 360 + 4),
        ] {
            assert_eq!(with(profile, least).check(), Ok(()));
            let refused = with(profile, least - 1).check();
            assert!(
                matches!(refused, Err(Error::Setting { name: "mtu", min: n, .. }) if n == u64::from(least))
            );
        }
    }

    #[test]
    fn without_peers_nothing_is_refused() {
        assert_eq!(SyncSettings { mtu: 0, ..SyncSettings::default() }.check(), Ok(()));
    }

    #[test]
    fn a_peer_of_two_families_is_refused() {
        let mut settings = with(Profile::FreeBsd1400, 1500);
        settings.peers[0].transport.destination = GROUP_V6;
        assert!(matches!(settings.check(), Err(Error::Invalid { name: "peer", .. })));
    }
}
