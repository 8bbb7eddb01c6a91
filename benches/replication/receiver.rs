//! Frames of a peer into the table, and acknowledgements.

use super::{Random, blocks, draw, engine, family_of, settings};
use crate::harness::rounds;
use crate::harness::streams;
use pfplane::internals::lane::Lane;
use pfplane::internals::packet::Family;
use pfplane::internals::time::{NANOS_PER_SECOND, Nanos};
use pfsync::envelope::{Address, GROUP_V4, TOS_LOW_DELAY, Transport};
use pfsync::{
    Action, CompressedUpdate, Family as WireFamily, FrameReader, FrameWriter, FullState, Identity, Profile,
    StateKey, StatePeer, WriterOptions, state_flags,
};

/// States in a timed block.
const BLOCK: usize = 2048;
const IP: usize = 20;
const ESTABLISHED: u8 = 2;
const TRANSPORT: Transport =
    Transport { source: Address::V4([192, 0, 2, 2]), destination: GROUP_V4, tos: TOS_LOW_DELAY };

/// A kind of message to receive.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Message {
    Insert,
    Update,
    Delete,
}

/// A lane that receives states of a peer and sees none of their packets.
pub(crate) struct Receiver {
    lane: Lane,
    size: u32,
    mtu: usize,
    random: Random,
    now: Nanos,
    /// Part of the sequence numbers, so that no update is stale.
    turn: u32,
    /// How often each flow was inserted, which is a part of its id: the id of a state that ended is not accepted again.
    inserts: Vec<u32>,
}

impl Receiver {
    pub(crate) fn new(size: u32, mtu: usize) -> Self {
        let (_, lane) = engine(size, settings(1, mtu as u32));
        let mut receiver = Self {
            lane,
            size,
            mtu,
            random: Random::new(9),
            now: NANOS_PER_SECOND,
            turn: 0,
            inserts: vec![0; size as usize],
        };
        let all: Vec<u32> = (0..size).collect();
        for flows in all.chunks(BLOCK) {
            let frames = receiver.frames(Message::Insert, flows);
            receiver.take(&frames);
        }
        receiver.expect(size);
        receiver
    }

    fn frames(&self, message: Message, flows: &[u32]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut rest = flows;
        while !rest.is_empty() {
            let (frame, taken) = self.frame(message, rest);
            frames.push(frame);
            rest = &rest[taken..];
        }
        frames
    }

    /// Builds an IP packet with as many of these messages as fit. Returns also their number.
    fn frame(&self, message: Message, flows: &[u32]) -> (Vec<u8>, usize) {
        let mut packet = vec![0; self.mtu];
        let options = WriterOptions::default();
        let mut writer =
            FrameWriter::new(&mut packet[IP..], Profile::OpenBsd6, &options).expect("the frame has space");
        let taken = flows
            .iter()
            .take_while(|&&flow| {
                let state = self.state(flow);
                match message {
                    Message::Insert => writer.push_state(Action::Insert, &state).is_ok(),
                    Message::Update => writer.push_compressed_update(&update(&state)).is_ok(),
                    Message::Delete => writer.push_id(Action::DeleteCompressed, state.id).is_ok(),
                }
            })
            .count();
        let payload = writer.finish();
        TRANSPORT.emit(&mut packet, payload, 0).expect("the frame has space");
        packet.truncate(IP + payload);
        (packet, taken)
    }

    #[inline(never)]
    fn take(&mut self, frames: &[Vec<u8>]) {
        for frame in frames {
            assert!(self.lane.receive(frame, self.now));
        }
    }

    /// Ends the states of flows, so that they can be inserted again.
    fn end(&mut self, flows: &[u32]) {
        self.take(&self.frames(Message::Delete, flows));
        self.count_inserts(flows);
    }

    fn count_inserts(&mut self, flows: &[u32]) {
        flows.iter().for_each(|&flow| self.inserts[flow as usize] += 1);
    }

    fn state(&self, flow: u32) -> FullState {
        state(flow, self.inserts[flow as usize], self.turn)
    }

    /// Checks the number of states in the lane's statistics.
    fn expect(&mut self, states: u32) {
        let mut count = 0;
        let mut from = 0;
        while let Some(state) = self.lane.state_from(from, self.now) {
            from = state.slot.0 + 1;
            count += 1;
        }
        assert_eq!(count, states, "every message was applied");
    }

    /// Returns nanoseconds per state from the frame to the table.
    pub(crate) fn receive(&mut self, message: Message, smoke: bool) -> f64 {
        let mut timed = Vec::new();
        for _ in 0..blocks(smoke) {
            self.now += 10_000_000;
            self.turn += 1;
            let flows = draw(&mut self.random, self.size);
            if message == Message::Insert {
                self.end(&flows);
            }
            let frames = self.frames(message, &flows);
            let (ns, ()) = rounds::time(|| self.take(&frames));
            timed.push(ns / flows.len() as f64);
            if message == Message::Delete {
                self.count_inserts(&flows);
                self.take(&self.frames(Message::Insert, &flows));
            }
            self.lane.poll(self.now);
        }
        self.expect(self.size);
        rounds::median(&timed)
    }

    /// Returns nanoseconds per state to decode and validate the same messages.
    pub(crate) fn decode(&mut self, message: Message, smoke: bool) -> f64 {
        let mut timed = Vec::new();
        for _ in 0..blocks(smoke) {
            let flows = draw(&mut self.random, self.size);
            let frames = self.frames(message, &flows);
            let (ns, count) = rounds::time(|| frames.iter().map(|frame| decode(&frame[IP..])).sum::<usize>());
            assert_eq!(count, flows.len());
            timed.push(ns / flows.len() as f64);
        }
        rounds::median(&timed)
    }
}

impl Receiver {
    /// Returns nanoseconds from an insert that waits for its acknowledgement to the finished frame, with one call each of
    /// receive and flush and no poll in between.
    pub(crate) fn acknowledge(&mut self, smoke: bool) -> f64 {
        let mut timed = Vec::new();
        let mut buffer = vec![0; self.mtu];
        for flow in 0..(blocks(smoke) as u32 * 8).min(self.size) {
            self.end(&[flow]);
            while self.lane.flush(&mut buffer, self.now).is_some() {}
            let frame = self.held(flow);
            let (ns, answer) = rounds::time(|| {
                assert!(self.lane.receive(&frame, self.now));
                self.lane.flush(&mut buffer, self.now)
            });
            let answer = answer.expect("an immediate acknowledgement");
            let mut reader = FrameReader::new(&buffer[answer][IP..]).expect("a valid frame");
            let region = reader.next_region().expect("one region").expect("a valid region");
            assert_eq!((region.action(), region.count()), (Action::InsertAck, 1));
            timed.push(ns);
        }
        rounds::median(&timed)
    }

    fn held(&self, flow: u32) -> Vec<u8> {
        let state = FullState { state_flags: state_flags::ACK, ..self.state(flow) };
        let mut packet = vec![0; self.mtu];
        let options = WriterOptions::default();
        let mut writer =
            FrameWriter::new(&mut packet[IP..], Profile::OpenBsd6, &options).expect("the frame has space");
        writer.push_state(Action::Insert, &state).expect("the frame has space");
        let payload = writer.finish();
        TRANSPORT.emit(&mut packet, payload, 0).expect("the frame has space");
        packet.truncate(IP + payload);
        packet
    }
}

#[inline(never)]
fn decode(payload: &[u8]) -> usize {
    let mut reader = FrameReader::new(payload).expect("a valid frame");
    let mut count = 0;
    while let Some(Ok(region)) = reader.next_region() {
        match region.action() {
            Action::Insert => region.for_each_state(|state| count += usize::from(state.validate(20).is_ok())),
            Action::UpdateCompressed => {
                count += region.compressed_updates().filter(|update| update.validate(20).is_ok()).count();
            }
            _ => count += region.ids().map(std::hint::black_box).count(),
        }
    }
    count
}

fn state(flow: u32, inserts: u32, turn: u32) -> FullState {
    let key = streams::key(flow, family_of(flow));
    let family = if key.family == Family::V4 { WireFamily::V4 } else { WireFamily::V6 };
    let key = StateKey { addr: key.addr, port: key.port.map(|port| port.0), rdomain: 0, family, proto: 6 };
    let peer = StatePeer {
        seqlo: turn,
        seqhi: turn.wrapping_add(65_000),
        max_win: 65_000,
        state: 4,
        ..StatePeer::default()
    };
    FullState {
        id: Identity { id: u64::from(inserts) << 32 | u64::from(flow), creator: 7 },
        ifname: *b"all\0\0\0\0\0\0\0\0\0\0\0\0\0",
        key: [key, key],
        src: peer,
        dst: peer,
        family,
        direction: 1,
        timeout: ESTABLISHED,
        expire: 86_400,
        ..FullState::EMPTY
    }
}

fn update(state: &FullState) -> CompressedUpdate {
    let FullState { id, src, dst, timeout, .. } = *state;
    CompressedUpdate { id, src, dst, expire: 0, timeout }
}
