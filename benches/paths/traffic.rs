//! Ethernet frames of established TCP connections, made outside the clock into memory that the second-level cache holds,
//! as a card that writes into the cache would leave them.

use crate::harness::streams;
use pfplane::internals::lane::PacketView;
use pfplane::internals::packet::{Direction, Family, Key, tcp_flags};
use pfplane_testkit::Random;

/// Frames between two readings of the clock.
pub const BLOCK: usize = 2048;
/// Packets that are under way together, with all contenders that work in bursts.
pub const BURST: usize = 32;

/// A frame's place in memory.
const STRIDE: usize = 128;
const PAYLOAD: u32 = 6;
const FIRST: [u32; 2] = [1000, 5000];
/// Flow numbers drawn beforehand.
const DRAWN: usize = 1 << 20;

/// The way of a packet: from the client, or to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Forward,
    Reverse,
}

impl Flow {
    /// Which way it crosses the interface that the states are of.
    pub const fn direction(self) -> Direction {
        match self {
            Self::Forward => Direction::In,
            Self::Reverse => Direction::Out,
        }
    }
}

/// Frames that go one way.
pub struct Frames {
    bytes: Vec<u8>,
    length: usize,
    /// How many.
    pub count: usize,
}

impl Frames {
    /// Frame number `place`.
    #[inline]
    pub fn view(&self, place: usize) -> PacketView<'_> {
        let at = place * STRIDE;
        PacketView { data: &self.bytes[at..at + self.length], packet_length: self.length as u32, hash: None }
    }
}

/// A step of the opening.
#[derive(Clone, Copy)]
pub struct Step {
    pub flow: Flow,
    /// Makes the state.
    pub begins: bool,
    flags: u8,
    seq: u32,
    ack: u32,
}

/// The three packets that open a connection.
pub const OPENING: [Step; 3] = {
    use tcp_flags::{ACK, SYN};
    let [client, server] = FIRST;
    [
        Step { flow: Flow::Forward, begins: true, flags: SYN, seq: client, ack: 0 },
        Step { flow: Flow::Reverse, begins: false, flags: SYN | ACK, seq: server, ack: client + 1 },
        Step { flow: Flow::Forward, begins: false, flags: ACK, seq: client + 1, ack: server + 1 },
    ]
};

/// A stream of packets, every flow as likely as any other, in blocks that go one way and the other in turn.
pub struct Traffic {
    pub frames: Frames,
    family: Family,
    size: u32,
    drawn: Vec<u32>,
    at: usize,
    /// Data segments that each side of each flow has sent.
    sent: Vec<[u32; 2]>,
    forward: bool,
}

impl Traffic {
    /// Of flows `0..size`.
    pub fn new(size: u32, family: Family) -> Self {
        let mut random = Random::new(0x5eed);
        let length = if family == Family::V4 { 54 } else { 74 } + PAYLOAD as usize;
        Self {
            frames: Frames { bytes: vec![0; BLOCK * STRIDE], length, count: BLOCK },
            family,
            size,
            drawn: (0..DRAWN).map(|_| random.below_u32(size)).collect(),
            at: 0,
            sent: vec![[0; 2]; size as usize],
            forward: false,
        }
    }

    /// The way of the next block: whether forward.
    pub const fn turn(&mut self) -> bool {
        self.forward = !self.forward;
        self.forward
    }

    /// The first flow of every block of the opening.
    pub fn blocks(&self) -> impl Iterator<Item = u32> + use<> {
        (0..self.size).step_by(BLOCK)
    }

    /// One packet of the opening of each flow from `first` on.
    pub fn fill_opening(&mut self, first: u32, step: Step) {
        let last = self.size.min(first + BLOCK as u32);
        self.frames.count = (last - first) as usize;
        for (place, number) in (first..last).enumerate() {
            let key = streams::key(number, self.family);
            write(&mut self.frames, place, &key, step);
        }
    }

    /// The next block of data.
    pub fn fill(&mut self, flow: Flow) {
        self.frames.count = BLOCK;
        for place in 0..BLOCK {
            let number = self.drawn[self.at];
            self.at = (self.at + 1) % DRAWN;
            let sent = &mut self.sent[number as usize];
            let (own, other) = if flow == Flow::Forward { (0, 1) } else { (1, 0) };
            let next = |side: usize, sent: u32| FIRST[side].wrapping_add(1 + sent.wrapping_mul(PAYLOAD));
            let (seq, ack) = (next(own, sent[own]), next(other, sent[other]));
            sent[own] += 1;
            let step = Step { flow, begins: false, flags: tcp_flags::ACK, seq, ack };
            write(&mut self.frames, place, &streams::key(number, self.family), step);
        }
    }
}

/// Writes a frame of 60 or 80 bytes, what a card would deliver of the shortest segments with data.
fn write(frames: &mut Frames, place: usize, key: &Key, step: Step) {
    let frame = &mut frames.bytes[place * STRIDE..][..frames.length];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    let (from, to) = if step.flow == Flow::Forward { (0, 1) } else { (1, 0) };
    let opens = step.flags & tcp_flags::SYN != 0 || step.ack == FIRST[1] + 1 && step.seq == FIRST[0] + 1;
    let payload = if opens { 0 } else { PAYLOAD as u16 };
    let tcp = if key.family == Family::V4 {
        frame[12..24].copy_from_slice(&[8, 0, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6]);
        frame[16..18].copy_from_slice(&(40 + payload).to_be_bytes());
        frame[26..30].copy_from_slice(&key.addr[from][..4]);
        frame[30..34].copy_from_slice(&key.addr[to][..4]);
        &mut frame[34..]
    } else {
        frame[12..22].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 6, 64]);
        frame[18..20].copy_from_slice(&(20 + payload).to_be_bytes());
        frame[22..38].copy_from_slice(&key.addr[from]);
        frame[38..54].copy_from_slice(&key.addr[to]);
        &mut frame[54..]
    };
    tcp[..2].copy_from_slice(&key.port[from].0);
    tcp[2..4].copy_from_slice(&key.port[to].0);
    tcp[4..8].copy_from_slice(&step.seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&step.ack.to_be_bytes());
    tcp[12..16].copy_from_slice(&[5 << 4, step.flags, 0xff, 0xff]);
}
