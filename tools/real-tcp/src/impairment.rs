//! A bad cable: between an end's port and the bridge, in both directions, TCP is lost, doubled, delayed unevenly and
//! overtaken. What `tc qdisc add ... netem` does, in user space, because many kernels come without netem.
//!
//! ```text
//!   client ── cable ── left bridge ── firewalls ── right bridge ── cable ── server
//! ```
//!
//! A path has two cables, so each has half of what a path is to have. A delayed frame waits in a queue; the queue keeps
//! the order, but for the frames that jump it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::atomic::Ordering;

use pfplane_demo::clock::{self, MILLISECOND, Nanos};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::forger::{Forger, Kinds, MARK, kind_of};
use crate::frame::{ACK, SYN, Tcp};
use crate::recorder::{Place, Recorder};
use crate::run::Shared;
use pfplane_demo::packet_socket::PacketSocket;
use pfplane_testkit::Random;

/// In ten thousand, for one cable.
const LOST: u32 = 250;
const DOUBLED: u32 = 100;
const OVERTAKING: u32 = 1_250;
const MIN_DELAY: Nanos = MILLISECOND;
const MAX_DELAY: Nanos = 4 * MILLISECOND;
const BATCH: usize = 64;
const IDLE_WAIT: Nanos = 20 * MILLISECOND;

/// What a cable did to TCP frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// That came.
    pub frames: u64,
    /// Of them IPv6.
    pub v6: u64,
    /// Lost.
    pub lost: u64,
    /// Sent twice.
    pub doubled: u64,
    /// Sent before earlier ones.
    pub overtaking: u64,
    /// Forged and sent towards the firewall, by kind.
    pub forged: Kinds,
    /// Forged ones of the other side that came out of the firewall, by kind.
    pub leaked: Kinds,
    /// For which the kernel had no room.
    pub no_room: u64,
}

/// Ready at `due`, in the order of arrival among equals, to the far side or not.
type Waiting = Reverse<(Nanos, u64, bool, Vec<u8>)>;

struct Cable<'a> {
    shared: &'a Shared,
    /// The client's, 0, or the server's, 1.
    side: usize,
    /// The end's side, then the firewall's.
    links: [PacketSocket; 2],
    random: Random,
    forger: Option<Forger>,
    waiting: BinaryHeap<Waiting>,
    last_due: [Nanos; 2],
    order: u64,
    counts: Counts,
    recorder: Recorder,
}

/// Carries frames between two interfaces of the thread's namespace until told to stop.
pub fn run(
    shared: &Shared,
    near: &str,
    far: &str,
    side: usize,
    inject: bool,
) -> io::Result<(Counts, Recorder)> {
    let stream = side as u64 + 1;
    let random = Random::stream(shared.seed, stream << 40);
    let mut cable = Cable {
        shared,
        links: [PacketSocket::open(near)?, PacketSocket::open(far)?],
        forger: inject.then(|| Forger::new(Random::stream(shared.seed, stream << 41))),
        side,
        random,
        waiting: BinaryHeap::new(),
        last_due: [0; 2],
        order: 0,
        counts: Counts::default(),
        recorder: Recorder::default(),
    };
    shared.cables_ready.fetch_add(1, Ordering::Release);
    while !shared.cables_stop.load(Ordering::Relaxed) {
        cable.wait()?;
        cable.take(0)?;
        cable.take(1)?;
        cable.send_due()?;
    }
    Ok((cable.counts, cable.recorder))
}

impl Cable<'_> {
    fn wait(&mut self) -> io::Result<()> {
        let next = self.waiting.peek().map(|Reverse((due, ..))| *due);
        let wait = next.map_or(IDLE_WAIT, |due| due.saturating_sub(clock::now()).min(IDLE_WAIT));
        let mut fds =
            self.links.each_ref().map(|link| PollFd::from_borrowed_fd(link.descriptor(), PollFlags::IN));
        match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: wait as i64 })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn take(&mut self, from: usize) -> io::Result<()> {
        let mut buffer = [0; 2048];
        for _ in 0..BATCH {
            let Some(frame) = self.links[from].receive(&mut buffer)? else { break };
            let frame = frame.to_vec();
            match Tcp::find(&frame) {
                Some(tcp) => self.carry(from, tcp, frame)?,
                // Neighbour discovery and the like must work, or nothing does.
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
        let place = if from == 0 { Place::FromEnd } else { Place::FromFirewall };
        self.recorder.note(tcp, &frame, forged, (now, place, from == 1));
        if from == 1 && forged {
            self.counts.leaked[kind_of(tcp.flags(&frame))] += 1;
        }
        self.forge(from, tcp, &frame, forged)?;
        if self.random.below_u32(10_000) < LOST {
            self.counts.lost += 1;
            self.recorder.note(tcp, &frame, forged, (now, Place::Lost, from == 1));
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
        if self.random.below_u32(10_000) < DOUBLED {
            self.counts.doubled += 1;
            self.wait_until(due, to, frame.clone());
        }
        self.wait_until(due, to, frame);
        Ok(())
    }

    /// Watches a segment go by, and perhaps sends a forged companion along, at once: it must find the connection open.
    fn forge(&mut self, from: usize, tcp: Tcp, frame: &[u8], is_forged: bool) -> io::Result<()> {
        let Some(forger) = &mut self.forger else { return Ok(()) };
        let Some(name) = self.recorder.name(tcp, frame).filter(|_| !is_forged) else { return Ok(()) };
        let shared = self.shared;
        let stages = &shared.stages;
        let flags = tcp.flags(frame);
        if self.side == 0 && flags & (SYN | ACK) == SYN {
            stages.begin(name, tcp.source_port(frame));
        }
        stages.watch(name, self.side, flags, from == 1);
        let companion = if from == 0 { forger.forge(tcp, frame) } else { None };
        if let Some(companion) = companion {
            let open = stages.lock();
            if open.may_forge(name) {
                let kind = Tcp::find(&companion).map_or(0, |tcp| kind_of(tcp.flags(&companion)));
                self.counts.forged[kind] += 1;
                self.send(1, &companion)?;
            }
        }
        Ok(())
    }

    fn wait_until(&mut self, due: Nanos, to: usize, frame: Vec<u8>) {
        self.waiting.push(Reverse((due, self.order, to == 1, frame)));
        self.order += 1;
    }

    fn send_due(&mut self) -> io::Result<()> {
        let now = clock::now();
        while self.waiting.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            let Some(Reverse((_, _, far, frame))) = self.waiting.pop() else { break };
            self.send(usize::from(far), &frame)?;
        }
        Ok(())
    }

    fn send(&mut self, to: usize, frame: &[u8]) -> io::Result<()> {
        if let Some(tcp) = Tcp::find(frame) {
            let place = if to == 0 { Place::ToEnd } else { Place::ToFirewall };
            self.recorder.note(tcp, frame, tcp.class(frame) == MARK, (clock::now(), place, to == 0));
        }
        // While the network is taken down the interface goes first.
        match self.links[to].send(frame) {
            Ok(sent) => self.counts.no_room += u64::from(!sent),
            Err(error) if self.shared.cables_stop.load(Ordering::Relaxed) => drop(error),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
