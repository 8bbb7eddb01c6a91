//! Settings of one peer.

use super::{MAX_SOURCES, PeerSeal};
use crate::error::Error;
use crate::seal::{ECHO_BYTES, MAX_ECHOES};
use crate::state::MAX_OPAQUE;
use crate::sync::interfaces::InterfacePair;
use crate::sync::translate::MAX_FIELD_BYTES;
use arrayvec::ArrayVec;
use pfsync::envelope::{Address, GROUP_V4, GROUP_V6, TOS_LOW_DELAY, Transport};
use pfsync::link::{Ethernet, Mac, ReceivedLink, multicast};
use pfsync::{
    HEADER_BYTES, IcmpPorts, Profile, Protection, SUBHEADER_BYTES, StateOption, TRAILER_BYTES, option_bytes,
};

/// A peer: its dialect and the addresses of its frames.
///
/// A multicast destination stands for all nodes in that group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// The dialect.
    pub profile: Profile,
    /// Our address, the peer's or the group's, and the type of service.
    pub transport: Transport,
    /// Longest IP packet towards this peer; 0 for [`super::SyncSettings::mtu`].
    pub mtu: u32,
    /// Ruleset checksum to send, zeros for none (`protocol` section 1.1).
    pub checksum: [u8; 16],
    /// The first timeout class that is invalid in the peer's messages. A FreeBSD 14 peer that is configured for
    /// version 1301 needs 25, not its profile's 20.
    pub timeout_limit: u8,
    /// The peer's convention for ICMP states. [`IcmpPorts::IdentifierTwice`] is for FreeBSD 13 and 14 systems without the
    /// fix of FreeBSD-SA-24:05.
    pub icmp_ports: IcmpPorts,
    /// Source addresses of this peer's frames, besides its destination. Empty: any address if the destination is a group.
    pub sources: ArrayVec<Address, MAX_SOURCES>,
    /// The Ethernet header of its frames; none if they start with the IP header.
    pub ethernet: Option<Ethernet>,
    /// Interfaces that have another name on the peer.
    pub interfaces: Vec<InterfacePair>,
    /// The peer is a pfplane node: trailers are sent to it and accepted from it.
    pub extensions: bool,
    /// Its seal, for pfplane nodes only.
    pub seal: PeerSeal,
}

/// Nodes of a group whose states are compared, at most, and if its nodes are not listed.
const MAX_COMPARED: usize = 4;
const MAX_COMPARED_UNLISTED: usize = 2;

/// Bytes behind a sealed frame, with the challenges that it may return.
const SEALED_BYTES: usize =
    TRAILER_BYTES + Protection::Gmac.tag_bytes() + MAX_ECHOES * option_bytes(ECHO_BYTES);

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
            icmp_ports: IcmpPorts::default(),
            sources: ArrayVec::new(),
            ethernet: None,
            interfaces: Vec::new(),
            extensions: false,
            seal: PeerSeal::default(),
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

    /// How its frames are protected.
    pub(in crate::sync) const fn protection(&self) -> Protection {
        if self.seal.is_on() { Protection::Gmac } else { Protection::None }
    }

    /// Checks that the settings of the seal fit the others.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(super) fn check_seal(&self) -> Result<(), Error> {
        let invalid = |reason| Err(Error::Invalid { name: "peer.seal", reason });
        match self.seal.is_on() {
            true if !self.extensions => invalid("only a pfplane node has a seal: set peer.extensions too"),
            true if self.max_nodes() != 1 => {
                invalid("a sealed peer is one node: give its address as destination, or as the only source")
            }
            _ => Ok(()),
        }
    }

    pub(in crate::sync) fn check_keys(&self) -> Result<(), Error> {
        self.seal.check_keys()
    }

    /// Whether its frames are sent to a multicast group.
    fn is_group(&self) -> bool {
        multicast(self.transport.destination).is_some()
    }

    /// Whether `source` is one of the addresses that this peer is known by.
    pub(in crate::sync) fn is_known_by(&self, source: Address) -> bool {
        self.sources.contains(&source) || self.transport.destination == source
    }

    /// Whether a frame from `source` may be this peer's.
    pub(in crate::sync) fn accepts(&self, source: Address) -> bool {
        self.is_known_by(source) || self.sources.is_empty() && self.is_group()
    }

    /// Whether a frame with this Ethernet destination is for us: our own address, the group's, or that of all.
    pub(in crate::sync) fn accepts_destination(&self, link: &ReceivedLink) -> bool {
        let Some(ours) = &self.ethernet else { return true };
        let group = if self.is_group() { self.transport.destination } else { self.default_group() };
        const BROADCAST: Mac = [0xff; 6];
        let is_ours = link.destination == ours.source || link.destination == BROADCAST;
        is_ours || Some(link.destination) == multicast(group)
    }

    /// Whether a frame is in the VLAN of this peer.
    pub(in crate::sync) fn accepts_vlan(&self, link: &ReceivedLink) -> bool {
        self.ethernet.is_none_or(|ours| link.is_in(ours.vlan))
    }

    /// pfsync's multicast group of our address's family.
    const fn default_group(&self) -> Address {
        match self.transport.source {
            Address::V4(_) => GROUP_V4,
            Address::V6(_) => GROUP_V6,
        }
    }

    /// Returns how many nodes behind this peer are compared.
    pub(super) fn compared_nodes(&self) -> usize {
        match self.max_nodes() {
            usize::MAX => MAX_COMPARED_UNLISTED,
            nodes => nodes.min(MAX_COMPARED),
        }
    }

    /// Maximum number of nodes behind this peer.
    pub(in crate::sync) fn max_nodes(&self) -> usize {
        let lists_destination = self.is_group() || self.sources.contains(&self.transport.destination);
        match self.sources.len() {
            0 if self.is_group() => usize::MAX,
            sources => sources + usize::from(!lists_destination),
        }
    }

    /// Whether the convention for ICMP states is one that systems with this profile have.
    pub(super) fn has_known_icmp_ports(&self) -> bool {
        let may_be_old = matches!(self.profile, Profile::FreeBsd1301 | Profile::FreeBsd1400);
        may_be_old || self.icmp_ports == IcmpPorts::IdentifierAndType
    }

    /// Whether the peer's states may have fields that are kept in a [`crate::state::Extra`].
    pub(crate) const fn has_extra(&self) -> bool {
        self.extensions || matches!(self.profile, Profile::FreeBsd1400 | Profile::FreeBsd1500)
    }

    pub(super) fn has_one_family(&self) -> bool {
        let addresses = (self.transport.source, self.transport.destination);
        matches!(addresses, (Address::V4(_), Address::V4(_)) | (Address::V6(_), Address::V6(_)))
    }

    /// Bytes of a whole state with its subheader and what follows it behind the frame.
    pub(in crate::sync) const fn state_bytes(&self) -> usize {
        const OPTIONS: usize = StateOption::bytes(MAX_OPAQUE) + StateOption::bytes(MAX_FIELD_BYTES);
        let options = if self.extensions { OPTIONS } else { 0 };
        SUBHEADER_BYTES + self.profile.state_bytes() + options
    }

    /// Bytes of an IP packet with one region, without its subheader and records.
    pub(in crate::sync) const fn overhead(&self) -> usize {
        let behind = match self.profile.version() {
            _ if self.seal.is_on() => SEALED_BYTES,
            _ if self.extensions => TRAILER_BYTES,
            pfsync::Version::V5 => SUBHEADER_BYTES,
            pfsync::Version::V6 => 0,
        };
        self.transport.encoded_len() + HEADER_BYTES + behind
    }
}
