//! A bad cable between an endpoint's port and its bridge. In both directions TCP frames are lost, duplicated, delayed
//! unevenly and reordered. This is `tc qdisc add ... netem` in user space, as many kernels lack netem.
//!
//! ```text
//!   client ── cable ── left bridge ── firewalls ── right bridge ── cable ── server
//! ```
//!
//! A path has two cables, so each causes half of the impairment. A delayed frame waits in a queue that keeps the order,
//! except for the frames that overtake it.

pub(crate) mod coverage;
pub(crate) mod forger;
pub(crate) mod frame;
pub(crate) mod openness;
pub(crate) mod recorder;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::atomic::Ordering;

use pfplane_testbed::clock::{self, MILLISECOND, Nanos};
use pfplane_testbed::network::PacketSocket;
use pfplane_testkit::Random;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::shared::Shared;
use forger::{ForgedCounts, Forger, MARK, kind_of};
use frame::{ACK, SYN, Tcp};
use recorder::{Point, Recorder};

/// Shares in ten thousand, for one cable.
const LOST: u32 = 250;
const DUPLICATED: u32 = 100;
const OVERTAKING: u32 = 1_250;
const MIN_DELAY: Nanos = MILLISECOND;
const MAX_DELAY: Nanos = 4 * MILLISECOND;
const BATCH: usize = 64;
const MAX_WAIT: Nanos = 20 * MILLISECOND;

/// What a cable did with TCP frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Frames received.
    pub frames: u64,
    /// IPv6 frames among them.
    pub v6: u64,
    pub lost: u64,
    pub duplicated: u64,
    /// Frames sent before earlier ones.
    pub overtaking: u64,
    /// Forged segments sent to the firewall, by kind.
    pub forged: ForgedCounts,
    /// Forged segments of the other side that passed the firewall, by kind.
    pub leaked: ForgedCounts,
    /// Frames that the kernel could not take.
    pub not_sent: u64,
}

/// A delayed frame: due time, arrival order, whether it goes to the far side, the frame.
type Delayed = Reverse<(Nanos, u64, bool, Vec<u8>)>;

struct Cable<'a> {
    shared: &'a Shared,
    /// The client's cable, 0, or the server's, 1.
    side: usize,
    /// The endpoint's interface and the firewall's.
    links: [PacketSocket; 2],
    random: Random,
    forger: Option<Forger>,
    delayed: BinaryHeap<Delayed>,
    last_due: [Nanos; 2],
    next_order: u64,
    counts: Counts,
    recorder: Recorder,
}

/// Forwards frames between two interfaces of the thread's namespace until `cables_stop`.
pub(crate) fn run(
    shared: &Shared,
    [near, far]: [&str; 2],
    side: usize,
    inject: bool,
) -> io::Result<(Counts, Recorder)> {
    let stream = side as u64 + 1;
    let mut cable = Cable {
        shared,
        links: [PacketSocket::open(near)?, PacketSocket::open(far)?],
        forger: inject.then(|| Forger::new(Random::stream(shared.seed, stream << 41))),
        side,
        random: Random::stream(shared.seed, stream << 40),
        delayed: BinaryHeap::new(),
        last_due: [0; 2],
        next_order: 0,
        counts: Counts::default(),
        recorder: Recorder::default(),
    };
    shared.cables_ready.fetch_add(1, Ordering::Release);
    while !shared.cables_stop.load(Ordering::Relaxed) {
        cable.wait()?;
        cable.receive(0)?;
        cable.receive(1)?;
        cable.send_due()?;
    }
    Ok((cable.counts, cable.recorder))
}

impl Cable<'_> {
    fn wait(&mut self) -> io::Result<()> {
        let next = self.delayed.peek().map(|Reverse((due, ..))| *due);
        let wait = next.map_or(MAX_WAIT, |due| due.saturating_sub(clock::now()).min(MAX_WAIT));
        let mut fds =
            self.links.each_ref().map(|link| PollFd::from_borrowed_fd(link.descriptor(), PollFlags::IN));
        match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: wait as i64 })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn receive(&mut self, from: usize) -> io::Result<()> {
        let mut buffer = [0; 2048];
        for _ in 0..BATCH {
            let Some(frame) = self.links[from].receive(&mut buffer)? else { break };
            let frame = frame.to_vec();
            match Tcp::find(&frame) {
                Some(tcp) => self.carry(from, tcp, frame)?,
                // ARP and neighbour discovery must work.
                None => self.send(1 - from, &frame)?,
            }
        }
        Ok(())
    }

    fn carry(&mut self, from: usize, tcp: Tcp, frame: Vec<u8>) -> io::Result<()> {
        let now = clock::now();
        self.counts.frames += 1;
        self.counts.v6 += u64::from(tcp.is_v6());
        let forged = tcp.class(&frame) == MARK;
        let point = if from == 0 { Point::FromEndpoint } else { Point::FromFirewall };
        self.recorder.record(tcp, &frame, forged, (now, point, from == 1));
        if from == 1 && forged {
            self.counts.leaked[kind_of(tcp.flags(&frame))] += 1;
        }
        self.forge(from, tcp, &frame, forged)?;
        if self.random.below_u32(10_000) < LOST {
            self.counts.lost += 1;
            self.recorder.record(tcp, &frame, forged, (now, Point::Lost, from == 1));
            return Ok(());
        }
        let to = 1 - from;
        let due = if self.random.below_u32(10_000) < OVERTAKING {
            self.counts.overtaking += u64::from(now < self.last_due[to]);
            now
        } else {
            let due = (now + self.random.between(MIN_DELAY, MAX_DELAY)).max(self.last_due[to]);
            self.last_due[to] = due;
            due
        };
        if self.random.below_u32(10_000) < DUPLICATED {
            self.counts.duplicated += 1;
            self.delay(due, to, frame.clone());
        }
        self.delay(due, to, frame);
        Ok(())
    }

    /// Follows a connection's state and perhaps sends a forged segment, at once: it must meet the connection open.
    fn forge(&mut self, from: usize, tcp: Tcp, frame: &[u8], is_forged: bool) -> io::Result<()> {
        let Some(forger) = &mut self.forger else { return Ok(()) };
        let Some(id) = self.recorder.connection(tcp, frame).filter(|_| !is_forged) else { return Ok(()) };
        let shared = self.shared;
        let connections = &shared.open_connections;
        let flags = tcp.flags(frame);
        if self.side == 0 && flags & (SYN | ACK) == SYN {
            connections.add(id, tcp.source_port(frame));
        }
        connections.observe(id, self.side, flags, from == 1);
        let forged = if from == 0 { forger.forge(tcp, frame) } else { None };
        if let Some(forged) = forged {
            let lock = connections.lock();
            if lock.may_forge(id) {
                let kind = Tcp::find(&forged).map_or(0, |tcp| kind_of(tcp.flags(&forged)));
                self.counts.forged[kind] += 1;
                self.send(1, &forged)?;
            }
        }
        Ok(())
    }

    fn delay(&mut self, due: Nanos, to: usize, frame: Vec<u8>) {
        self.delayed.push(Reverse((due, self.next_order, to == 1, frame)));
        self.next_order += 1;
    }

    fn send_due(&mut self) -> io::Result<()> {
        let now = clock::now();
        while self.delayed.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            let Some(Reverse((_, _, far, frame))) = self.delayed.pop() else { break };
            self.send(usize::from(far), &frame)?;
        }
        Ok(())
    }

    fn send(&mut self, to: usize, frame: &[u8]) -> io::Result<()> {
        if let Some(tcp) = Tcp::find(frame) {
            let point = if to == 0 { Point::ToEndpoint } else { Point::ToFirewall };
            self.recorder.record(tcp, frame, tcp.class(frame) == MARK, (clock::now(), point, to == 0));
        }
        // The interface may disappear before the cable stops.
        match self.links[to].send(frame) {
            Ok(sent) => self.counts.not_sent += u64::from(!sent),
            Err(error) if self.shared.cables_stop.load(Ordering::Relaxed) => drop(error),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
