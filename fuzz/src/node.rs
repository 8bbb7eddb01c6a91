//! A small node with two lanes, and a stranger who says anything to it: packets, frames, time.

use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{self, BurstInfo, Lane, PacketView, Verdict};
use pfplane::internals::packet::{Be16, Direction, Facts, Family, Key, Kind, Link, TcpFacts};
use pfplane::internals::state::{Options, SourceLimits};
use pfplane::internals::sync::{PeerSettings, SyncSettings};
use pfsync::envelope::{Address, Envelope, Transport};
use pfsync::{Action, FrameReader, Profile};

const CAPACITY: u32 = 64;
const OURS: Address = Address::V4([192, 0, 2, 1]);
const THEIRS: Address = Address::V4([192, 0, 2, 2]);

struct Node {
    engine: Engine,
    lanes: Vec<Lane>,
    now: u64,
}

/// Takes `data` as a list of steps, each one byte of what, one of how much, and that many bytes.
///
/// # Panics
/// When the node says what it must not: a state beyond its capacity or on a lane that does not own it, a broken frame,
/// a hand-off to nobody.
pub fn any_history(data: &[u8]) {
    let Some((first, mut rest)) = data.split_first() else { return };
    let profile = Profile::ALL[usize::from(first & 3)];
    let mut node = Node::new(profile);
    while let Some((&[what, length], tail)) = rest.split_first_chunk() {
        let length = if what & 8 == 0 { usize::from(length) } else { usize::from(length) * 6 };
        let (bytes, tail) = tail.split_at(length.min(tail.len()));
        rest = tail;
        match what & 3 {
            0 => node.packet(bytes, what),
            1 if what & 4 == 0 => node.packet(bytes, what),
            1 => node.facts(bytes, what),
            2 => node.frame(profile, bytes),
            _ => node.wait(u64::from(what) << 22),
        }
    }
    node.wait(1_000_000_000);
    node.check();
}

impl Node {
    fn new(profile: Profile) -> Self {
        let mut sync = SyncSettings { host_id: 0xfeed, ..SyncSettings::default() };
        sync.peers.push(PeerSettings::group(profile, OURS));
        let mut config = Config {
            lanes: 2,
            states_per_lane: CAPACITY,
            sync,
            start_unix_s: 1_700_000_000,
            max_half_open: CAPACITY,
            ..Config::default()
        };
        config.sources.capacity = 32;
        config.sources.limits.connections = 9;
        let (engine, lanes) = Engine::new(config).expect("a plain configuration");
        Self { engine, lanes, now: 1_000_000_000 }
    }

    fn packet(&mut self, bytes: &[u8], what: u8) {
        let direction = if what & 16 == 0 { Direction::In } else { Direction::Out };
        let link = if what & 32 == 0 { Link::Ip } else { Link::Ethernet };
        let burst = BurstInfo { direction, link, trust_hash: false, now: self.now };
        // Some packets go on in another segment than the first.
        let first = if what & 68 == 68 { usize::from(what >> 3) } else { bytes.len() };
        let data = &bytes[..first.min(bytes.len())];
        let view = || PacketView { data, packet_length: bytes.len() as u32, hash: None };
        let mut at = usize::from(what >> 7);
        let mut verdict = self.ask(at, &burst, view());
        if verdict.action == lane::Action::HandOff {
            at = usize::from(verdict.lane);
            verdict = self.ask(at, &burst, view());
            assert_ne!(verdict.action, lane::Action::HandOff, "the owner of a key keeps it");
        }
        if verdict.action == lane::Action::New {
            let _ = self.lanes[at].create(&burst, &view(), &options(what));
        }
    }

    /// Bytes as what a host says that it has read, sound or not.
    fn facts(&mut self, bytes: &[u8], what: u8) {
        let mut all = [0; 60];
        all[..bytes.len().min(60)].copy_from_slice(&bytes[..bytes.len().min(60)]);
        let direction = if what & 16 == 0 { Direction::In } else { Direction::Out };
        let burst = BurstInfo { direction, link: Link::Ip, trust_hash: what & 128 != 0, now: self.now };
        let facts = facts_of(&all);
        let hash = Some(u32::from(what) << 3);
        let at = usize::from(what >> 6 & 1);
        let verdict = self.lanes[at].lookup_facts(&burst, &facts, hash);
        let owner = if verdict.action == lane::Action::HandOff { usize::from(verdict.lane) } else { at };
        if matches!(verdict.action, lane::Action::New | lane::Action::HandOff) {
            let _ = self.lanes[owner].create_from_facts(&burst, &facts, None, &options(what));
        }
    }

    fn ask<'a>(&mut self, at: usize, burst: &BurstInfo, view: PacketView<'a>) -> Verdict {
        self.lanes[at].lookup(burst, &view)
    }

    /// The bytes as regions of a frame, in an envelope that is right.
    fn frame(&mut self, profile: Profile, regions: &[u8]) {
        let mut payload = vec![profile.version() as u8, 0];
        payload.extend(((20 + regions.len()) as u16).to_be_bytes());
        payload.extend([0; 16]);
        payload.extend(regions);
        let transport = Transport { source: THEIRS, ..PeerSettings::group(profile, OURS).transport };
        let mut packet = vec![0; transport.encoded_len()];
        packet.extend(&payload);
        transport.emit(&mut packet, payload.len(), 1).expect("both addresses are of one family");
        assert!(self.lanes[0].receive(&packet, self.now));
    }

    fn wait(&mut self, time: u64) {
        self.now += time;
        for _ in 0..2 {
            self.lanes.iter_mut().for_each(|lane| lane.poll(self.now));
        }
        let mut buffer = [0; 1600];
        for lane in &mut self.lanes {
            // Bulk transfers are paced: so many frames in one millisecond.
            for frame in 0.. {
                assert!(frame < 1000, "a flush that does not end");
                let Some(range) = lane.flush(&mut buffer, self.now) else { break };
                sound(&buffer[range]);
            }
        }
    }

    fn check(&self) {
        for (index, lane) in self.lanes.iter().enumerate() {
            let (mut from, mut states) = (0, 0);
            while let Some(state) = lane.state_from(from, self.now) {
                from = state.slot.0 + 1;
                states += 1;
                let lane_of = |key| usize::from(self.engine.steering().lane_of(key));
                assert!([&state.hot.key, &state.cold.stack_key].into_iter().any(|key| lane_of(key) == index));
            }
            assert!(states <= CAPACITY);
        }
    }
}

/// Some states have limits for their sources.
fn options(what: u8) -> Options {
    let mut options = Options { rule: u32::from(what >> 5), ..Options::default() };
    if what & 32 != 0 {
        options.source = SourceLimits { states: 3, sources: 9, ..SourceLimits::default() };
    }
    options
}

fn facts_of(bytes: &[u8; 60]) -> Facts {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (kind, proto, family) = match bytes[0] % 7 {
        0 | 1 => (Kind::Tcp, 6, Family::V4),
        2 => (Kind::Tcp, 6, Family::V6),
        3 => (Kind::Udp, 17, Family::V6),
        4 => (Kind::IcmpQuery, 1, Family::V4),
        5 => (Kind::IcmpError, bytes[1], Family::V4),
        _ => (Kind::Other, 132, Family::V6),
    };
    let mut key = Key { family, proto, ..Key::EMPTY };
    (key.addr[0][0], key.addr[1][0]) = (bytes[2] & 7, bytes[3] & 1);
    key.port = [Be16::new(u16::from(bytes[4] & 15)), Be16::new(80)];
    let tcp = TcpFacts {
        seq: word(8),
        ack: word(12),
        window: word(16) as u16,
        flags: bytes[20] & 0x3f,
        wscale: bytes[21],
        mss: word(22) as u16,
        payload: word(28),
    };
    let tcp = if kind == Kind::Tcp { tcp } else { TcpFacts::NONE };
    Facts { key, kind, ip_length: word(40), tcp, ..Facts::EMPTY }
}

/// What the node sends can be read to its end.
fn sound(packet: &[u8]) {
    let envelope = Envelope::parse(packet).expect("our own envelope");
    let mut reader = FrameReader::new(&packet[envelope.payload]).expect("our own frame");
    while let Some(region) = reader.next_region() {
        let region = region.expect("a sound region");
        assert!(region.action() == Action::Eof || region.records().count() > 0, "an empty region");
    }
}
