//! A small node with two lanes that receives arbitrary packets, facts and frames.

use pfplane::internals::engine::Config;
use pfplane::internals::lane::{self, BurstInfo, PacketView};
use pfplane::internals::packet::{Be16, Direction, Facts, Family, Key, Kind, Link, TcpFacts};
use pfplane::internals::state::{Options, SourceLimits};
use pfplane::internals::sync::{PeerSettings, SyncSettings};
use pfplane_testkit::node::{Clock, Node};
use pfsync::envelope::{Address, Envelope, Transport};
use pfsync::{Action, FrameReader, Profile};

const CAPACITY: usize = 64;
const MAX_FRAMES: usize = 1000;
const OURS: Address = Address::V4([192, 0, 2, 1]);
const THEIRS: Address = Address::V4([192, 0, 2, 2]);

struct Target {
    node: Node,
    now: u64,
}

/// Runs `data` as a list of steps: one byte for the kind, one for the length, and that many bytes.
///
/// # Panics
/// When the node has more states than its capacity, or one on a lane that does not own it; when it sends a malformed
/// frame; when an owner hands a packet off.
pub fn any_history(data: &[u8]) {
    let Some((first, mut rest)) = data.split_first() else { return };
    let profile = Profile::ALL[usize::from(first & 3)];
    let mut target = Target::new(profile);
    while let Some((&[what, length], tail)) = rest.split_first_chunk() {
        let length = if what & 8 == 0 { usize::from(length) } else { usize::from(length) * 6 };
        let (bytes, tail) = tail.split_at(length.min(tail.len()));
        rest = tail;
        match what & 3 {
            0 => target.packet(bytes, what),
            1 if what & 4 == 0 => target.packet(bytes, what),
            1 => target.facts(bytes, what),
            2 => target.frame(profile, bytes),
            _ => target.wait(u64::from(what) << 22),
        }
    }
    target.wait(1_000_000_000);
    target.check();
}

impl Target {
    fn new(profile: Profile) -> Self {
        let mut sync = SyncSettings { host_id: 0xfeed, ..SyncSettings::default() };
        sync.peers.push(PeerSettings::group(profile, OURS));
        let mut config = Config {
            lanes: 2,
            states_per_lane: CAPACITY as u32,
            sync,
            start_unix_s: 1_700_000_000,
            random_seed: Some([7; 32]),
            max_half_open: CAPACITY as u32,
            ..Config::default()
        };
        config.sources.capacity = 32;
        config.sources.limits.connections = 9;
        Self { node: Node::new(config, Clock::default()), now: 1_000_000_000 }
    }

    fn packet(&mut self, bytes: &[u8], what: u8) {
        let direction = if what & 16 == 0 { Direction::In } else { Direction::Out };
        let link = if what & 32 == 0 { Link::Ip } else { Link::Ethernet };
        let burst = BurstInfo { direction, link, rdomain: 0, trust_hash: false, now: self.now };
        // Some packets are longer than their first segment.
        let first = if what & 68 == 68 { usize::from(what >> 3) } else { bytes.len() };
        let data = &bytes[..first.min(bytes.len())];
        let view = PacketView { packet_length: bytes.len() as u32, ..PacketView::new(data) };
        let mut at = usize::from(what >> 7);
        let lanes = &mut self.node.lanes;
        let mut verdict = lanes[at].lookup(&burst, &view);
        if verdict.action == lane::Action::HandOff {
            at = usize::from(verdict.lane);
            verdict = lanes[at].lookup(&burst, &view);
            assert_ne!(verdict.action, lane::Action::HandOff, "the owner hands a packet off");
        }
        if verdict.action == lane::Action::New {
            let _ = lanes[at].create(&burst, &view, &options(what));
        }
    }

    /// Uses the bytes as facts that a host has parsed, valid or not.
    fn facts(&mut self, bytes: &[u8], what: u8) {
        let mut all = [0; 60];
        all[..bytes.len().min(60)].copy_from_slice(&bytes[..bytes.len().min(60)]);
        let direction = if what & 16 == 0 { Direction::In } else { Direction::Out };
        let burst = BurstInfo { direction, link: Link::Ip, rdomain: 0, trust_hash: what & 128 != 0, now: self.now };
        let facts = facts_of(&all);
        let hash = Some(u32::from(what) << 3);
        let at = usize::from(what >> 6 & 1);
        let verdict = self.node.lanes[at].lookup_facts(&burst, &facts, hash);
        let owner = if verdict.action == lane::Action::HandOff { usize::from(verdict.lane) } else { at };
        if matches!(verdict.action, lane::Action::New | lane::Action::HandOff) {
            let _ = self.node.lanes[owner].create_from_facts(&burst, &facts, None, &options(what));
        }
    }

    /// Uses the bytes as the regions of a frame in a valid envelope.
    fn frame(&mut self, profile: Profile, regions: &[u8]) {
        let mut payload = vec![profile.version() as u8, 0];
        payload.extend(((20 + regions.len()) as u16).to_be_bytes());
        payload.extend([0; 16]);
        payload.extend(regions);
        let transport = Transport { source: THEIRS, ..PeerSettings::group(profile, OURS).transport };
        let mut packet = vec![0; transport.encoded_len()];
        packet.extend(&payload);
        transport.emit(&mut packet, payload.len(), 1).expect("both addresses are of one family");
        self.node.receive(&packet, self.now);
    }

    /// Lets time pass. A second poll delivers what the lanes sent each other; bulk transfers are paced.
    fn wait(&mut self, time: u64) {
        self.now += time;
        for lane in [0, 1, 0, 1] {
            let mut frames = 0;
            self.node.poll(lane, self.now, MAX_FRAMES, |packet| {
                check_frame(packet);
                frames += 1;
            });
            assert!(frames < MAX_FRAMES, "a flush that does not end");
        }
    }

    fn check(&self) {
        let mut states = [0; 2];
        self.node.for_each_state(self.now, |lane, state| {
            states[lane] += 1;
            let lane_of = |key| usize::from(self.node.engine.steering().lane_of(key));
            assert!([&state.hot.key, &state.cold.stack_key].into_iter().any(|key| lane_of(key) == lane));
        });
        assert!(states.iter().all(|&count| count <= CAPACITY), "{states:?}");
    }
}

/// Draws the options of a state: some have source limits.
fn options(what: u8) -> Options {
    let mut options = Options { rule: u32::from(what >> 5), ..Options::default() };
    if what & 32 != 0 {
        options.source = SourceLimits { states: 3, sources: 9, ..SourceLimits::default() };
    }
    options
}

/// Builds facts from bytes.
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

/// Expects that a frame of the node can be decoded to its end.
fn check_frame(packet: &[u8]) {
    let envelope = Envelope::parse(packet).expect("a valid envelope");
    let mut reader = FrameReader::new(&packet[envelope.payload]).expect("a valid frame");
    while let Some(region) = reader.next_region() {
        let region = region.expect("a valid region");
        assert!(region.action() == Action::Eof || region.records().count() > 0, "an empty region");
    }
}
