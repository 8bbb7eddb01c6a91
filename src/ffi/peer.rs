//! Peers: who else holds the states.

use super::config::setting;
use super::engine::unknown_argument;
use super::{
    Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_SETTING, PFPLANE_OK, check_size, elements, guard, put,
};
use crate::state::IfName;
use crate::sync::{InterfacePair, MAX_SOURCES, PeerSettings};
use pfsync::envelope::{Address, GROUP_V4, GROUP_V6, TOS_LOW_DELAY};
use pfsync::link::{Ethernet, multicast};
use pfsync::{Profile, name_bytes};

/// OpenBSD: pfsync version 6.
pub const PFPLANE_PROFILE_OPENBSD6: u32 = 1;
/// FreeBSD 13 and older: pfsync version 5, states of 242 bytes.
pub const PFPLANE_PROFILE_FREEBSD1301: u32 = 2;
/// FreeBSD 14: pfsync version 5, states of 277 bytes.
pub const PFPLANE_PROFILE_FREEBSD1400: u32 = 3;
/// FreeBSD 15: pfsync version 5, states of 360 bytes.
pub const PFPLANE_PROFILE_FREEBSD1500: u32 = 4;

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

/// One network: this node's name for its interface there, and a peer's.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_interface_names {
    /// Our name, NUL-terminated.
    pub ours: [u8; 16],
    /// The peer's name, NUL-terminated.
    pub theirs: [u8; 16],
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
    /// Frames are taken only from these addresses, and what this peer may do is theirs alone. Default NULL: from any.
    pub sources: *const pfplane_address,
    /// Interfaces that the peer calls by another name. Default NULL.
    pub interface_names: *const pfplane_interface_names,
    /// Elements of `sources`: 0 to 8. Default 0.
    pub source_count: u32,
    /// Elements of `interface_names`: 0 to 256. Default 0.
    pub interface_name_count: u32,
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

const NO_ADDRESS: pfplane_address = pfplane_address { family: 0, reserved: [0; 3], bytes: [0; 16] };

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
            sources: core::ptr::null(),
            interface_names: core::ptr::null(),
            source_count: 0,
            interface_name_count: 0,
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

/// A name as it is compared: without what may stand behind its NUL.
pub(super) fn interface(field: &[u8; 16], what: &str) -> Result<IfName, Failure> {
    let Some(name) = name_bytes(field).filter(|name| !name.is_empty()) else {
        let text = format!("{what} is empty or has no NUL in its 16 bytes");
        return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
    };
    let mut clean = [0; 16];
    clean[..name.len()].copy_from_slice(name);
    Ok(clean)
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

    /// The peer as replication takes it, with everything copied.
    ///
    /// # Safety
    /// What the struct points to is valid, or NULL.
    pub(super) unsafe fn settings(&self) -> Result<PeerSettings, Failure> {
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
        let count = setting("peer.source_count", self.source_count.into(), 0, MAX_SOURCES as u64)? as u32;
        // SAFETY: the caller promises NULL or so many addresses.
        for source in unsafe { elements(self.sources, count, "peer.sources") }? {
            settings.sources.extend(source.address("peer.sources")?);
        }
        let count = setting("peer.interface_name_count", self.interface_name_count.into(), 0, 256)? as u32;
        // SAFETY: the caller promises NULL or so many names.
        for names in unsafe { elements(self.interface_names, count, "peer.interface_names") }? {
            let ours = interface(&names.ours, "peer.interface_names.ours")?;
            let theirs = interface(&names.theirs, "peer.interface_names.theirs")?;
            settings.interfaces.push(InterfacePair { ours, theirs });
        }
        Ok(settings)
    }

    pub(super) fn ethernet(&self) -> Result<Option<Ethernet>, Failure> {
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
