//! Whole engines on one thread in virtual time, with a wire between them that can be told to misbehave.

pub mod flow;

use flow::{Flow, Kind, Phase, Segment};
use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{Action, BurstInfo, Lane, PacketView, Verdict};
use pfplane::internals::packet::{Direction, Link};
use pfplane::internals::state::{Options, StateId};
use pfplane::internals::sync::{PeerSettings, SyncSettings};
use pfplane_testkit::Random;
use pfsync::Profile;
use pfsync::envelope::Address;
use std::collections::BTreeMap;

pub const MS: u64 = 1_000_000;
pub const S: u64 = 1000 * MS;

/// Faults of the wire: chances in thousandths, and the longest delay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub lose: u64,
    pub double: u64,
    pub delay_ms: u64,
}

pub const CLEAN: Faults = Faults { lose: 0, double: 0, delay_ms: 0 };

/// Settings of host `n`, which speaks these dialects on the sync link.
pub fn config(n: u8, lanes: u32, states_per_lane: u32, profiles: &[Profile]) -> Config {
    let mut sync = SyncSettings { host_id: 0xfeed_0000 | u32::from(n), ..SyncSettings::default() };
    for &profile in profiles {
        sync.peers.push(PeerSettings::group(profile, Address::V4([192, 0, 2, n])));
    }
    Config { lanes, states_per_lane, sync, start_unix_s: 1_700_000_000, ..Config::default() }
}

/// What two hosts must agree on: addresses and ports, state numbers, sequence numbers, timeout class.
pub type View = BTreeMap<StateId, ([u8; 40], [u8; 2], [u32; 2], u8)>;

/// One firewall.
pub struct Host {
    pub engine: Engine,
    pub lanes: Vec<Lane>,
    /// Its clock is so far before the others'.
    pub clock: u64,
}

impl Host {
    pub fn new(config: Config, clock: u64) -> Self {
        let (engine, lanes) = Engine::new(config).expect("a plain configuration");
        Self { engine, lanes, clock }
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.engine.stat_named(name).unwrap_or_else(|| panic!("no statistic {name}"))
    }

    /// A packet that comes in on lane `at` and goes to the lane that the verdict names.
    pub fn ask(&mut self, now: u64, at: usize, segment: &Segment) -> (usize, Verdict) {
        let (first, verdict) = (at, self.ask_lane(now, at, segment));
        if verdict.action != Action::HandOff {
            return (first, verdict);
        }
        let owner = usize::from(verdict.lane);
        let verdict = self.ask_lane(now, owner, segment);
        assert_ne!(verdict.action, Action::HandOff, "the owner of a key keeps it");
        (owner, verdict)
    }

    fn ask_lane(&mut self, now: u64, at: usize, segment: &Segment) -> Verdict {
        let burst = self.burst(now, segment.direction());
        self.lanes[at].lookup(&burst, &view(&segment.bytes))
    }

    const fn burst(&self, now: u64, direction: Direction) -> BurstInfo {
        BurstInfo { direction, link: Link::Ip, trust_hash: false, now: now + self.clock }
    }

    /// Whether the host passes a packet. Its rules let pass what begins a connection.
    pub fn forwards(&mut self, now: u64, at: usize, segment: &Segment) -> bool {
        let (owner, verdict) = self.ask(now, at, segment);
        match verdict.action {
            Action::Pass => {
                assert_eq!(verdict.reverse, !segment.forward);
                true
            }
            Action::New if segment.begins => self.begins(now, owner, segment).action == Action::Pass,
            _ => false,
        }
    }

    /// Makes the state of a packet on the lane that owns its key.
    pub fn begins(&mut self, now: u64, owner: usize, segment: &Segment) -> Verdict {
        let burst = self.burst(now, segment.direction());
        self.lanes[owner].create(&burst, &view(&segment.bytes), &Options::default())
    }

    /// All states, and that each lies where its packets are looked for.
    pub fn view(&self, now: u64) -> View {
        let mut all = View::new();
        for (index, lane) in self.lanes.iter().enumerate() {
            let mut from = 0;
            while let Some(state) = lane.state_from(from, now + self.clock) {
                from = state.slot.0 + 1;
                assert_eq!(usize::from(self.engine.steering().lane_of(&state.hot.key)), index, "owner lane");
                let mut key = [0; 40];
                key[..16].copy_from_slice(&state.hot.key.addr[0]);
                key[16..32].copy_from_slice(&state.hot.key.addr[1]);
                key[32..34].copy_from_slice(&state.hot.key.port[0].0);
                key[34..36].copy_from_slice(&state.hot.key.port[1].0);
                let seqlo = if state.hot.key.proto == 6 {
                    [state.track.src.seqlo, state.track.dst.seqlo]
                } else {
                    [0; 2]
                };
                let seen = (key, state.hot.peer_state, seqlo, state.hot.timeout);
                assert!(all.insert(state.cold.id, seen).is_none(), "one lane a state");
            }
        }
        all
    }

    pub fn states(&self) -> usize {
        self.view(0).len()
    }

    /// Ends so many states, as an operator would.
    pub fn kill(&mut self, now: u64, most: usize) -> usize {
        let clock = now + self.clock;
        let ids: Vec<_> = self.view(now).into_keys().take(most).collect();
        let mut ends = |id: &StateId| self.lanes.iter_mut().any(|lane| lane.delete_id(*id, clock));
        ids.iter().filter(|id| ends(id)).count()
    }
}

pub fn view(packet: &[u8]) -> PacketView<'_> {
    PacketView { data: packet, packet_length: packet.len() as u32, hash: None }
}

/// A frame under way: when it arrives, at whom.
struct Frame {
    at: u64,
    to: usize,
    bytes: Vec<u8>,
}

/// Hosts, the wire between them, connections through them, and the time.
pub struct Cluster {
    pub hosts: Vec<Option<Host>>,
    pub faults: Faults,
    pub flows: Vec<Flow>,
    pub random: Random,
    /// Frames written so far.
    pub frames: u64,
    pub now: u64,
    wire: Vec<Frame>,
}

impl Cluster {
    /// Hosts of these settings. Their clocks differ by hours.
    pub fn new(seed: u64, configs: Vec<Config>) -> Self {
        println!("seed {seed}, lanes {:?}", configs.iter().map(|config| config.lanes).collect::<Vec<_>>());
        let clock = |n: usize| 7919 * S * n as u64;
        let hosts =
            configs.into_iter().enumerate().map(|(n, config)| Some(Host::new(config, clock(n)))).collect();
        Self {
            hosts,
            faults: CLEAN,
            flows: Vec::new(),
            random: Random::new(seed),
            frames: 0,
            now: 1000 * S,
            wire: Vec::new(),
        }
    }

    /// Two hosts of so many lanes that speak OpenBSD's dialect, and have found each other.
    pub fn pair(seed: u64, lanes: [u32; 2], states_per_lane: u32) -> Self {
        let host = |n: usize| config(n as u8 + 1, lanes[n], states_per_lane, &[Profile::OpenBsd6]);
        let mut pair = Self::new(seed, vec![host(0), host(1)]);
        pair.run(100 * MS, MS);
        assert!(pair.host(0).engine.ready() && pair.host(1).engine.ready());
        pair
    }

    pub fn host(&mut self, n: usize) -> &mut Host {
        self.hosts[n].as_mut().expect("it lives")
    }

    /// Host `n` dies, with all that was on its way to it.
    pub fn kill(&mut self, n: usize) {
        self.hosts[n] = None;
        self.wire.retain(|frame| frame.to != n);
    }

    /// Host `n` comes up, empty. Its clock begins anew too.
    pub fn boot(&mut self, n: usize, config: Config) {
        self.hosts[n] = Some(Host::new(config, self.now / 3 * n as u64));
    }

    pub fn begin(&mut self, count: u32) {
        let first = self.flows.len() as u32;
        self.flows.extend((first..first + count).map(Flow::new));
    }

    /// `time` goes by in steps of `step`.
    pub fn run(&mut self, time: u64, step: u64) {
        let end = self.now + time;
        while self.now < end {
            self.now += step;
            self.tick();
        }
    }

    /// Housekeeping of every lane, its frames onto the wire, and those of the wire that are due to their hosts.
    pub fn tick(&mut self) {
        self.tick_but(None);
    }

    /// The same, but that a lane of a host stands still.
    pub fn tick_but(&mut self, still: Option<(usize, usize)>) {
        for n in 0..self.hosts.len() {
            let lane = still.filter(|&(host, _)| host == n).map(|(_, lane)| lane);
            self.send(n, lane);
        }
        let (mut due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.wire).into_iter().partition(|frame| frame.at <= self.now);
        self.wire = later;
        due.sort_by_key(|frame| frame.at);
        for Frame { to, bytes, .. } in due {
            if let Some(host) = &mut self.hosts[to] {
                assert!(host.lanes[0].receive(&bytes, self.now + host.clock));
            }
        }
    }

    fn send(&mut self, from: usize, still: Option<usize>) {
        let Some(host) = &mut self.hosts[from] else { return };
        let (now, mut frames, mut buffer) = (self.now + host.clock, Vec::new(), [0; 9216]);
        for (_, lane) in host.lanes.iter_mut().enumerate().filter(|&(index, _)| still != Some(index)) {
            lane.poll(now);
            while let Some(range) = lane.flush(&mut buffer, now) {
                frames.push(buffer[range].to_vec());
                assert!(frames.len() < 100_000, "frames without end");
            }
            assert!(!lane.flush_due(now));
        }
        for bytes in frames {
            self.frames += 1;
            for to in (0..self.hosts.len()).filter(|&to| to != from) {
                self.put(to, &bytes);
            }
        }
    }

    /// A stranger's frame, to all.
    pub fn put_all(&mut self, bytes: &[u8]) {
        (0..self.hosts.len()).for_each(|to| self.put(to, bytes));
    }

    /// Puts a frame on the wire, as its faults allow.
    fn put(&mut self, to: usize, bytes: &[u8]) {
        if self.random.below(1000) < self.faults.lose {
            return;
        }
        let copies = 1 + u64::from(self.random.below(1000) < self.faults.double);
        for _ in 0..copies {
            let at = self.now + self.random.below(self.faults.delay_ms + 1) * MS;
            self.wire.push(Frame { at, to, bytes: bytes.to_vec() });
        }
    }

    /// A packet of flow `n` through host `through`, on any of its lanes. What passes arrives.
    pub fn send_through(&mut self, n: usize, through: usize, segment: &Segment) -> bool {
        let now = self.now;
        let lanes = self.host(through).lanes.len();
        let at = self.random.index(lanes);
        let passes = self.host(through).forwards(now, at, segment);
        if passes {
            self.flows[n].arrived(segment);
        }
        passes
    }

    /// One packet of every flow that is not closed through host `through`. How many were refused. A client that got no
    /// answer begins again.
    pub fn round(&mut self, through: usize) -> usize {
        let mut refused = 0;
        for n in 0..self.flows.len() {
            let flow = self.flows[n];
            if flow.phase == Phase::Closed {
                continue;
            }
            if !self.send_through(n, through, &flow.next()) {
                refused += 1;
                if flow.phase == Phase::SynAck {
                    let (now, opening) = (self.now, flow.opening());
                    self.host(through).forwards(now, 0, &opening);
                }
            }
        }
        refused
    }

    /// Opens every flow and lets both sides speak, through host `through`.
    pub fn talk(&mut self, through: usize, rounds: usize, pause: u64) -> usize {
        let mut refused = 0;
        for _ in 0..rounds {
            refused += self.round(through);
            self.run(pause, MS);
        }
        refused
    }

    /// A packet of every open flow in both directions passes on host `through`, whatever lane it comes in on.
    pub fn assert_all_pass(&mut self, through: usize) {
        for n in 0..self.flows.len() {
            let flow = self.flows[n];
            if !flow.is_open() {
                continue;
            }
            for forward in [true, false] {
                let segment = flow.probe(forward);
                for at in 0..self.host(through).lanes.len() {
                    let now = self.now;
                    let (_, verdict) = self.host(through).ask(now, at, &segment);
                    assert_eq!(verdict.action, Action::Pass, "{flow:?} forward {forward} lane {at}");
                }
            }
        }
    }

    /// Ends every TCP flow in order, through host `through`.
    pub fn close(&mut self, through: usize, which: impl Fn(usize) -> bool) {
        for n in (0..self.flows.len()).filter(|&n| which(n)) {
            let flow = self.flows[n];
            if flow.kind != Kind::Tcp || flow.phase != Phase::Open {
                continue;
            }
            assert!(self.send_through(n, through, &flow.closing()), "{flow:?}");
            for _ in 0..2 {
                let segment = self.flows[n].next();
                assert!(self.send_through(n, through, &segment), "{flow:?}");
            }
        }
    }

    /// Both hosts hold the same.
    pub fn assert_equal(&mut self, a: usize, b: usize) {
        let now = self.now;
        let (left, right) = (self.host(a).view(now), self.host(b).view(now));
        for (id, seen) in &left {
            assert_eq!(Some(seen), right.get(id), "{id:?} of host {a} on host {b}");
        }
        for id in right.keys() {
            assert!(left.contains_key(id), "{id:?} of host {b} is not on host {a}");
        }
    }
}
