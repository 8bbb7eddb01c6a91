//! A node at one end of the link: a lane, a socket, and a dataplane's loop that sleeps when it is idle.

use super::flows::{self, ETHERNET, Schedule, Side, Step};
use super::pair::INTERFACE;
use crate::replication::bulk::syn;
use crate::replication::{settings, timeouts};
use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{Action, BurstInfo, Lane, PacketView};
use pfplane::internals::packet::{Direction, Link};
use pfplane::internals::state::Options;
use pfplane::internals::sync::SyncSettings;
use pfplane::internals::time::{NANOS_PER_SECOND, Nanos};
use pfplane_testbed::network::PacketSocket;
use pfsync::envelope::GROUP_V4;
use pfsync::ip_protocol;
use pfsync::link::{Ethernet, multicast};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

const MS: Nanos = 1_000_000;
/// Longer than any task takes.
const TIMEOUT: Nanos = 120 * NANOS_PER_SECOND;

/// What a node does, passed on its command line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Task {
    pub number: u32,
    /// The capacity of the table.
    pub states: u32,
    pub mtu: u32,
    /// Frames of a bulk transfer per millisecond.
    pub bulk_frames: u32,
    /// States to create at the start.
    pub fill: u32,
    /// Connections to open after `go`, and how many per second.
    pub create: u32,
    pub rate: u32,
    /// 1 if both nodes know each other for pfplane nodes.
    pub pfplane: u32,
}

impl Task {
    /// Returns the task of the command line, if this process is a node.
    pub(crate) fn from_arguments() -> Option<Self> {
        let words: Vec<String> = std::env::args().collect();
        let list = words.get(1)?.strip_prefix("--node=")?;
        let numbers: Vec<u32> = list.split(',').map(|word| word.parse().unwrap_or(0)).collect();
        let [number, states, mtu, bulk_frames, fill, create, rate, pfplane] = numbers[..] else {
            return None;
        };
        Some(Self { number, states, mtu, bulk_frames, fill, create, rate, pfplane })
    }

    /// Returns the command line for node `n`.
    pub(crate) fn arguments(&self, n: u8) -> [String; 1] {
        let Self { states, mtu, bulk_frames, fill, create, rate, pfplane, .. } = *self;
        [format!("--node={n},{states},{mtu},{bulk_frames},{fill},{create},{rate},{pfplane}")]
    }
}

struct Node {
    engine: Engine,
    lane: Lane,
    socket: PacketSocket,
    began: Instant,
    frame: Vec<u8>,
    buffer: Vec<u8>,
    frames: u64,
    bytes: u64,
    /// Processor time of the busy turns; a dataplane polls anyway.
    cpu_s: f64,
}

/// Commands of the bench process.
const GO: u8 = 1;
const END: u8 = 2;

/// Runs the node until its input ends.
pub(crate) fn run(task: &Task) -> Result<(), Box<dyn std::error::Error>> {
    let commands = read_commands();
    let mut node = Node::new(task)?;
    if task.fill > 0 {
        node.fill(task.fill)?;
        println!("filled {}", json!({}));
        while commands.load(Ordering::Acquire) == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    let start = node.now();
    let schedule = Schedule::new(task.create, task.rate);
    let mut work = Work { start, schedule, is_ready: false, has_started: false, all_sent: false };
    loop {
        let now = node.now();
        if now > TIMEOUT {
            return Err(format!("node {} has not finished after {TIMEOUT} ns", task.number).into());
        }
        let before = cpu();
        let is_busy = node.turn(now)?;
        if is_busy {
            node.cpu_s += cpu() - before;
        }
        let command = commands.load(Ordering::Acquire);
        work.step(&mut node, command, now);
        if command == END {
            println!("ended {}", node.figures(work.start));
            return Ok(());
        }
        if !is_busy {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

/// What a node reports and sends.
struct Work {
    /// When the measurement started.
    start: Nanos,
    schedule: Schedule,
    is_ready: bool,
    has_started: bool,
    all_sent: bool,
}

impl Work {
    /// Reports readiness; after `go`, processes the packets that are due and reports the last.
    fn step(&mut self, node: &mut Node, command: u8, now: Nanos) {
        if !self.is_ready && node.engine.ready() {
            self.is_ready = true;
            println!("ready {}", node.figures(self.start));
        }
        if command == GO && self.is_ready && !self.has_started {
            (self.has_started, self.start, node.cpu_s) = (true, now, 0.0);
        }
        if self.has_started && !self.all_sent {
            let elapsed = (now - self.start) as f64 / 1e9;
            self.schedule.due(elapsed, |number, step| node.packet(number, step, now));
            if self.schedule.is_over() {
                self.all_sent = true;
                println!("sent {}", node.figures(self.start));
            }
        }
    }
}

/// Reads "go" and the end of the input.
fn read_commands() -> Arc<AtomicU8> {
    let command = Arc::new(AtomicU8::new(0));
    let latest = Arc::clone(&command);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_ok_and(|line| line == "go") {
                latest.store(GO, Ordering::Release);
            }
        }
        latest.store(END, Ordering::Release);
    });
    command
}

/// Returns the processor time of this thread in seconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

impl Node {
    fn new(task: &Task) -> Result<Self, Box<dyn std::error::Error>> {
        let mut sync = SyncSettings {
            bulk_frames: task.bulk_frames,
            bulk_interval: MS,
            ..settings(task.number as u8, task.mtu)
        };
        let mac = [2, 0, 0, 0, 0, task.number as u8];
        let header =
            Ethernet { destination: multicast(GROUP_V4).ok_or("no group")?, source: mac, vlan: None };
        for peer in &mut sync.peers {
            peer.ethernet = Some(header);
            peer.extensions = task.pfplane == 1;
        }
        let config = Config {
            states_per_lane: task.states,
            sync,
            device_mtu: task.mtu,
            timeouts: timeouts(),
            adaptive_by_capacity: false,
            ..Config::default()
        };
        let (engine, mut lanes) = Engine::new(config)?;
        let lane = lanes.remove(0);
        Ok(Self {
            frame: vec![0; 65536],
            buffer: vec![0; lane.max_frame_bytes()],
            engine,
            lane,
            socket: PacketSocket::open(INTERFACE)?,
            began: Instant::now(),
            frames: 0,
            bytes: 0,
            cpu_s: 0.0,
        })
    }

    /// Returns the time, never zero.
    fn now(&self) -> Nanos {
        self.began.elapsed().as_nanos() as Nanos + NANOS_PER_SECOND
    }

    /// Receives, polls and sends; returns false when there was nothing to do.
    fn turn(&mut self, now: Nanos) -> std::io::Result<bool> {
        let mut busy = false;
        while let Some(frame) = self.socket.receive(&mut self.frame)? {
            let packet = frame.get(ETHERNET..).unwrap_or_default();
            if packet.get(9) == Some(&ip_protocol::PFSYNC) {
                self.lane.receive(packet, now);
                busy = true;
            }
        }
        self.lane.poll(now);
        while let Some(range) = self.lane.flush(&mut self.buffer, now) {
            let frame = &self.buffer[range];
            if !self.socket.send(frame)? {
                // The kernel's buffers are full: the lane sends the contents again.
                self.lane.requeue_frame(frame, now);
                return Ok(false);
            }
            self.frames += 1;
            self.bytes += frame.len() as u64;
            busy = true;
        }
        Ok(busy)
    }

    fn fill(&mut self, states: u32) -> std::io::Result<()> {
        // The other node does not run yet, so these messages are lost: the states are older than the link.
        for flow in 0..states {
            let now = self.now();
            self.create(flow, now);
            if flow % 1024 == 0 {
                self.turn(now)?;
            }
        }
        while self.turn(self.now())? {}
        (self.frames, self.bytes, self.cpu_s) = (0, 0, 0.0);
        Ok(())
    }

    fn create(&mut self, flow: u32, now: Nanos) {
        let burst =
            BurstInfo { direction: Direction::In, link: Link::Ip, rdomain: 0, trust_hash: false, now };
        let syn = syn(flow);
        let view = PacketView::new(&syn);
        let verdict = self.lane.create(&burst, &view, &Options::default());
        assert_eq!(verdict.action, Action::Pass);
    }

    /// Processes a packet as a dataplane would.
    fn packet(&mut self, number: u32, step: Step, now: Nanos) {
        let direction = if step.side == Side::Client { Direction::In } else { Direction::Out };
        let burst = BurstInfo { direction, link: Link::Ip, rdomain: 0, trust_hash: false, now };
        let frame = flows::frame(number, step, [0; 6]);
        let packet = &frame[ETHERNET..];
        let view = PacketView::new(packet);
        if step.opens() {
            let verdict = self.lane.create(&burst, &view, &Options::default());
            assert_eq!(verdict.action, Action::Pass);
        } else {
            assert_eq!(self.lane.lookup(&burst, &view).action, Action::Pass);
        }
    }

    fn figures(&self, start: Nanos) -> serde_json::Value {
        json!({
            "seconds": (self.now() - start) as f64 / 1e9,
            "cpu_s": self.cpu_s,
            "states": self.engine.stat_named("states").unwrap_or(0),
            "loaded": self.engine.bulk().states,
            "frames": self.frames,
            "bytes": self.bytes,
        })
    }
}
