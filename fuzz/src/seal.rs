//! A sealed node that an attacker sends anything: recorded frames with edits, in any order.

use crate::input::Input;
use pfplane::pfsync::Profile;
use pfplane::pfsync::envelope::Address;
use pfplane::{
    BurstInfo, Config, Direction, Engine, Lane, Link, Options, PacketView, PeerSeal, PeerSettings, SealKey,
    SealKeys, SealMode, SyncSettings,
};
use pfplane_testkit::Packet;
use std::collections::HashSet;

const MS: u64 = 1_000_000;

struct Node {
    engine: Engine,
    lane: Lane,
}

impl Node {
    fn new(number: u8, mode: SealMode) -> Self {
        let address = |node| Address::V4([192, 0, 2, node]);
        let mut keys = SealKeys::default();
        keys.push(SealKey::new(1, &[7; 32]).expect("32 bytes")).expect("the first key");
        let seal = PeerSeal { mode, keys, ..PeerSeal::default() };
        let peer = PeerSettings::new(Profile::OpenBsd6, address(number), address(3 - number));
        let peer = PeerSettings { extensions: true, seal, ..peer };
        let sync = SyncSettings { host_id: number.into(), peers: vec![peer], ..Config::default().sync };
        let config = Config { states_per_lane: 64, sync, ..Config::default() };
        let (engine, lanes) = Engine::new(config).expect("valid settings");
        Self { engine, lane: lanes.into_iter().next().expect("one lane") }
    }

    fn frames(&mut self, now: u64) -> Vec<Vec<u8>> {
        self.lane.poll(now);
        let mut buffer = vec![0; self.lane.max_frame_bytes()];
        let mut frames = Vec::new();
        while let Some(range) = self.lane.flush(&mut buffer, now) {
            frames.push(buffer[range].to_vec());
        }
        frames
    }

    fn create(&mut self, port: u16, now: u64) {
        let info = BurstInfo { direction: Direction::In, link: Link::Ip, rdomain: 0, trust_hash: false, now };
        let syn = Packet::syn(false, 5, 6, [port, 443]).tcp();
        self.lane.create(&info, &PacketView::new(&syn), &Options::default());
    }

    /// Frames accepted, and all that were received.
    fn counts(&mut self, now: u64) -> (u64, u64) {
        self.lane.poll(now);
        let stat = |name| self.engine.stat_named(name).expect("a statistic");
        (stat("frames_sealed"), stat("ipackets") + stat("ipackets6"))
    }
}

/// Sends a node edited copies of what was sent on its link.
///
/// # Panics
/// If a frame is accepted that its peer has not sent in this run, or one is accepted twice.
pub fn attack(data: &[u8]) {
    let mut input = Input::new(data);
    // Either node signs or encrypts.
    let modes = input.byte();
    let mode = |bit: u8| if modes & bit == 0 { SealMode::Require } else { SealMode::Encrypt };
    let (mut here, mut there) = (Node::new(1, mode(1)), Node::new(2, mode(2)));
    let (mut recorded, mut held) = (Vec::new(), HashSet::new());
    (0..3).for_each(|port| there.create(4000 + port, MS));
    for step in 1..5 {
        for frame in here.frames(step * MS) {
            there.lane.receive(&frame, step * MS);
            recorded.push(frame);
        }
        for frame in there.frames(step * MS) {
            here.lane.receive(&frame, step * MS);
            recorded.push(frame);
        }
    }
    // Frames that the attacker has held back.
    (0..5).for_each(|port| there.create(5000 + port, 5 * MS));
    for frame in there.frames(20 * MS) {
        held.insert(frame.clone());
        recorded.push(frame);
    }
    let now = 21 * MS;
    let (mut accepted, _) = here.counts(now);
    // Each poll later than the last one, so that it publishes the statistics.
    for time in (now..).step_by(2 * MS as usize).skip(1).take(32) {
        let Some(index) = input.next() else { return };
        let mut frame = recorded[usize::from(index) % recorded.len()].clone();
        for _ in 0..input.byte() % 4 {
            let (at, value) = (usize::from(input.word()) % frame.len(), input.byte());
            match input.byte() % 4 {
                0 => frame[at] ^= value.max(1),
                1 => frame.truncate(at + 1),
                2 => frame.insert(at, value),
                _ => {
                    let other = &recorded[usize::from(value) % recorded.len()];
                    let from = at.min(other.len());
                    frame.truncate(from.max(1));
                    frame.extend_from_slice(&other[from..]);
                }
            }
        }
        here.lane.receive(&frame, time);
        let (now_accepted, _) = here.counts(time);
        if now_accepted > accepted {
            // The tag covers everything from the source address to the end of the packet.
            let genuine = held.iter().find(|genuine| {
                frame.len() >= genuine.len() && frame[12..genuine.len()] == genuine[12..]
            });
            let genuine = genuine.cloned().expect("a forged frame was accepted");
            held.remove(&genuine);
        }
        accepted = now_accepted;
    }
}
