//! The configuration of an election group.

use super::Error;
use super::codec::carp::MAX_PASSPHRASE;
use super::codec::frame::Mac;
use super::codec::vrrp::{ChecksumManner, MAX_ADDRESSES, MAX_INTERVAL};
use super::rank::{Dialect, MAX_SKEW};
use crate::error::check_range;
use crate::memory::Memory;
use core::net::IpAddr;
use zeroize::Zeroizing;

/// Maximum number of members of a group.
pub const MAX_MEMBERS: usize = 32;
/// Maximum number of peers of a member.
const MAX_PEERS: usize = 16;
/// Shortest interval of VRRP: one hundredth of a second.
const MIN_VRRP_US: u64 = 10_000;

/// How a backup judges silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// On all members and the sync link if the peer says hello there, else as BSD: on any member.
    #[default]
    Automatic,
    /// On all members and the sync link.
    All,
    /// On any member.
    Any,
}

/// Which MAC address the shared addresses have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MacMode {
    /// The virtual one, which moves with the role. For switches that learn, and pf peers.
    #[default]
    Virtual,
    /// The virtual one, but adverts come from the port's own: for ports that drop frames whose source is an address of theirs.
    VirtualAdvertsFromOwn,
    /// The port's own. For clouds, hypervisors that forbid other addresses, and ucarp.
    Own,
}

/// One interface and one family of a group.
#[derive(Clone, Debug)]
pub struct MemberConfig {
    /// The host's number of the port.
    pub port: u16,
    /// The VLAN, 0 for none.
    pub vlan: u16,
    /// The group's id on this network (CARP: vhid, VRRP: VRID), 1 to 255.
    pub id: u8,
    /// The port's own MAC address.
    pub own_mac: Mac,
    /// This node's own address there: what adverts come from. IPv6: link-local. Its family is the member's.
    pub own_address: IpAddr,
    /// The addresses that the group shares, of the member's family.
    pub addresses: Vec<IpAddr>,
    /// The other nodes' own addresses, for unicast. None: multicast, from anybody.
    pub peers: Vec<IpAddr>,
    /// CARP's pass-phrase, at most 19 bytes. It is wiped from memory when it is no longer needed.
    pub passphrase: Zeroizing<Vec<u8>>,
}

/// The configuration of a group: addresses on several interfaces, of both families, that change master together.
#[derive(Clone, Debug)]
pub struct ElectionConfig {
    /// Protocol and rules.
    pub dialect: Dialect,
    /// Whether a better node takes over from a live master, once it has all states. It is the better node's setting.
    pub preempt: bool,
    /// For how long it must have had all states before, in milliseconds.
    pub preempt_delay_ms: u32,
    /// How silence is judged.
    pub silence: Silence,
    /// Which MAC address the shared addresses have.
    pub mac: MacMode,
    /// How VRRP's checksum over IPv4 is computed.
    pub checksum: ChecksumManner,
    /// Whether VRRP adverts must list our addresses.
    pub check_addresses: bool,
    /// 1 to 254, higher is better. CARP's `advskew` is 254 less it.
    pub priority: u8,
    /// Microseconds between adverts. VRRP: 10 ms to 40.95 s. CARP: whole seconds up to 254; OpenBSD also below one.
    pub interval_us: u32,
    /// Adverts that announce a shorter interval are refused.
    pub min_interval_us: u32,
    /// How long to listen at least after the start and after a link came up, in milliseconds.
    pub start_hold_ms: u32,
    /// How often the master announces its addresses again, in milliseconds; 0 for never.
    pub announce_every_ms: u32,
    /// VRRP: how much a member that is down takes from the priority.
    pub link_weight: u32,
    /// The number of the group in hellos.
    pub group: u32,
    /// The members.
    pub members: Vec<MemberConfig>,
    /// The allocator of everything that the election keeps.
    pub memory: Memory,
}

impl Default for ElectionConfig {
    fn default() -> Self {
        Self {
            dialect: Dialect::Vrrp3,
            preempt: false,
            preempt_delay_ms: 0,
            silence: Silence::default(),
            mac: MacMode::default(),
            checksum: ChecksumManner::WithPseudoHeader,
            check_addresses: true,
            priority: 100,
            interval_us: 1_000_000,
            min_interval_us: 5000,
            start_hold_ms: 0,
            announce_every_ms: 60_000,
            link_weight: 20,
            group: 0,
            members: Vec::new(),
            memory: Memory::SYSTEM,
        }
    }
}

const fn invalid(name: &'static str, reason: &'static str) -> Error {
    Error::Invalid { name, reason }
}

impl ElectionConfig {
    /// Checks all settings.
    ///
    /// # Errors
    /// The first setting that is wrong, by the name that it has in `pfplane_election_config`.
    pub fn check(&self) -> Result<(), Error> {
        check_range("priority", self.priority.into(), 1, 254)?;
        check_range("member_count", self.members.len() as u64, 1, MAX_MEMBERS as u64)?;
        self.check_interval()?;
        for (index, member) in self.members.iter().enumerate() {
            self.check_member(member)
                .and_then(|()| check_beside(member, &self.members[..index]))
                .map_err(|error| error.in_element("members", index))?;
        }
        Ok(())
    }

    /// Returns what an interval below one second adds to CARP's skew, whose base is 0 then.
    pub(super) fn subsecond_skew(&self) -> u8 {
        if self.dialect != Dialect::OpenBsd || self.interval_us >= 1_000_000 {
            return 0;
        }
        (u64::from(self.interval_us) * 256).div_ceil(1_000_000).min(MAX_SKEW.into()) as u8
    }

    fn check_interval(&self) -> Result<(), Error> {
        let interval = u64::from(self.interval_us);
        if self.dialect == Dialect::Vrrp3 {
            check_range("interval_us", interval, MIN_VRRP_US, u64::from(MAX_INTERVAL) * 10_000)?;
            return if interval.is_multiple_of(10_000) {
                Ok(())
            } else {
                Err(invalid("interval_us", "VRRP counts whole hundredths of a second"))
            };
        }
        let min = if self.dialect == Dialect::OpenBsd { 1_000_000 / 256 } else { 1_000_000 };
        check_range("interval_us", interval, min, 254_000_000)?;
        if interval > 1_000_000 && !interval.is_multiple_of(1_000_000) {
            return Err(invalid("interval_us", "CARP counts whole seconds above one second"));
        }
        Ok(())
    }

    fn check_member(&self, member: &MemberConfig) -> Result<(), Error> {
        check_range("id", member.id.into(), 1, 255)?;
        check_range("vlan", member.vlan.into(), 0, 4094)?;
        check_range("address_count", member.addresses.len() as u64, 1, MAX_ADDRESSES as u64)?;
        check_range("peer_count", member.peers.len() as u64, 0, MAX_PEERS as u64)?;
        if member.passphrase.len() > MAX_PASSPHRASE {
            return Err(invalid("passphrase", "has more than 19 bytes"));
        }
        let own = member.own_address;
        for (name, list) in [("addresses", &member.addresses), ("peers", &member.peers)] {
            if let Some(other) = list.iter().find(|address| address.is_ipv4() != own.is_ipv4()) {
                return Err(unusable(name, *other, "is not of the family of own_address"));
            }
            if let Some(address) = list.iter().find(|address| is_unusable(**address)) {
                return Err(unusable(name, *address, "is no host's address"));
            }
            if list.contains(&own) {
                return Err(unusable(name, own, "is own_address"));
            }
        }
        if is_unusable(own) {
            return Err(unusable("own_address", own, "is no host's address"));
        }
        if matches!(own, IpAddr::V6(own) if !own.is_unicast_link_local()) {
            return Err(unusable("own_address", own, "is not link-local, as over IPv6 it must be"));
        }
        let mac = member.own_mac;
        if mac == [0; 6] || mac[0] & 1 != 0 {
            return Err(invalid("own_mac", "must be a unicast address"));
        }
        if self.dialect == Dialect::Vrrp3 && !member.passphrase.is_empty() {
            return Err(invalid("passphrase", "VRRP version 3 has no authentication"));
        }
        Ok(())
    }
}

impl MemberConfig {
    pub(super) const fn family(&self) -> u8 {
        if self.own_address.is_ipv4() { 4 } else { 6 }
    }
}

const fn unusable(name: &'static str, address: IpAddr, reason: &'static str) -> Error {
    Error::Address { name, address, reason }
}

/// Checks a member against those before it.
fn check_beside(member: &MemberConfig, earlier: &[MemberConfig]) -> Result<(), Error> {
    for other in earlier {
        if let Some(address) = other.addresses.iter().find(|address| member.addresses.contains(address)) {
            return Err(unusable("addresses", *address, "belongs to another member"));
        }
        if (other.port, other.vlan) != (member.port, member.vlan) {
            continue;
        }
        if other.family() == member.family() {
            return Err(invalid("own_address", "another member has this port, VLAN and family"));
        }
        if other.id == member.id && other.passphrase != member.passphrase {
            return Err(invalid(
                "passphrase",
                "differs from the other family's, whose id and network are the same",
            ));
        }
    }
    Ok(())
}

fn is_unusable(address: IpAddr) -> bool {
    address.is_unspecified() || address.is_multicast() || address == IpAddr::from([255; 4])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A member with the `node`'s own address on network `port`.
    pub(in crate::election) fn member(node: u8, port: u16, v6: bool) -> MemberConfig {
        let (own, shared) = if v6 {
            (format!("fe80::{port}:{node}"), format!("2001:db8:{port}::1"))
        } else {
            (format!("10.0.{port}.{node}"), format!("10.0.{port}.100"))
        };
        MemberConfig {
            port,
            vlan: 0,
            id: 7,
            own_mac: [2, 0, 0, 0, port as u8, node],
            own_address: own.parse().unwrap(),
            addresses: vec![shared.parse().unwrap()],
            peers: Vec::new(),
            passphrase: Zeroizing::default(),
        }
    }

    fn refused(change: impl FnOnce(&mut ElectionConfig)) -> String {
        let members = vec![member(1, 0, false), member(1, 0, true), member(1, 1, false)];
        let mut config = ElectionConfig { members, ..ElectionConfig::default() };
        config.check().expect("right before the change");
        change(&mut config);
        config.check().expect_err("a wrong setting").to_string()
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        type Change = fn(&mut ElectionConfig);
        let cases: &[(&str, Change)] = &[
            ("priority is 0, it must be from 1 to 254", |config| config.priority = 0),
            ("priority", |config| config.priority = 255),
            ("member_count", |config| config.members.clear()),
            ("interval_us", |config| config.interval_us = 9999),
            ("interval_us", |config| config.interval_us = 15_000),
            ("interval_us", |config| config.interval_us = 41_000_000),
            ("interval_us", |config| (config.dialect, config.interval_us) = (Dialect::FreeBsd, 500_000)),
            ("interval_us", |config| (config.dialect, config.interval_us) = (Dialect::OpenBsd, 1_500_000)),
            ("members[0]: id", |config| config.members[0].id = 0),
            ("members[0]: vlan", |config| config.members[0].vlan = 4095),
            ("members[2]: address_count", |config| config.members[2].addresses.clear()),
            ("members[0]: addresses: 2001:db8::1 is not of the family of own_address", |config| {
                config.members[0].addresses = config.members[1].addresses.clone();
            }),
            ("members[2]: addresses: 10.0.0.100 belongs to another member", |config| {
                config.members[2].addresses = config.members[0].addresses.clone();
            }),
            ("members[0]: addresses: 224.0.0.1", |config| {
                config.members[0].addresses = vec![[224, 0, 0, 1].into()];
            }),
            ("members[0]: own_address: 0.0.0.0", |config| config.members[0].own_address = [0; 4].into()),
            ("members[1]: own_address: 2001:db8::5 is not link-local", |config| {
                config.members[1].own_address = "2001:db8::5".parse().unwrap();
            }),
            ("members[0]: addresses: 10.0.0.100 is own_address", |config| {
                config.members[0].own_address = config.members[0].addresses[0];
            }),
            ("members[0]: own_mac", |config| config.members[0].own_mac = [1, 0, 0, 0, 0, 0]),
            ("members[0]: peers: 10.0.0.1 is own_address", |config| {
                config.members[0].peers = vec![config.members[0].own_address];
            }),
            ("members[0]: passphrase", |config| {
                config.members[0].passphrase = Zeroizing::new(vec![b'x']);
            }),
            ("members[0]: passphrase: has more than 19 bytes", |config| {
                config.dialect = Dialect::FreeBsd;
                config.members[0].passphrase = Zeroizing::new(vec![b'x'; 20]);
            }),
            ("members[1]: passphrase: differs from the other family's", |config| {
                config.dialect = Dialect::FreeBsd;
                config.members[0].passphrase = Zeroizing::new(vec![b'x']);
            }),
            ("members[2]: own_address: another member", |config| config.members[2].port = 0),
        ];
        for (name, change) in cases {
            let text = refused(*change);
            assert!(text.starts_with(name), "{name}: {text}");
        }
    }
}
