//! Two nodes on one link: whole states into frames, frames into the other node's table.

use super::sender::record;
use super::{BLOCK, blocks, draw, timeouts};
use crate::harness::rounds;
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{Aes256Gcm, KeyInit};
use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::Lane;
use pfplane::internals::memory::{Heap, Memory, Owned};
use pfplane::internals::seal::{SealKey, SealKeys, SealMode};
use pfplane::internals::state::Timeouts;
use pfplane::internals::sync::{
    Arrival, Exporter, Importer, MessageRef, Numbers, PeerSeal, PeerSettings, Removal, SyncSettings,
};
use pfplane::internals::table::{Slot, Table};
use pfplane::internals::time::{NANOS_PER_SECOND, Nanos};
use pfplane_testkit::Random;
use pfsync::envelope::Address;
use pfsync::{Profile, TAG_BYTES};

/// Where the bytes begin that a tag covers in a packet of IPv4.
const FIRST_COVERED: usize = 12;

/// How the frames of a pair are protected.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// With a seal.
    Sealed,
    /// Encrypted.
    Encrypted,
    /// As stock systems exchange them.
    Plain,
    /// With numbers, so that lost frames are found, and without a seal.
    Numbered,
}

impl Kind {
    /// All kinds, the sealed one first.
    pub(crate) const ALL: [Self; 4] = [Self::Sealed, Self::Plain, Self::Numbered, Self::Encrypted];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sealed => "pfplane, sealed",
            Self::Encrypted => "encrypted",
            Self::Plain => "plain",
            Self::Numbered => "numbered",
        }
    }

    const fn mode(self) -> SealMode {
        match self {
            Self::Sealed => SealMode::Require,
            Self::Encrypted => SealMode::Encrypt,
            Self::Plain | Self::Numbered => SealMode::Off,
        }
    }
}

/// The settings of node `n` for the other one.
fn settings(n: u8, kind: Kind, mtu: usize) -> SyncSettings {
    let address = |n| Address::V4([192, 0, 2, n]);
    let mut keys = SealKeys::default();
    if kind.mode() != SealMode::Off {
        keys.push(SealKey::new(1, &[7; 32]).expect("32 bytes")).expect("the first key");
    }
    let seal = PeerSeal { mode: kind.mode(), keys, ..PeerSeal::default() };
    let peer = PeerSettings::new(Profile::OpenBsd6, address(n), address(3 - n));
    let peer = PeerSettings { extensions: kind != Kind::Plain, seal, ..peer };
    // The table is filled by the peer.
    let max_imported = Some(u32::MAX);
    SyncSettings {
        host_id: n.into(),
        mtu: mtu as u32,
        max_imported,
        peers: vec![peer],
        ..SyncSettings::default()
    }
}

/// A node that sends whole states to the other one.
pub(crate) struct Sender {
    table: Table,
    exporter: Owned<Exporter>,
    importer: Owned<Importer>,
    slots: Vec<Slot>,
    timeouts: Timeouts,
    random: Random,
    now: Nanos,
    next_id: u64,
}

impl Sender {
    /// Builds a node with `size` states.
    pub(crate) fn new(kind: Kind, size: u32, mtu: usize) -> Self {
        let ours = settings(1, kind, mtu);
        let random = (Some([5; 32]), None, 1);
        let seals = ours.seals(random, 1, Heap::SYSTEM).expect("memory");
        let mut importer = Importer::new(&ours, Heap::SYSTEM).expect("memory");
        let mut exporter = Exporter::new(ours).expect("valid settings");
        importer.set_seals(&seals, Heap::SYSTEM).expect("memory");
        exporter.set_seals(&seals, 0, Heap::SYSTEM).expect("memory");
        exporter.set_numbers(Numbers::new(seals.map_or(1, |seals| seals.epoch()), 0));
        let mut sender = Self {
            table: Table::new(size, [1, 2, 3, 4], &Memory::SYSTEM, -1).expect("memory"),
            exporter,
            importer,
            slots: Vec::new(),
            timeouts: timeouts(),
            random: Random::new(7),
            now: NANOS_PER_SECOND,
            next_id: 1,
        };
        for flow in 0..size {
            let slot = sender.insert(flow);
            sender.slots.push(slot);
        }
        sender
    }

    /// Returns nanoseconds per frame from the note of changed states to finished frames of whole states.
    pub(crate) fn send(&mut self, smoke: bool) -> f64 {
        let mut timed = Vec::new();
        let mut buffer = vec![0; self.exporter.settings().mtu as usize];
        for _ in 0..blocks(smoke) {
            let flows = self.draw();
            let (ns, frames) = rounds::time(|| {
                self.announce(&flows);
                let mut frames = 0;
                while let Some(length) = self.write(&mut buffer) {
                    std::hint::black_box(&buffer[..length]);
                    frames += 1;
                }
                frames
            });
            timed.push(ns / f64::from(frames));
        }
        rounds::median(&timed)
    }

    /// Returns the frames of a block.
    pub(crate) fn frames(&mut self) -> Vec<Vec<u8>> {
        let flows = self.draw();
        self.announce(&flows);
        let mut buffer = vec![0; self.exporter.settings().mtu as usize];
        core::iter::from_fn(|| self.write(&mut buffer).map(|length| buffer[..length].to_vec())).collect()
    }

    fn draw(&mut self) -> Vec<u32> {
        draw(&mut self.random, self.slots.len() as u32)
    }

    fn insert(&mut self, flow: u32) -> Slot {
        self.next_id += 1;
        self.table.insert(&record(flow, self.next_id)).expect("the capacity fits")
    }

    fn remove(&mut self, flow: u32) {
        let slot = self.slots[flow as usize];
        self.exporter.removed(&mut self.table, slot, self.now, Removal::Ended);
        self.table.remove(slot);
    }

    #[inline(never)]
    fn announce(&mut self, flows: &[u32]) {
        for &flow in flows {
            self.exporter.inserted(&mut self.table, self.slots[flow as usize], self.now);
        }
        self.now += NANOS_PER_SECOND;
    }

    /// Writes the next due frame. Returns its length.
    #[inline(never)]
    fn write(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let flushed = self.exporter.flush(&mut self.table, &self.timeouts, self.now, buffer);
        flushed.map(|flushed| flushed.length)
    }
}

/// A node that sends its states, and one that holds them.
pub(crate) struct Pair {
    sender: Sender,
    _engine: Engine,
    receiver: Lane,
    /// The frames to deliver.
    frames: Vec<Vec<u8>>,
}

impl Pair {
    /// Builds both nodes. Both hold `size` states afterwards.
    pub(crate) fn new(kind: Kind, size: u32, mtu: usize) -> Self {
        let config = Config {
            states_per_lane: size,
            sync: settings(2, kind, mtu),
            timeouts: timeouts(),
            adaptive_by_capacity: false,
            ..Config::default()
        };
        let (engine, mut lanes) = Engine::new(config).expect("memory");
        let sender = Sender::new(kind, size, mtu);
        let mut pair = Self { sender, _engine: engine, receiver: lanes.remove(0), frames: Vec::new() };
        (0..20).for_each(|_| pair.exchange());
        let all: Vec<u32> = (0..size).collect();
        for flows in all.chunks(BLOCK) {
            pair.sender.announce(flows);
            pair.write();
            pair.deliver();
            pair.exchange();
        }
        pair.check();
        pair
    }

    /// Returns nanoseconds per frame from the frame to new states in the table.
    pub(crate) fn receive(&mut self, smoke: bool) -> f64 {
        let mut timed = Vec::new();
        for _ in 0..blocks(smoke) {
            let flows = self.sender.draw();
            flows.iter().for_each(|&flow| self.sender.remove(flow));
            self.sender.now += NANOS_PER_SECOND;
            self.write();
            self.deliver();
            self.exchange();
            for &flow in &flows {
                self.sender.slots[flow as usize] = self.sender.insert(flow);
            }
            self.sender.announce(&flows);
            self.write();
            let (ns, ()) = rounds::time(|| self.deliver());
            timed.push(ns / self.frames.len() as f64);
        }
        rounds::median(&timed)
    }

    /// Checks that the receiver holds as many states as the sender: nothing was refused.
    pub(crate) fn check(&mut self) {
        let (mut count, mut from) = (0, 0);
        while let Some(state) = self.receiver.state_from(from, self.sender.now) {
            from = state.slot.0 + 1;
            count += 1;
        }
        assert_eq!(count, self.sender.slots.len(), "the peer holds all states");
    }

    /// Writes all frames that are due.
    fn write(&mut self) {
        self.frames.clear();
        let mut buffer = vec![0; self.sender.exporter.settings().mtu as usize];
        while let Some(length) = self.sender.write(&mut buffer) {
            self.frames.push(buffer[..length].to_vec());
        }
    }

    #[inline(never)]
    fn deliver(&mut self) {
        for frame in &self.frames {
            assert!(self.receiver.receive(frame, self.sender.now));
        }
    }

    /// Polls both nodes and delivers what they send by themselves: the handshake, reports, heartbeats.
    fn exchange(&mut self) {
        self.sender.now += 1_000_000;
        let now = self.sender.now;
        let mut buffer = vec![0; self.sender.exporter.settings().mtu as usize];
        for _ in 0..2 {
            self.receiver.poll(now);
            let Sender { importer, exporter, .. } = &mut self.sender;
            while let Some(range) = self.receiver.flush(&mut buffer, now) {
                importer.receive(&buffer[range], Arrival::SyncPort, now, |_: &MessageRef<'_>| {});
            }
            importer.step_seal(now);
            exporter.step_seal(now);
            self.write();
            self.deliver();
        }
    }
}

/// The authentication of frames alone.
pub(crate) struct Mac {
    cipher: Aes256Gcm,
    frames: Vec<Vec<u8>>,
    number: u64,
}

impl Mac {
    pub(crate) fn new(frames: Vec<Vec<u8>>) -> Self {
        Self { cipher: Aes256Gcm::new(&[7; 32].into()), frames, number: 0 }
    }

    /// Returns the mean length of a packet.
    pub(crate) fn packet_bytes(&self) -> f64 {
        self.frames.iter().map(Vec::len).sum::<usize>() as f64 / self.frames.len() as f64
    }

    /// Returns nanoseconds per frame.
    pub(crate) fn tag(&mut self, smoke: bool) -> f64 {
        let mut timed = Vec::new();
        for _ in 0..blocks(smoke) {
            let (ns, ()) = rounds::time(|| {
                for frame in &self.frames {
                    self.number += 1;
                    let mut nonce = [0; 12];
                    nonce[..8].copy_from_slice(&self.number.to_be_bytes());
                    let covered = &frame[FIRST_COVERED..frame.len() - TAG_BYTES];
                    let empty = InOutBuf::from(&mut [][..]);
                    let tag = self.cipher.encrypt_inout_detached((&nonce).into(), covered, empty);
                    std::hint::black_box(tag.expect("a short frame"));
                }
            });
            timed.push(ns / self.frames.len() as f64);
        }
        rounds::median(&timed)
    }
}
