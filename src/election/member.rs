//! A member of a group: one interface and one family. Reads and writes its adverts, and counts what it refuses by cause.

use super::codec::carp::{self, Authenticator};
use super::codec::frame::{self, Frame, Mac, Path, multicast_mac};
use super::codec::vrrp;
use super::config::{ElectionConfig, MacMode, MemberConfig};
use super::counters::MemberCounters;
use super::event::{EventKind, Refusal};
use super::rank::{Advertised, Dialect, Rank, Timing};
use super::shared::Addresses;
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::time::{NANOS_PER_SECOND, Nanos};
use core::net::IpAddr;
use core::ops::Range;

/// Adverts a second that are looked at. A digest takes a microsecond; more than these are refused unread.
const MAX_ADVERTS_A_SECOND: u32 = 1000;
/// How many more may have been queued during a pause of this node.
const MAX_BACKLOG: u32 = 10_000;
/// A member whose adverts could not be sent this often in a row is at fault.
const MAX_SEND_FAILURES: u32 = 3;
/// Names the memory in errors.
const WHAT: &str = "members of an election";
const TOS_CARP: u8 = 0x10;
const TOS_VRRP: u8 = 0xc0;

/// A valid advert of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceivedAdvert {
    pub(super) rank: Rank,
    /// Time between the sender's adverts.
    pub(super) interval: Nanos,
    /// Whether the sender leaves.
    pub(super) farewell: bool,
    /// CARP by FreeBSD's rules, which counts up: it repeats the counter of the advert before with another rank.
    pub(super) repeats_counter: bool,
    pub(super) source: IpAddr,
}

/// Settings that all members share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) dialect: Dialect,
    pub(super) mac: MacMode,
    pub(super) checksum: vrrp::ChecksumManner,
    pub(super) check_addresses: bool,
    pub(super) min_interval: Nanos,
    /// CARP: seconds. VRRP: hundredths of a second.
    pub(super) base: u16,
}

impl Rules {
    pub(super) fn new(config: &ElectionConfig) -> Self {
        let base = match config.dialect {
            Dialect::Vrrp3 => config.interval_us / 10_000,
            Dialect::OpenBsd | Dialect::FreeBsd => config.interval_us / 1_000_000,
        };
        Self {
            dialect: config.dialect,
            mac: config.mac,
            checksum: config.checksum,
            check_addresses: config.check_addresses,
            min_interval: u64::from(config.min_interval_us) * 1000,
            base: base as u16,
        }
    }
}

/// What an advert says of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// This rank.
    Rank(Advertised),
    /// It leaves.
    Farewell,
}

/// A member's configuration and what it knows.
pub(super) struct Member {
    pub(super) port: u16,
    pub(super) vlan: u16,
    pub(super) id: u8,
    own_mac: Mac,
    own_address: IpAddr,
    pub(super) addresses: List<IpAddr>,
    peers: List<IpAddr>,
    authenticator: Authenticator,
    /// The counters of our own adverts so far: one random number a run, as OpenBSD has it, or counted up from it, as FreeBSD
    /// does.
    own_counters: Range<u64>,
    /// Counter and rank of the last advert.
    last: Option<(u64, Rank)>,
    pub(super) counters: MemberCounters,
    window: (Nanos, u32),
    /// How many this second may have instead, after a pause of this node; 0 for none.
    backlog: u32,
    /// When the last valid advert of another master came.
    pub(super) last_received: Nanos,
    /// Who sent it.
    pub(super) last_source: Option<IpAddr>,
    /// How many of the group's replacements of the master were received here too.
    pub(super) replacements: u32,
    /// Since when the link is up.
    pub(super) up_since: Option<Nanos>,
    pub(super) is_deaf: bool,
    failures_in_row: u32,
    last_failure: Nanos,
}

impl core::fmt::Debug for Member {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Member").field("port", &self.port).field("vlan", &self.vlan).finish_non_exhaustive()
    }
}

impl Member {
    /// `random` is the number of this run.
    pub(super) fn new(
        group: &ElectionConfig,
        config: &MemberConfig,
        random: u64,
        heap: Heap,
    ) -> Result<Self, Error> {
        // Each member has a counter of its own, so that the advert of one is never taken for another's.
        let counter = random.rotate_left(u32::from(config.port) + 8)
            ^ (u64::from(config.vlan) << 8 | u64::from(config.family()));
        Ok(Self {
            port: config.port,
            vlan: config.vlan,
            id: config.id,
            own_mac: config.own_mac,
            own_address: config.own_address,
            addresses: heap.copy_of(WHAT, &config.addresses)?,
            peers: heap.copy_of(WHAT, &config.peers)?,
            authenticator: authenticator(group, config, heap)?,
            own_counters: counter..counter,
            last: None,
            counters: MemberCounters::default(),
            window: (0, 0),
            backlog: 0,
            last_received: 0,
            last_source: None,
            replacements: 0,
            up_since: None,
            is_deaf: false,
            failures_in_row: 0,
            last_failure: 0,
        })
    }

    pub(super) fn is_v4(&self) -> bool {
        self.own_address.is_ipv4()
    }

    pub(super) fn own_address(&self) -> IpAddr {
        self.own_address
    }

    pub(super) fn is_up(&self) -> bool {
        self.up_since.is_some()
    }

    /// Whether both have one id on one network, and so one digest.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        (self.port, self.vlan, self.id) == (other.port, other.vlan, other.id)
    }

    /// Whether a CARP advert has the counter of one that this member has sent.
    pub(super) fn has_sent(&self, payload: &[u8]) -> bool {
        carp::parse(payload).is_ok_and(|advert| self.own_counters.contains(&advert.counter))
    }

    /// Returns the MAC address of the shared addresses.
    pub(super) fn shared_mac(&self, rules: &Rules) -> Mac {
        let family = if rules.dialect == Dialect::Vrrp3 && !self.is_v4() { 2 } else { 1 };
        if rules.mac == MacMode::Own { self.own_mac } else { [0, 0, 0x5e, 0, family, self.id] }
    }

    pub(super) fn for_forwarding(&self, rules: &Rules, heap: Heap) -> Result<Addresses, Error> {
        let shared = heap.copy_of(WHAT, &self.addresses)?;
        let (own, mac) = ((self.own_address, self.own_mac), self.shared_mac(rules));
        Ok(Addresses { port: self.port, vlan: self.vlan, own, shared, mac })
    }

    /// Reads an advert. An error has been counted; all but an advert of another group are events too.
    pub(super) fn read(
        &mut self,
        frame: &Frame<'_>,
        rules: &Rules,
        ours: bool,
        now: Nanos,
    ) -> Result<ReceivedAdvert, Option<EventKind>> {
        self.check_sender(frame)?;
        // Both protocols have the id there. Other groups must not use up the pace of this one.
        if frame.payload.get(1).is_some_and(|&id| id != self.id) {
            self.counters.badvhid += 1;
            return Err(None);
        }
        self.check_pace(now)?;
        let received = match rules.dialect {
            Dialect::Vrrp3 => self.read_vrrp(frame, rules)?,
            Dialect::OpenBsd | Dialect::FreeBsd => self.read_carp(frame, rules, ours)?,
        };
        if received.interval < rules.min_interval && !received.farewell {
            self.counters.badinterval += 1;
            return Err(refused(Refusal::Interval));
        }
        self.counters.adverts_received += 1;
        self.counters.adverts_contradicting += u64::from(received.repeats_counter);
        Ok(received)
    }

    /// Counts a frame whose headers are wrong.
    pub(super) fn count_fault(&mut self, fault: frame::Fault) -> Option<EventKind> {
        match fault {
            frame::Fault::Header => (self.counters.hdrops += 1, refused(Refusal::Header)).1,
            frame::Fault::Ttl => (self.counters.badttl += 1, refused(Refusal::Ttl)).1,
            frame::Fault::NotOurs => None,
        }
    }

    fn check_sender(&mut self, frame: &Frame<'_>) -> Result<(), Option<EventKind>> {
        if frame.source == self.own_address || frame.source_mac == self.own_mac {
            self.counters.adverts_looped += 1;
            return Err(refused(Refusal::Looped));
        }
        if frame.destination.is_multicast() != self.peers.is_empty() {
            self.counters.badmode += 1;
            return Err(Some(EventKind::WrongMode));
        }
        let is_expected = match frame.source {
            _ if !self.peers.is_empty() => {
                self.peers.contains(&frame.source) && frame.destination == self.own_address
            }
            IpAddr::V6(source) => source.is_unicast_link_local(),
            IpAddr::V4(_) => true,
        };
        if !is_expected {
            self.counters.badsource += 1;
            return Err(refused(Refusal::Source));
        }
        Ok(())
    }

    /// Allows for the adverts of a pause of `intervals`, which arrive all at once. If they counted as a flood, later ones would
    /// be refused, and a live master would seem silent.
    pub(super) fn expect_backlog(&mut self, intervals: u64, now: Nanos) {
        let adverts = u32::try_from(2 * intervals).unwrap_or(MAX_BACKLOG).min(MAX_BACKLOG);
        self.window = (now, 0);
        self.backlog = MAX_ADVERTS_A_SECOND + adverts;
    }

    fn check_pace(&mut self, now: Nanos) -> Result<(), Option<EventKind>> {
        let (start, count) = &mut self.window;
        if now.saturating_sub(*start) >= NANOS_PER_SECOND {
            (*start, *count) = (now, 0);
            self.backlog = 0;
        }
        *count += 1;
        if *count > MAX_ADVERTS_A_SECOND.max(self.backlog) {
            self.counters.adverts_limited += 1;
            return Err(refused(Refusal::Limited));
        }
        Ok(())
    }

    fn read_carp(
        &mut self,
        frame: &Frame<'_>,
        rules: &Rules,
        ours: bool,
    ) -> Result<ReceivedAdvert, Option<EventKind>> {
        let counters = &mut self.counters;
        let advert = carp::parse(frame.payload).map_err(|fault| match fault {
            carp::Fault::Length => (counters.badlen += 1, refused(Refusal::Length)).1,
            carp::Fault::Version => (counters.badver += 1, refused(Refusal::Version)).1,
            carp::Fault::Checksum => (counters.badsum += 1, refused(Refusal::Checksum)).1,
        })?;
        if ours {
            counters.adverts_looped += 1;
            return Err(refused(Refusal::Looped));
        }
        if !self.authenticator.accepts(frame.payload) {
            counters.badauth += 1;
            return Err(Some(EventKind::BadDigest));
        }
        let rank = Rank::of_carp(rules.dialect, advert.base, advert.skew, advert.demotion);
        let received = ReceivedAdvert {
            rank,
            interval: Timing::of_carp(advert.base, advert.skew).interval,
            farewell: rank.timing == Rank::CARP_FAREWELL,
            repeats_counter: rules.dialect == Dialect::FreeBsd
                && self.last.is_some_and(|(counter, known)| counter == advert.counter && known != rank),
            source: frame.source,
        };
        self.last = Some((advert.counter, rank));
        Ok(received)
    }

    fn read_vrrp(&mut self, frame: &Frame<'_>, rules: &Rules) -> Result<ReceivedAdvert, Option<EventKind>> {
        let counters = &mut self.counters;
        let read = vrrp::parse(frame.payload, frame.source, frame.destination, rules.checksum);
        let (advert, listed) = read.map_err(|fault| match fault {
            vrrp::Fault::Length => (counters.badlen += 1, refused(Refusal::Length)).1,
            vrrp::Fault::Version => (counters.badver += 1, refused(Refusal::Version)).1,
            vrrp::Fault::Checksum => (counters.badsum += 1, refused(Refusal::Checksum)).1,
            vrrp::Fault::OtherManner => {
                (counters.badsum_other_manner += 1, Some(EventKind::ChecksumOtherManner)).1
            }
        })?;
        if advert.interval == 0 {
            counters.badinterval += 1;
            return Err(refused(Refusal::Interval));
        }
        if rules.check_addresses && !vrrp::lists(&self.addresses, listed) {
            counters.badaddrs += 1;
            return Err(Some(EventKind::AddressesDiffer));
        }
        Ok(ReceivedAdvert {
            rank: Rank::of_vrrp(advert.priority),
            interval: u64::from(advert.interval) * (NANOS_PER_SECOND / 100),
            farewell: advert.priority == 0,
            repeats_counter: false,
            source: frame.source,
        })
    }

    /// Returns how many adverts a round has: one for each peer, or one to all.
    pub(super) fn receivers(&self) -> usize {
        self.peers.len().max(1)
    }

    /// Returns the unicast peer with this number.
    pub(super) fn peer(&self, receiver: usize) -> Option<IpAddr> {
        self.peers.get(receiver).copied()
    }

    /// Whether frames to this member could not be sent since `time`.
    pub(super) fn failed_since(&self, time: Nanos) -> bool {
        self.failures_in_row > 0 && self.last_failure >= time
    }

    /// Writes the advert to receiver number `receiver`. `is_last` says that it is the last one before another node is master,
    /// which must not come from the virtual MAC address. Returns its length and whether it comes from the virtual address.
    pub(super) fn write(
        &mut self,
        announced: Announced,
        rules: &Rules,
        receiver: usize,
        is_last: bool,
        out: &mut [u8],
    ) -> Option<(usize, bool)> {
        let group: IpAddr =
            if self.is_v4() { [224, 0, 0, 18].into() } else { [0xff02, 0, 0, 0, 0, 0, 0, 0x12].into() };
        let destination = self.peers.get(receiver).copied().unwrap_or(group);
        let is_virtual = rules.mac == MacMode::Virtual && !is_last;
        let mut payload = [0; 8 + 16 * vrrp::MAX_ADDRESSES];
        let length = self.write_payload(announced, rules, destination, &mut payload)?;
        let path = Path {
            vlan: self.vlan,
            source_mac: if is_virtual { self.shared_mac(rules) } else { self.own_mac },
            // The host resolves the MAC address of a unicast peer.
            destination_mac: if self.peers.is_empty() { multicast_mac(destination) } else { [0; 6] },
            source: self.own_address,
            destination,
            protocol: frame::PROTOCOL,
            tos: if rules.dialect == Dialect::Vrrp3 { TOS_VRRP } else { TOS_CARP },
        };
        let length = frame::write(&path, &payload[..length], out)?;
        self.counters.adverts_sent += 1;
        // FreeBSD counts up; a peer there continues with the number after the last one that it received.
        if rules.dialect == Dialect::FreeBsd || self.own_counters.is_empty() {
            self.own_counters.end = self.own_counters.end.saturating_add(1);
        }
        Some((length, is_virtual))
    }

    fn write_payload(
        &self,
        announced: Announced,
        rules: &Rules,
        destination: IpAddr,
        out: &mut [u8],
    ) -> Option<usize> {
        if rules.dialect == Dialect::Vrrp3 {
            let priority = match announced {
                Announced::Rank(rank) => rank.value,
                Announced::Farewell => 0,
            };
            let advert = vrrp::Advert { id: self.id, priority, interval: rules.base };
            return vrrp::write(
                &advert,
                &self.addresses,
                (self.own_address, destination),
                rules.checksum,
                out,
            );
        }
        let (base, skew, demotion) = match announced {
            Announced::Rank(rank) => (rules.base as u8, rank.value, rank.demotion),
            Announced::Farewell => (255, 255, 255),
        };
        let advert = carp::Advert { id: self.id, skew, demotion, base, counter: self.next_counter(rules) };
        out.get_mut(..carp::ADVERT_BYTES)?.copy_from_slice(&carp::write(&advert, &self.authenticator));
        Some(carp::ADVERT_BYTES)
    }

    fn next_counter(&self, rules: &Rules) -> u64 {
        if rules.dialect == Dialect::FreeBsd { self.own_counters.end } else { self.own_counters.start }
    }

    /// Counts adverts that the host could not send; those of one round, which began at `round`, count once as a failure.
    pub(super) fn count_send_failure(&mut self, frames: u32, round: Nanos, now: Nanos) {
        self.counters.adverts_not_sent += u64::from(frames);
        self.failures_in_row += u32::from(!self.failed_since(round));
        self.last_failure = now;
    }

    /// Whether the last adverts could not be sent. Ends by itself, after two intervals without a failure.
    pub(super) fn cannot_send(&mut self, interval: Nanos, now: Nanos) -> bool {
        if now.saturating_sub(self.last_failure) > 2 * interval {
            self.failures_in_row = 0;
        }
        self.failures_in_row >= MAX_SEND_FAILURES
    }
}

const fn refused(refusal: Refusal) -> Option<EventKind> {
    Some(EventKind::Refused(refusal))
}

/// Prepares a member's digests. They cover the addresses of both families with its id on its network.
fn authenticator(group: &ElectionConfig, config: &MemberConfig, heap: Heap) -> Result<Authenticator, Error> {
    let is_same =
        |other: &&MemberConfig| (other.port, other.vlan, other.id) == (config.port, config.vlan, config.id);
    let same = group.members.iter().filter(is_same);
    let mut all = heap.list(WHAT, same.clone().map(|other| other.addresses.len()).sum())?;
    same.for_each(|other| all.extend_from_slice(&other.addresses));
    let sends_link_local = group.dialect == Dialect::FreeBsd;
    Ok(Authenticator::new(&config.passphrase, config.id, &mut all, sends_link_local))
}
