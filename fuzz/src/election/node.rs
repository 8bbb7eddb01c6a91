//! A node of the election that is fuzzed, and until when it may forward.

use super::{MS, PORTS};
use pfplane::internals::election::{Dialect, Election, ElectionConfig, MemberCounters, Role};

/// How long a node that steps down may continue to forward, beyond the time that a backup waits after a farewell.
const HANDOVER: u64 = 50 * MS;
/// The longest such wait of CARP. Of VRRP it is an interval.
const MAX_CARP_WAIT: u64 = 250 * MS;
/// How long a node may continue to forward once it has received the next master.
const CROSSING: u64 = MS;
/// How long a node that steps down may continue once it has received the next master on one member.
const ROUND: u64 = 10 * MS;

/// A node and until when it may forward.
pub(super) struct Node {
    pub(super) election: Election,
    pub(super) config: ElectionConfig,
    pub(super) links: [bool; PORTS as usize],
    pub(super) reasons: [u32; 4],
    pub(super) has_failed: bool,
    /// Until when its adverts let it forward at most.
    pub(super) granted: u64,
    /// Until when it may forward although it is no master: 0 unless it was one.
    pub(super) crossing: u64,
    /// Members on which a node that has stepped down has not received the next master.
    pub(super) awaited: Vec<usize>,
    /// Its role and lease when it was last looked at.
    pub(super) role: Role,
    pub(super) until: u64,
}

impl Node {
    /// Notes the role, and until when a node that was master may forward.
    pub(super) fn observe(&mut self, now: u64) {
        let role = self.election.status().role;
        match (self.role, role) {
            (Role::Master, Role::Master) => {}
            // Another master was received: this one forwards what is in flight, if it still forwarded.
            (Role::Master, Role::Backup) => self.crossing = self.until.min(now + CROSSING),
            (Role::Master, _) | (_, Role::Master) => {
                self.crossing = 0;
                self.awaited.clear();
            }
            _ => {}
        }
        (self.role, self.until) = (role, self.election.forwarding().until());
    }

    /// Notes that the master steps down: it forwards until the next master is on all members, or its lease or this time ends.
    pub(super) fn hand_over(&mut self, now: u64, interval: u64) {
        let wait = if self.config.dialect == Dialect::Vrrp3 { interval } else { MAX_CARP_WAIT };
        self.crossing = self.until.min(now + wait + HANDOVER);
        let is_up = |index: &usize| self.links[usize::from(self.config.members[*index].port)];
        self.awaited = (0..self.config.members.len()).filter(is_up).collect();
        self.role = Role::Backup;
    }

    /// An advert was received: a node that has stepped down forwards what is in flight, once the next master is on all members.
    pub(super) fn note_next_master(&mut self, adverts_before: &[u64], now: u64) {
        let Some(index) =
            self.adverts_received().iter().zip(adverts_before).position(|(now, then)| now > then)
        else {
            return;
        };
        if self.awaited.is_empty() {
            return;
        }
        let is_up = |other: usize| self.links[usize::from(self.config.members[other].port)];
        self.awaited =
            self.awaited.iter().copied().filter(|other| *other != index && is_up(*other)).collect();
        let after = if self.awaited.is_empty() { CROSSING } else { ROUND };
        self.crossing = self.crossing.min(now + after);
    }

    /// Returns the number of valid adverts of each member.
    pub(super) fn adverts_received(&self) -> Vec<u64> {
        let of_member = |index| self.election.counters(index).expect("a member").adverts_received;
        (0..self.config.members.len()).map(of_member).collect()
    }

    /// Returns how many adverts were received, valid and refused.
    pub(super) fn received(&self) -> u64 {
        let is_of_received = |name: &str| {
            !matches!(
                name,
                "adverts_sent" | "adverts_not_sent" | "announcements_sent" | "adverts_contradicting"
            )
        };
        let of_member = |index| {
            let values = self.election.counters(index).expect("a member").values();
            MemberCounters::LIST
                .iter()
                .zip(values)
                .filter(|(counter, _)| is_of_received(counter.name.to_str().expect("ASCII")))
                .map(|(_, value)| value)
                .sum::<u64>()
        };
        (0..self.config.members.len()).map(of_member).sum()
    }
}

/// Whether an advert says that its sender leaves.
pub(super) fn is_farewell(bytes: &[u8]) -> bool {
    let start = if bytes.get(12..14) == Some(&[0x81, 0]) { 18 } else { 14 };
    let is_v4 = bytes.get(start).is_some_and(|byte| byte >> 4 == 4);
    let Some(advert) = bytes.get(start + if is_v4 { 20 } else { 40 }..) else { return false };
    match advert.first().map(|byte| byte >> 4) {
        Some(3) => advert.get(2) == Some(&0),
        _ => advert.get(2) == Some(&255) && advert.get(5) == Some(&255),
    }
}
