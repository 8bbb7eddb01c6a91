//! What an engine is made from.

use super::engine::unknown_argument;
use super::{
    Failure, PFPLANE_ERROR_SETTING, PFPLANE_ERROR_SIZE, PFPLANE_OK, check_size, guard, pfplane_allocator,
    put, reference,
};
use crate::engine::Config;
use crate::error::Error;
use crate::state::{CLASSES, Timeouts, timeout_class};
use crate::sync::{PEERS_MOST, PeerSettings};
use crate::table::Memory;
use crate::wire::Profile;
use crate::wire::envelope::{Address, GROUP_V4, GROUP_V6, TOS_LOW_DELAY};
use crate::wire::link::{Ethernet, multicast};

/// OpenBSD: pfsync version 6.
pub const PFPLANE_PROFILE_OPENBSD6: u32 = 1;
/// FreeBSD 13 and older: pfsync version 5, states of 242 bytes.
pub const PFPLANE_PROFILE_FREEBSD1301: u32 = 2;
/// FreeBSD 14: pfsync version 5, states of 277 bytes.
pub const PFPLANE_PROFILE_FREEBSD1400: u32 = 3;
/// FreeBSD 15: pfsync version 5, states of 360 bytes.
pub const PFPLANE_PROFILE_FREEBSD1500: u32 = 4;

/// Number of timeout classes, see `pfplane_config.timeouts_s`.
pub const PFPLANE_TIMEOUTS: usize = 25;

const MILLISECOND: u64 = 1_000_000;

/// An IP address.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_address {
    /// 4, 6, or 0 for none.
    pub family: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// In network order; IPv4 in the first four bytes.
    pub bytes: [u8; 16],
}

/// One peer: the dialect it speaks, and the addresses of the frames to it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_peer {
    /// sizeof(struct pfplane_peer).
    pub size: u32,
    /// PFPLANE_PROFILE_*. Default PFPLANE_PROFILE_OPENBSD6.
    pub profile: u32,
    /// Our address on the sync link. Required.
    pub source: pfplane_address,
    /// The peer's address, or a group. Default none: the pfsync group of the source's family.
    pub destination: pfplane_address,
    /// Frames are taken only from this address. Default none: from any.
    pub expected_source: pfplane_address,
    /// Longest IP packet to this peer in bytes. Default 0: `pfplane_config.mtu`.
    pub mtu: u32,
    /// The VLAN of the sync port, 1 to 4094. Default 0: untagged. Looked at with `ethernet` only.
    pub vlan: u16,
    /// 1: frames begin with an Ethernet header made of the two addresses below. Default 0: with the IP header.
    pub ethernet: u8,
    /// TOS or traffic class. Default 0x10 (low delay) as OpenBSD and FreeBSD send it.
    pub tos: u8,
    /// Our Ethernet address.
    pub ethernet_source: [u8; 6],
    /// The peer's Ethernet address. Default all zero: derived from the destination, which is then a group.
    pub ethernet_destination: [u8; 6],
}

/// An engine's settings. pfplane_config_init fills in the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_config {
    /// sizeof(struct pfplane_config).
    pub size: u32,
    /// Lanes, one for each core that carries packets: 1 to 128. Default 1.
    pub lanes: u32,
    /// States that fit into each lane: 1 to 2^30. Default 65536.
    pub states_per_lane: u32,
    /// How many of them may be translated; more than all counts as all. Each takes a second entry of 11 bytes in the
    /// index. Default UINT32_MAX: all.
    pub translated_per_lane: u32,
    /// Our host id (creatorid). Default 0: a random one.
    pub host_id: u32,
    /// Seconds since 1970, from which state ids start. Default 0: the wall clock is read once.
    pub start_unix_s: u64,
    /// Longest IP packet on the sync link in bytes. Default 1500.
    pub mtu: u32,
    /// MTU of the sync port in bytes. Default 0: not known.
    pub device_mtu: u32,
    /// Bytes that one buffer holds (a mempool's data room less its headroom). Default 0: not known.
    pub buffer_room: u32,
    /// Milliseconds that a new or an ended state may wait for company before its frame goes: 0 to 10000. Default 10.
    pub insert_age_ms: u32,
    /// Milliseconds that an update may wait, and so the time between two of one state: 0 to 60000. Default 1000, as pf.
    pub update_age_ms: u32,
    /// Updates of a TCP state that are folded before it is sent at once (pf's maxupd): 0 to 255. Default 128.
    pub max_updates: u32,
    /// Frames of a bulk transfer that are written at once, every millisecond: 1 to 4096. Default 8.
    pub bulk_frames_per_ms: u32,
    /// The most states that a lane looks at for expiry in one pfplane_lane_poll: 1 to 1048576. Default 256. All states
    /// are looked at once in the timeout class "interval".
    pub sweep_per_poll: u32,
    /// Elements of `peers`: 0 to 8. Default 0: no replication.
    pub peer_count: u32,
    /// The peers; the step from one to the next is `peers[0].size`.
    pub peers: *const pfplane_peer,
    /// The host's allocator. Default NULL: anonymous mappings, with huge pages where there are any.
    pub allocator: *const pfplane_allocator,
    /// NUMA node of each lane, `lanes` elements, -1 for any. Default NULL: any.
    pub lane_sockets: *const i32,
    /// RSS key, 40 bytes that repeat every two. Default NULL: 6d 5a.
    pub rss_key: *const [u8; 40],
    /// The lane of each of the 128 hash values. Default NULL: in turn.
    pub redirection: *const [u8; 128],
    /// pf's timeouts in seconds, by class: tcp.first, .opening, .established, .closing, .finwait, .closed, udp.first,
    /// .single, .multiple, icmp.first, .error, other.first, .single, .multiple, frag, interval, adaptive.start and
    /// adaptive.end (in states; both 0: 60 % and 120 % of the capacity), src.track, tcp.tsdiff, sctp.first, .opening,
    /// .established, .closing, .closed. Defaults are pf's, and 0 for the adaptive two.
    pub timeouts_s: [u32; PFPLANE_TIMEOUTS],
}

const NO_ADDRESS: pfplane_address = pfplane_address { family: 0, reserved: [0; 3], bytes: [0; 16] };

/// Fills `config_out` with the defaults.
///
/// Parameters: `size`, sizeof(struct pfplane_config).
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SIZE when the caller was compiled with another header; PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `config_out` is NULL or has room for the struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_config_init(config_out: *mut pfplane_config, size: u32) -> i32 {
    guard(|| {
        check_size::<pfplane_config>(size, "config")?;
        // SAFETY: the caller promises NULL or room for the struct.
        unsafe { put(config_out, "config_out", pfplane_config::defaults()) }?;
        Ok(PFPLANE_OK)
    })
}

/// Fills `peer_out` with the defaults. The caller then sets at least `source`.
///
/// Parameters: `size`, sizeof(struct pfplane_peer).
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SIZE when the caller was compiled with another header; PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `peer_out` is NULL or has room for the struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_peer_init(peer_out: *mut pfplane_peer, size: u32) -> i32 {
    guard(|| {
        check_size::<pfplane_peer>(size, "peer")?;
        let peer = pfplane_peer {
            size,
            profile: PFPLANE_PROFILE_OPENBSD6,
            source: NO_ADDRESS,
            destination: NO_ADDRESS,
            expected_source: NO_ADDRESS,
            mtu: 0,
            vlan: 0,
            ethernet: 0,
            tos: TOS_LOW_DELAY,
            ethernet_source: [0; 6],
            ethernet_destination: [0; 6],
        };
        // SAFETY: the caller promises NULL or room for the struct.
        unsafe { put(peer_out, "peer_out", peer) }?;
        Ok(PFPLANE_OK)
    })
}

/// How many bytes an engine of this configuration asks its allocator for: to be known before a host reserves memory.
///
/// Parameters: `config` as for pfplane_engine_new.
/// Returns: PFPLANE_OK; otherwise as pfplane_engine_new.
/// Thread: any. Cost: none to speak of.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_config_memory(config: *const pfplane_config, bytes_out: *mut u64) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid configuration.
        let config = unsafe { reference(config, "config") }?;
        // SAFETY: the caller promises that what the configuration points to is valid.
        let config = unsafe { config.convert() }?;
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(bytes_out, "bytes_out", config.memory_needed()?) }?;
        Ok(PFPLANE_OK)
    })
}

fn setting(name: &'static str, value: u64, least: u64, most: u64) -> Result<u64, Failure> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(Error::Setting { name, value, least, most }.into())
}

impl pfplane_config {
    fn defaults() -> Self {
        let config = Config::default();
        let mut timeouts_s = CLASSES.map(|(_, default)| default);
        timeouts_s[usize::from(timeout_class::ADAPTIVE_START)] = 0;
        timeouts_s[usize::from(timeout_class::ADAPTIVE_END)] = 0;
        Self {
            size: size_of::<Self>() as u32,
            lanes: config.lanes,
            states_per_lane: config.states_per_lane,
            translated_per_lane: config.translated_per_lane,
            host_id: 0,
            start_unix_s: 0,
            mtu: config.sync.mtu,
            device_mtu: 0,
            buffer_room: 0,
            insert_age_ms: (config.sync.insert_age / MILLISECOND) as u32,
            update_age_ms: (config.sync.update_age / MILLISECOND) as u32,
            max_updates: config.sync.maxupd.into(),
            bulk_frames_per_ms: config.sync.bulk_frames,
            sweep_per_poll: config.sweep_per_poll,
            peer_count: 0,
            peers: core::ptr::null(),
            allocator: core::ptr::null(),
            lane_sockets: core::ptr::null(),
            rss_key: core::ptr::null(),
            redirection: core::ptr::null(),
            timeouts_s,
        }
    }

    /// The configuration as the core takes it, with everything copied.
    ///
    /// # Safety
    /// What the struct points to is valid, or NULL.
    pub(super) unsafe fn convert(&self) -> Result<Config, Failure> {
        check_size::<Self>(self.size, "config")?;
        setting("lanes", self.lanes.into(), 1, crate::engine::MOST_LANES.into())?;
        let mut config = Config {
            lanes: self.lanes,
            states_per_lane: self.states_per_lane,
            translated_per_lane: self.translated_per_lane,
            start_unix_s: self.start_unix_s,
            device_mtu: self.device_mtu,
            buffer_room: self.buffer_room,
            sweep_per_poll: self.sweep_per_poll,
            timeouts: self.timeouts()?,
            adaptive_by_capacity: self.adaptive() == (0, 0),
            ..Config::default()
        };
        config.sync.host_id = self.host_id;
        config.sync.mtu = self.mtu;
        config.sync.insert_age = u64::from(self.insert_age_ms) * MILLISECOND;
        config.sync.update_age = u64::from(self.update_age_ms) * MILLISECOND;
        config.sync.maxupd = setting("max_updates", self.max_updates.into(), 0, 255)? as u8;
        config.sync.bulk_frames = self.bulk_frames_per_ms;
        // SAFETY: the caller promises NULL or an allocator that keeps its promises.
        config.memory = unsafe { self.memory() }?;
        if !self.lane_sockets.is_null() {
            // SAFETY: not NULL; the caller promises `lanes` numbers.
            let sockets = unsafe { super::elements(self.lane_sockets, self.lanes, "lane_sockets") }?;
            config.lane_sockets = sockets.to_vec();
        }
        if !self.rss_key.is_null() {
            // SAFETY: not NULL; the caller promises 40 bytes.
            config.rss_key = *unsafe { reference(self.rss_key, "rss_key") }?;
        }
        if !self.redirection.is_null() {
            // SAFETY: not NULL; the caller promises 128 numbers.
            config.redirection = Some(*unsafe { reference(self.redirection, "redirection") }?);
        }
        for place in 0..setting("peer_count", self.peer_count.into(), 0, PEERS_MOST as u64)? as usize {
            // SAFETY: the caller promises `peer_count` peers, of which this is one.
            let peer = unsafe { self.peer(place) }?;
            config.sync.peers.push(peer.settings()?);
            config.ethernet.push(peer.ethernet()?);
        }
        Ok(config)
    }

    /// The memory source that is configured.
    ///
    /// # Safety
    /// `allocator` is NULL, or valid and keeps its promises.
    unsafe fn memory(&self) -> Result<Memory, Failure> {
        if self.allocator.is_null() {
            return Ok(Memory::SYSTEM);
        }
        // SAFETY: not NULL; the caller promises a valid allocator.
        let allocator = unsafe { reference(self.allocator, "allocator") }?;
        // SAFETY: the caller promises that it keeps its promises.
        unsafe { allocator.convert() }
    }

    /// Peer number `place`, by the caller's own step.
    ///
    /// # Safety
    /// `peers` is NULL or points to more than `place` peers of the size that the first one says.
    unsafe fn peer(&self, place: usize) -> Result<&pfplane_peer, Failure> {
        // SAFETY: the caller promises NULL or at least one peer.
        let step = unsafe { reference(self.peers, "peers") }?.size as usize;
        if step < size_of::<pfplane_peer>() {
            let text = format!("peers[0].size is {step}, this library knows {}", size_of::<pfplane_peer>());
            return Err(Failure::new(PFPLANE_ERROR_SIZE, text));
        }
        let peer = self.peers.wrapping_byte_add(place * step);
        // SAFETY: the caller promises that a peer lies at this place.
        let peer = unsafe { reference(peer, "peers") }?;
        check_size::<pfplane_peer>(peer.size, "peer")?;
        Ok(peer)
    }

    const fn adaptive(&self) -> (u32, u32) {
        let start = self.timeouts_s[timeout_class::ADAPTIVE_START as usize];
        (start, self.timeouts_s[timeout_class::ADAPTIVE_END as usize])
    }

    fn timeouts(&self) -> Result<Timeouts, Failure> {
        let mut timeouts = Timeouts::default();
        for (class, seconds) in self.timeouts_s.iter().enumerate() {
            timeouts.set(class as u8, *seconds)?;
        }
        Ok(timeouts)
    }
}

impl pfplane_address {
    pub(super) fn address(&self, name: &'static str) -> Result<Option<Address>, Failure> {
        let [a, b, c, d, ..] = self.bytes;
        match self.family {
            0 => Ok(None),
            4 => Ok(Some(Address::V4([a, b, c, d]))),
            6 => Ok(Some(Address::V6(self.bytes))),
            other => Err(unknown_argument(&format!("{name}.family"), other.into())),
        }
    }
}

impl pfplane_peer {
    fn addresses(&self) -> Result<(Address, Address), Failure> {
        let Some(source) = self.source.address("peer.source")? else {
            return Err(Failure::new(PFPLANE_ERROR_SETTING, "peer.source is missing"));
        };
        let group = match source {
            Address::V4(_) => GROUP_V4,
            Address::V6(_) => GROUP_V6,
        };
        Ok((source, self.destination.address("peer.destination")?.unwrap_or(group)))
    }

    fn settings(&self) -> Result<PeerSettings, Failure> {
        let profile = match self.profile {
            PFPLANE_PROFILE_OPENBSD6 => Profile::OpenBsd6,
            PFPLANE_PROFILE_FREEBSD1301 => Profile::FreeBsd1301,
            PFPLANE_PROFILE_FREEBSD1400 => Profile::FreeBsd1400,
            PFPLANE_PROFILE_FREEBSD1500 => Profile::FreeBsd1500,
            other => return Err(unknown_argument("peer.profile", other)),
        };
        let (source, destination) = self.addresses()?;
        let mut settings = PeerSettings::new(profile, source, destination);
        settings.transport.tos = self.tos;
        settings.mtu = self.mtu;
        settings.expected_source = self.expected_source.address("peer.expected_source")?;
        Ok(settings)
    }

    fn ethernet(&self) -> Result<Option<Ethernet>, Failure> {
        match self.ethernet {
            0 => return Ok(None),
            1 => {}
            other => return Err(unknown_argument("peer.ethernet", other.into())),
        }
        let vlan = match setting("peer.vlan", self.vlan.into(), 0, 4094)? {
            0 => None,
            vlan => Some(vlan as u16),
        };
        let (_, destination) = self.addresses()?;
        let destination = match (self.ethernet_destination, multicast(destination)) {
            ([0, 0, 0, 0, 0, 0], Some(group)) => group,
            ([0, 0, 0, 0, 0, 0], None) => {
                let text = "peer.ethernet_destination is missing, and the destination is not a group";
                return Err(Failure::new(PFPLANE_ERROR_SETTING, text));
            }
            (given, _) => given,
        };
        Ok(Some(Ethernet { destination, source: self.ethernet_source, vlan }))
    }
}
