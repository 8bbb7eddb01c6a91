//! Peers
//!
//! A peer is another node that holds the same states. Fill one struct per peer and pass them in `pfplane_config.peers`.

use super::super::{
    Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_SETTING, PFPLANE_OK, check_size, elements, guard, put,
    unknown,
};
use super::convert::setting;
use super::seal::{PFPLANE_SEAL_OFF, peer_seal, pfplane_seal_key};
use crate::memory::try_list;
use crate::seal::{MAX_KEYS, SealMode};
use crate::state::IfName;
use crate::sync::{InterfacePair, MAX_SOURCES, PeerSettings, UnsealedRights};
use core::mem::MaybeUninit;
use pfsync::envelope::{Address, GROUP_V4, GROUP_V6};
use pfsync::link::{Ethernet, multicast};
use pfsync::{IcmpPorts, Profile, name_bytes};

// enum pfplane_profile: The dialect of pfsync that a peer speaks.
/// OpenBSD, and pfplane nodes among each other: pfsync version 6.
pub const PFPLANE_PROFILE_OPENBSD6: u32 = 1;
/// FreeBSD 13 and older: pfsync version 5, states of 242 bytes.
pub const PFPLANE_PROFILE_FREEBSD1301: u32 = 2;
/// FreeBSD 14: pfsync version 5, states of 277 bytes.
pub const PFPLANE_PROFILE_FREEBSD1400: u32 = 3;
/// FreeBSD 15: pfsync version 5, states of 360 bytes.
pub const PFPLANE_PROFILE_FREEBSD1500: u32 = 4;

/// `pfplane_peer.tos`: the default of the address family, 0x10 (low delay) for IPv4 and 0 for IPv6.
pub const PFPLANE_TOS_DEFAULT: u32 = 256;

/// An IP address.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_address {
    /// 4, 6, or 0 for no address.
    pub family: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// Network order; IPv4 in the first 4 bytes.
    pub bytes: [u8; 16],
}

/// One network that two nodes know under different interface names.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_interface_names {
    /// Our name, NUL-terminated.
    pub ours: [u8; 16],
    /// The peer's name, NUL-terminated.
    pub theirs: [u8; 16],
}

/// One peer: its dialect, and the addresses of the frames that are sent to it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_peer {
    /// sizeof(struct pfplane_peer).
    pub size: u32,
    /// PFPLANE_PROFILE_*. Default PFPLANE_PROFILE_OPENBSD6.
    pub profile: u32,
    /// Our address on the sync link. Required.
    pub source: pfplane_address,
    /// The peer's address, or a multicast group. Default: none, which means pfsync's group of the source's family.
    pub destination: pfplane_address,
    /// Accepts frames as this peer's only from these addresses and from `destination`. Default `NULL`: only from
    /// `destination`; if that is a multicast group, from any address. List the nodes of a group that others can reach.
    pub sources: *const pfplane_address,
    /// Interfaces that the peer knows by another name. Default `NULL`.
    pub interface_names: *const pfplane_interface_names,
    /// Elements of `sources`: 0 to 8. Default 0.
    pub source_count: u32,
    /// Elements of `interface_names`: 0 to 256. Default 0.
    pub interface_name_count: u32,
    /// Longest IP packet to this peer, in bytes. Default 0: `pfplane_config.mtu`.
    pub mtu: u32,
    /// IPv4 TOS or IPv6 traffic class: 0 to 255, or PFPLANE_TOS_DEFAULT. Default PFPLANE_TOS_DEFAULT.
    pub tos: u32,
    /// VLAN of the sync port, 1 to 4094, used with `ethernet` only. Frames of another VLAN are not received (`badvlan`).
    /// Default 0: untagged.
    pub vlan: u16,
    /// 1: frames start with an Ethernet header made of the two addresses below. 0: with the IP header. Default 0.
    pub ethernet: u8,
    /// How the peer keys ICMP states. 0: by identifier and type, as all current systems. 1: by identifier only, as FreeBSD
    /// before 13.3-p5 and 14.1-p3 (FreeBSD-SA-24:05); PFPLANE_PROFILE_FREEBSD1301 and _FREEBSD1400 only. Received states
    /// may have either form. Default 0.
    pub icmp_id_twice: u8,
    /// Our Ethernet address. Frames to another one, except to the multicast group's or to all, are not received (`badmac`).
    /// Required with `ethernet` unless `destination` is a group.
    pub ethernet_source: [u8; 6],
    /// The peer's Ethernet address. Default all zero: that of the multicast group in `destination`.
    pub ethernet_destination: [u8; 6],
    /// 1: the peer is a pfplane node with this setting. The host's own bytes of states (`pfplane_state_options.opaque`), and
    /// fields of FreeBSD's states that `profile` lacks, and hellos of elections (pfplane_election_greet) are sent to it behind the
    /// frame's length, where pf ignores them, and accepted from it. Frames to it are numbered: it finds lost ones and requests their
    /// contents, and doubled ones are dropped. A silent lane sends it an empty frame each second. Default 0.
    pub extensions: u8,
    /// PFPLANE_SEAL_*. A sealed peer is one pfplane node: `destination` or the only element of `sources` is its address, and it has
    /// `extensions` whatever that says. PFPLANE_SEAL_ENCRYPT needs `extensions` to be set: a stock pf system would see empty frames.
    /// Default PFPLANE_SEAL_OFF.
    pub seal: u8,
    /// PFPLANE_UNSEALED_*, a sum of bits. What it may do without a seal once another peer is sealed: anybody on the link can send in
    /// the name of a peer without a seal. Default PFPLANE_UNSEALED_INSERT | PFPLANE_UNSEALED_UPDATE.
    pub unsealed_may: u8,
    /// Elements of `seal_keys`: 0 to 4; at least 1 for a sealed peer. Default 0.
    pub seal_key_count: u8,
    /// Zero.
    pub reserved: [u8; 4],
    /// The keys that this node and the peer share, the preferred one first. Default `NULL`.
    pub seal_keys: *const pfplane_seal_key,
}

const NO_ADDRESS: pfplane_address = pfplane_address { family: 0, reserved: [0; 3], bytes: [0; 16] };

/// Fills `peer_out` with the defaults. The caller then sets at least `source`.
///
/// Parameters: `size`, sizeof(struct pfplane_peer).
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SIZE when the caller was compiled with another header; PFPLANE_ERROR_NULL.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_peer_init(peer_out: Option<&mut MaybeUninit<pfplane_peer>>, size: u32) -> i32 {
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
            tos: PFPLANE_TOS_DEFAULT,
            vlan: 0,
            ethernet: 0,
            icmp_id_twice: 0,
            ethernet_source: [0; 6],
            ethernet_destination: [0; 6],
            extensions: 0,
            seal: PFPLANE_SEAL_OFF as u8,
            unsealed_may: UnsealedRights::default().0,
            seal_key_count: 0,
            reserved: [0; 4],
            seal_keys: core::ptr::null(),
        };
        put(peer_out, "peer_out", peer)?;
        Ok(PFPLANE_OK)
    })
}

/// An interface name as it is compared: nothing after its NUL.
pub(super) fn interface(field: &[u8; 16], what: &str) -> Result<IfName, Failure> {
    let Some(name) = name_bytes(field).filter(|name| !name.is_empty()) else {
        let text = format_args!("{what} is empty or has no NUL in its 16 bytes");
        return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
    };
    let mut clean = [0; 16];
    clean[..name.len()].copy_from_slice(name);
    Ok(clean)
}

impl pfplane_address {
    pub(in super::super) fn address(&self, name: &str) -> Result<Option<Address>, Failure> {
        let [a, b, c, d, ..] = self.bytes;
        match self.family {
            0 => Ok(None),
            4 => Ok(Some(Address::V4([a, b, c, d]))),
            6 => Ok(Some(Address::V6(self.bytes))),
            other => Err(unknown(format_args!("{name}.family"), other)),
        }
    }
}

/// The profile with a number of `enum pfplane_profile`.
pub(in super::super) fn profile_of(name: &str, number: u32) -> Result<Profile, Failure> {
    match number {
        PFPLANE_PROFILE_OPENBSD6 => Ok(Profile::OpenBsd6),
        PFPLANE_PROFILE_FREEBSD1301 => Ok(Profile::FreeBsd1301),
        PFPLANE_PROFILE_FREEBSD1400 => Ok(Profile::FreeBsd1400),
        PFPLANE_PROFILE_FREEBSD1500 => Ok(Profile::FreeBsd1500),
        other => Err(unknown(name, other)),
    }
}

/// The convention for ICMP states that a setting stands for.
pub(in super::super) fn icmp_ports(name: &str, icmp_id_twice: u8) -> Result<IcmpPorts, Failure> {
    match icmp_id_twice {
        0 => Ok(IcmpPorts::IdentifierAndType),
        1 => Ok(IcmpPorts::IdentifierTwice),
        other => Err(unknown(name, other)),
    }
}

/// The number of a profile in `enum pfplane_profile`.
pub(in super::super) const fn profile_number(profile: Profile) -> u32 {
    match profile {
        Profile::OpenBsd6 => PFPLANE_PROFILE_OPENBSD6,
        Profile::FreeBsd1301 => PFPLANE_PROFILE_FREEBSD1301,
        Profile::FreeBsd1400 => PFPLANE_PROFILE_FREEBSD1400,
        Profile::FreeBsd1500 => PFPLANE_PROFILE_FREEBSD1500,
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
    /// `sources`, `interface_names` and `seal_keys` are NULL or have as many elements as the struct says.
    pub(super) unsafe fn settings(&self) -> Result<PeerSettings, Failure> {
        let profile = profile_of("peer.profile", self.profile)?;
        let (source, destination) = self.addresses()?;
        let mut settings = PeerSettings::new(profile, source, destination);
        if self.tos != PFPLANE_TOS_DEFAULT {
            settings.transport.tos = setting("peer.tos", self.tos.into(), 0, 255)? as u8;
        }
        settings.mtu = self.mtu;
        settings.extensions = match self.extensions {
            0 => false,
            1 => true,
            other => return Err(unknown("peer.extensions", other)),
        };
        let count = setting("peer.seal_key_count", self.seal_key_count.into(), 0, MAX_KEYS as u64)? as u8;
        // SAFETY: the count, the array and the keys' lengths are the struct's own.
        settings.seal = unsafe { peer_seal(self.seal, self.unsealed_may, self.seal_keys, count) }?;
        if settings.seal.mode == SealMode::Encrypt && !settings.extensions {
            let text = "peer.seal: a stock pf system reads nothing of an encrypted frame; set peer.extensions for a pfplane node";
            return Err(Failure::new(PFPLANE_ERROR_SETTING, text));
        }
        settings.extensions |= settings.seal.is_on();
        settings.icmp_ports = icmp_ports("peer.icmp_id_twice", self.icmp_id_twice)?;
        settings.ethernet = self.ethernet()?;
        let count = setting("peer.source_count", self.source_count.into(), 0, MAX_SOURCES as u64)? as u32;
        // SAFETY: `count` is the struct's own count of this array.
        for source in unsafe { elements(self.sources, count, "peer.sources") }? {
            settings.sources.extend(source.address("peer.sources")?);
        }
        let count = setting("peer.interface_name_count", self.interface_name_count.into(), 0, 256)? as u32;
        // SAFETY: here too, the count and the array are the struct's own pair.
        let names = unsafe { elements(self.interface_names, count, "peer.interface_names") }?;
        let no_name = InterfacePair { ours: [0; 16], theirs: [0; 16] };
        settings.interfaces = try_list(names.len(), no_name)?;
        for (pair, names) in settings.interfaces.iter_mut().zip(names) {
            let ours = interface(&names.ours, "peer.interface_names.ours")?;
            let theirs = interface(&names.theirs, "peer.interface_names.theirs")?;
            *pair = InterfacePair { ours, theirs };
        }
        Ok(settings)
    }

    fn ethernet(&self) -> Result<Option<Ethernet>, Failure> {
        match self.ethernet {
            0 => return Ok(None),
            1 => {}
            other => return Err(unknown("peer.ethernet", other)),
        }
        let vlan = match setting("peer.vlan", self.vlan.into(), 0, 4094)? {
            0 => None,
            vlan => Some(vlan as u16),
        };
        let (_, destination) = self.addresses()?;
        if self.ethernet_source == [0; 6] && multicast(destination).is_none() {
            let text = "peer.ethernet_source is missing, and the destination is not a group";
            return Err(Failure::new(PFPLANE_ERROR_SETTING, text));
        }
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
