//! Ethernet frames of established TCP connections. They are prepared outside the timed section in memory that fits the
//! second-level cache, as a network card that writes into the cache would leave them.

use crate::harness::streams;
use pfplane::internals::lane::PacketView;
use pfplane::internals::packet::{Direction, Family, Key, tcp_flags};
use pfplane_testkit::Random;

/// Frames in a timed block.
pub(crate) const BLOCK: usize = 2048;
/// Packets in a burst, for all contenders that work in bursts.
pub(crate) const BURST: usize = 32;

/// Distance of frames in memory.
const STRIDE: usize = 128;
const PAYLOAD: u32 = 6;
/// Initial sequence numbers of client and server.
const INITIAL_SEQ: [u32; 2] = [1000, 5000];
/// Flow numbers that are drawn in advance.
const DRAWN: usize = 1 << 20;

/// The direction of a packet: from the client, or to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Forward,
    Reverse,
}

impl Flow {
    /// Returns the direction at the interface of the states.
    pub(crate) const fn direction(self) -> Direction {
        match self {
            Self::Forward => Direction::In,
            Self::Reverse => Direction::Out,
        }
    }
}

/// Frames of one direction.
pub(crate) struct Frames {
    bytes: Vec<u8>,
    length: usize,
    /// Number of frames.
    pub count: usize,
}

impl Frames {
    /// Returns frame `index`.
    #[inline]
    pub(crate) fn view(&self, index: usize) -> PacketView<'_> {
        let at = index * STRIDE;
        PacketView::new(&self.bytes[at..at + self.length])
    }
}

/// A step of the handshake.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub flow: Flow,
    /// Whether it creates the state.
    pub creates: bool,
    flags: u8,
    seq: u32,
    ack: u32,
}

/// The handshake.
pub(crate) const OPENING: [Step; 3] = {
    use tcp_flags::{ACK, SYN};
    let [client, server] = INITIAL_SEQ;
    [
        Step { flow: Flow::Forward, creates: true, flags: SYN, seq: client, ack: 0 },
        Step { flow: Flow::Reverse, creates: false, flags: SYN | ACK, seq: server, ack: client + 1 },
        Step { flow: Flow::Forward, creates: false, flags: ACK, seq: client + 1, ack: server + 1 },
    ]
};

/// A stream of packets of equally likely flows, in blocks of alternating direction.
pub(crate) struct Traffic {
    pub frames: Frames,
    family: Family,
    size: u32,
    drawn: Vec<u32>,
    next: usize,
    /// Data segments sent, per flow and side.
    sent: Vec<[u32; 2]>,
    forward: bool,
}

impl Traffic {
    /// Builds the traffic of flows `0..size`.
    pub(crate) fn new(size: u32, family: Family) -> Self {
        let mut random = Random::new(0x5eed);
        let length = if family == Family::V4 { 54 } else { 74 } + PAYLOAD as usize;
        Self {
            frames: Frames { bytes: vec![0; BLOCK * STRIDE], length, count: BLOCK },
            family,
            size,
            drawn: (0..DRAWN).map(|_| random.below_u32(size)).collect(),
            next: 0,
            sent: vec![[0; 2]; size as usize],
            forward: false,
        }
    }

    /// Returns whether the next block is forward.
    pub(crate) const fn turn(&mut self) -> bool {
        self.forward = !self.forward;
        self.forward
    }

    /// Returns the first flow of every block of the handshake.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = u32> + use<> {
        (0..self.size).step_by(BLOCK)
    }

    /// Prepares one step of the handshake for a block of flows from `first` on.
    pub(crate) fn fill_opening(&mut self, first: u32, step: Step) {
        let last = self.size.min(first + BLOCK as u32);
        self.frames.count = (last - first) as usize;
        for (index, number) in (first..last).enumerate() {
            let key = streams::key(number, self.family);
            write(&mut self.frames, index, &key, step);
        }
    }

    /// Prepares the next block of data segments.
    pub(crate) fn fill(&mut self, flow: Flow) {
        self.frames.count = BLOCK;
        for index in 0..BLOCK {
            let number = self.drawn[self.next];
            self.next = (self.next + 1) % DRAWN;
            let sent = &mut self.sent[number as usize];
            let (own, other) = if flow == Flow::Forward { (0, 1) } else { (1, 0) };
            let next =
                |side: usize, sent: u32| INITIAL_SEQ[side].wrapping_add(1 + sent.wrapping_mul(PAYLOAD));
            let (seq, ack) = (next(own, sent[own]), next(other, sent[other]));
            sent[own] += 1;
            let step = Step { flow, creates: false, flags: tcp_flags::ACK, seq, ack };
            write(&mut self.frames, index, &streams::key(number, self.family), step);
        }
    }
}

/// Writes a frame of 60 or 80 bytes: a short data segment, as a network card delivers it.
fn write(frames: &mut Frames, index: usize, key: &Key, step: Step) {
    let frame = &mut frames.bytes[index * STRIDE..][..frames.length];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    let (from, to) = if step.flow == Flow::Forward { (0, 1) } else { (1, 0) };
    let opens =
        step.flags & tcp_flags::SYN != 0 || step.ack == INITIAL_SEQ[1] + 1 && step.seq == INITIAL_SEQ[0] + 1;
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
