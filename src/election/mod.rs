//! Who is master: CARP and VRRP version 3 as a state machine without I/O. Frames and the time go in, frames and events come
//! out.
//!
//! A *group* is a set of shared addresses on several interfaces, of both families, that change master together. Lanes forward
//! only while [`Forwarding::may_forward`] says so: it is a lease that ends by itself, so that a node that was stopped at any
//! instruction does not forward as master after another one has taken over.
//!
//! | file | concept |
//! |---|---|
//! | `rank` | how nodes are compared, and the times that follow |
//! | `demotion` | why a node is demoted |
//! | `standing` | what a node says of itself |
//! | `machine` | the rules: who becomes master and who steps down |
//! | `peers` | the peers' last hellos, the host's witness and detector |
//! | `counters` | what a member counts |
//! | `member` | one interface and family: reads, counts and writes adverts |
//! | `outgoing` | frames that wait to be sent |
//! | `shared` | what every thread may ask |
//! | `codec` | the bytes |

pub mod codec;
mod config;
mod counters;
mod demotion;
mod event;
mod machine;
mod member;
mod outgoing;
mod peers;
mod rank;
mod shared;
mod standing;
#[cfg(test)]
mod tests;

pub use codec::hello::{HELLO_BYTES, Hello};
pub use codec::neighbour::MAX_NEIGHBOUR_BYTES;
pub use codec::vrrp::ChecksumManner;
pub use config::{ElectionConfig, MAX_MEMBERS, MacMode, MemberConfig, Silence};
pub use counters::MemberCounters;
pub use demotion::{FORBIDS, MAX_REASON_BYTES, MAX_REASONS, Reason};
pub use event::{Event, EventKind, Refusal, Role, Why};
pub use rank::{Class, Dialect, Rank};
pub use shared::Forwarding;
pub use standing::ElectionStatus;

use crate::error::Error;
use crate::memory::{Counted, Heap, List};
use crate::time::Nanos;
use codec::frame;
use codec::neighbour;
use core::net::IpAddr;
use demotion::Inputs;
use event::Events;
use machine::{Master, Takeover};
use member::{Member, Rules};
use outgoing::{Announcer, Round};
use peers::{Greetings, Replaced};
use rank::{MAX_SKEW, Timing, own_skew};

/// Size of a buffer that every frame of an election fits into.
pub const MAX_ELECTION_FRAME_BYTES: usize = frame::MAX_HEADER_BYTES + 8 + 16 * codec::vrrp::MAX_ADDRESSES;

const MS: Nanos = 1_000_000;

/// A frame to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElectionFrame {
    /// The port.
    pub port: u16,
    /// The VLAN, 0 for none. The frame has its tag.
    pub vlan: u16,
    /// Its length.
    pub length: usize,
    /// Whether it comes from the virtual MAC address.
    pub from_virtual_mac: bool,
    /// The unicast receiver whose MAC address the host writes into the first six bytes.
    pub receiver: Option<IpAddr>,
}

/// An election group. One thread at a time uses it; [`Forwarding`] is for all threads.
#[derive(Debug)]
pub struct Election {
    rules: Rules,
    priority: u8,
    /// CARP with a base of 0: what the interval adds to the skew.
    subsecond_skew: u8,
    interval: Nanos,
    start_hold: Nanos,
    preempt: bool,
    preempt_delay: Nanos,
    silence: Silence,
    group: u32,
    /// A random number of this run.
    run: u64,
    hellos: u64,
    hello_due: Nanos,
    members: List<Member>,
    inputs: Inputs,
    forwarding: Counted<Forwarding>,
    events: Events,

    role: Role,
    why: Why,
    since: Nanos,
    /// As master it has had all states once.
    is_proven: bool,
    synced_since: Option<Nanos>,
    master: Option<Master>,
    greetings: Greetings,
    takeover: Option<Takeover>,
    /// When it last received a farewell, as backup.
    farewell_at: Option<Nanos>,
    /// The interval of a node whose interval is another one, 0 for none.
    other_interval: Nanos,
    /// Changes of the node that advertises.
    replaced: Replaced,
    listen_until: Nanos,
    hold_until: Nanos,
    /// Members on which a node that hands over has not received the next master yet.
    hands_over_on: u32,
    /// Whether the host's witness answers; `None` without one.
    witness_answers: Option<bool>,
    last_call: Nanos,
    /// The call before the pause whose backlog is expected.
    paused_at: Option<Nanos>,
    /// After a pause, until when what was queued meanwhile is received and nothing is decided.
    settle_until: Nanos,
    advert_due: Nanos,
    /// When the last adverts were queued.
    last_round_at: Nanos,
    asserted: Nanos,
    lease_before: Nanos,
    round: Round,
    last_round: Round,
    announcer: Announcer,
    role_changes: u64,
    late_polls: u64,
}

impl Election {
    /// Makes a group. `random` is a number from the operating system's random source, another one in every run.
    ///
    /// # Errors
    /// The first setting that is wrong; [`Error::OutOfMemory`].
    pub fn new(config: &ElectionConfig, random: u64) -> Result<Self, Error> {
        config.check()?;
        let rules = Rules::new(config);
        let subsecond_skew = config.subsecond_skew();
        // The time between adverts, which the lease and late calls are measured in.
        let interval = if subsecond_skew > 0 {
            Timing::of_carp(0, own_skew(subsecond_skew, MAX_SKEW - config.priority)).interval
        } else {
            u64::from(config.interval_us) * 1000
        };
        let heap = Heap::new(config.memory, -1);
        let mut members = heap.list("an election", config.members.len())?;
        let mut shared = heap.list("an election", config.members.len())?;
        for settings in &config.members {
            let member = Member::new(config, settings, random, heap)?;
            shared.push(member.for_forwarding(&rules, heap)?);
            members.push(member);
        }
        Ok(Self {
            rules,
            priority: config.priority,
            subsecond_skew,
            interval,
            start_hold: u64::from(config.start_hold_ms) * MS,
            preempt: config.preempt,
            preempt_delay: u64::from(config.preempt_delay_ms) * MS,
            silence: config.silence,
            group: config.group,
            run: random,
            hellos: 0,
            hello_due: 0,
            events: Events::new(members.len(), heap)?,
            members,
            inputs: Inputs::new(config.dialect, config.link_weight),
            forwarding: Counted::new(heap, "an election", Forwarding::new(shared))?,
            role: Role::Init,
            why: Why::Started,
            since: 0,
            is_proven: false,
            synced_since: None,
            master: None,
            greetings: Greetings::default(),
            takeover: None,
            farewell_at: None,
            other_interval: 0,
            replaced: Replaced::default(),
            listen_until: 0,
            hold_until: 0,
            hands_over_on: 0,
            witness_answers: None,
            last_call: 0,
            paused_at: None,
            settle_until: 0,
            advert_due: 0,
            last_round_at: 0,
            asserted: 0,
            lease_before: 0,
            round: Round::default(),
            last_round: Round::default(),
            announcer: Announcer::new(u64::from(config.announce_every_ms) * MS),
            role_changes: 0,
            late_polls: 0,
        })
    }

    /// Returns what all threads may ask.
    #[must_use]
    pub const fn forwarding(&self) -> &Counted<Forwarding> {
        &self.forwarding
    }

    /// Passes in a frame that came on `port` in `vlan` (0: none). Returns whether it was a frame of IP protocol 112, which no
    /// other part of the host needs. Pass in all that have come before [`Self::poll`].
    pub fn receive(&mut self, (port, vlan): (u16, u16), frame: &[u8], now: Nanos) -> bool {
        let parsed = match frame::parse(frame, vlan) {
            Ok(parsed) => Ok(parsed),
            Err(frame::Fault::NotOurs) => return false,
            Err(fault) => Err(fault),
        };
        self.listen_if_late(now);
        self.expect_backlog(now);
        for index in 0..self.members.len() {
            let member = &mut self.members[index];
            if (member.port, member.vlan) != (port, vlan) {
                continue;
            }
            match &parsed {
                Ok(frame) if frame.source.is_ipv4() == member.is_v4() => {
                    self.receive_advert(index, frame, now)
                }
                Err(fault) if member.is_up() && member.is_v4() == frame::is_v4(frame, vlan) => {
                    if let Some(kind) = member.count_fault(*fault) {
                        self.event(kind, Some(index), frame::source(frame, vlan), now);
                    }
                }
                _ => {}
            }
        }
        true
    }

    /// Does what is due. Call it at the time that it returns at the latest, and after all frames that have come were passed in.
    pub fn poll(&mut self, now: Nanos) -> Nanos {
        self.listen_if_late(now);
        // The pause may have come between the frames and this call; they are received next time.
        self.expect_backlog(now);
        self.last_call = now;
        let interval = self.interval;
        let failing =
            |(index, member): (usize, &mut Member)| u32::from(member.cannot_send(interval, now)) << index;
        self.inputs.send_failures =
            self.members.iter_mut().enumerate().map(failing).fold(0, |all, bit| all | bit);
        self.judge(now);
        if self.role == Role::Master && now >= self.advert_due {
            self.advertise(now);
        }
        self.announcer.poll(now);
        self.next_due(now)
    }

    fn next_due(&self, now: Nanos) -> Nanos {
        let soon = match self.role {
            Role::Init => now + self.interval,
            Role::Backup => self.next_silence(now).min(now + self.interval / 4),
            Role::Listen => self.listen_until.max(self.settle_until),
            // CARP's skew can make adverts rarer than calls may be.
            Role::Master => {
                self.advert_due.min(now + self.interval).min(self.announcer.due().unwrap_or(Nanos::MAX))
            }
        };
        let takeover = self.takeover.map_or(Nanos::MAX, |takeover| takeover.at);
        // A host without hellos has none that is due.
        let hello = if self.hellos == 0 { Nanos::MAX } else { self.hello_due };
        soon.min(takeover).min(hello).max(now + 1)
    }

    /// Writes the next frame to be sent, or returns `None` if there is none. `out` holds [`MAX_ELECTION_FRAME_BYTES`].
    pub fn flush(&mut self, out: &mut [u8]) -> Option<ElectionFrame> {
        let advert = self.last_round.next(&self.members).or_else(|| self.round.next(&self.members));
        if let Some((index, receiver, announced, is_last)) = advert {
            let member = &mut self.members[index];
            let (length, from_virtual_mac) = member.write(announced, &self.rules, receiver, is_last, out)?;
            let (port, vlan) = (member.port, member.vlan);
            return Some(ElectionFrame {
                port,
                vlan,
                length,
                from_virtual_mac,
                receiver: member.peer(receiver),
            });
        }
        let (index, address) = self.announcer.next(&self.members)?;
        let member = &mut self.members[index];
        let mac = member.shared_mac(&self.rules);
        let length = neighbour::write_announcement(member.addresses[address], mac, member.vlan, out)?;
        member.counters.announcements_sent += 1;
        let from_virtual_mac = self.rules.mac != MacMode::Own;
        Some(ElectionFrame { port: member.port, vlan: member.vlan, length, from_virtual_mac, receiver: None })
    }

    /// Tells that `frames` frames to `port` could not be sent. If none of the last adverts could be, they do not make us master
    /// for longer.
    pub fn send_failed(&mut self, port: u16, frames: u32, now: Nanos) {
        for member in self.members.iter_mut().filter(|member| member.port == port) {
            member.count_send_failure(frames, self.last_round_at, now);
        }
        let up = self.members.iter().filter(|member| member.is_up());
        if self.role == Role::Master && up.clone().all(|member| member.failed_since(self.last_round_at)) {
            self.forwarding.set_until(self.lease_before.min(self.forwarding.until()));
        }
    }

    /// Takes the oldest event.
    pub fn event_next(&mut self, now: Nanos) -> Option<Event> {
        self.events.pop(now)
    }

    /// Tells whether the link of `port` is up. At first all links are down.
    pub fn link(&mut self, port: u16, is_up: bool, now: Nanos) {
        for member in self.members.iter_mut().filter(|member| member.port == port) {
            member.up_since = is_up.then(|| member.up_since.unwrap_or(now));
        }
        self.inputs.down = !self.members_up() & mask(self.members.len());
    }

    /// Tells whether this node knows what its peers know.
    pub const fn readiness(&mut self, class: Class) {
        self.inputs.class = class;
    }

    /// Demotes this node for a reason of the host's; a weight of 0 takes it back, [`FORBIDS`] forbids to be master.
    ///
    /// # Errors
    /// A name of more than 31 bytes, or more than 16 reasons.
    pub fn demote(&mut self, reason: &str, weight: u32) -> Result<(), Error> {
        self.inputs.set(reason, weight)
    }

    /// Steps down, and takes over from nobody for `hold_ms`. Forwarding continues until a millisecond after the next master is
    /// received on all members that are up, 10 ms after it is on the first: at most until the lease ends, and for VRRP an interval, for CARP 250 ms, and 50 ms more.
    pub fn step_down(&mut self, hold_ms: u32, now: Nanos) {
        self.listen_if_late(now);
        self.hand_over(u64::from(hold_ms) * MS, now);
    }

    /// Returns the hello for the peer nodes when one is due: one each interval, from all nodes.
    pub fn hello(&mut self, now: Nanos) -> Option<Hello> {
        if now < self.hello_due {
            return None;
        }
        // A master that was stopped says so before its first poll: the next one would yield to it.
        self.listen_if_late(now);
        self.hello_due = now + self.interval;
        self.hellos += 1;
        let received = |(index, member): (usize, &Member)| {
            u32::from(
                member.last_received > 0 && now.saturating_sub(member.last_received) < self.timing().down,
            ) << index
        };
        Some(Hello {
            group: self.group,
            role: if now < self.hold_until { Role::Init } else { self.role },
            class: self.class(),
            rank: self.rank(),
            demotion: self.inputs.demotion().min(0xffff) as u16,
            interval: self.interval,
            members_up: self.members_up(),
            members_received: self.members.iter().enumerate().map(received).fold(0, |all, bit| all | bit),
            run: self.run,
            sequence: self.hellos,
        })
    }

    /// Passes in a hello of a peer node. Returns whether it counted: one of another group, of our own or out of order does not.
    pub fn receive_hello(&mut self, hello: &Hello, now: Nanos) -> bool {
        self.listen_if_late(now);
        self.apply_hello(hello, now)
    }

    /// Returns the host's reasons for a demotion.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        self.inputs.reasons()
    }

    /// Returns the counters of member number `index`.
    #[must_use]
    pub fn counters(&self, index: usize) -> Option<&MemberCounters> {
        self.members.get(index).map(|member| &member.counters)
    }
}

const fn mask(members: usize) -> u32 {
    if members >= 32 { u32::MAX } else { (1 << members) - 1 }
}
