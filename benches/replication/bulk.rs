//! A bulk transfer to a peer without states, in memory.

use super::{engine, family_of, settings};
use crate::harness::{rounds, streams};
use pfplane::internals::engine::Engine;
use pfplane::internals::lane::{BurstInfo, Lane, PacketView};
use pfplane::internals::packet::{Direction, Family, Link};
use pfplane::internals::state::Options;
use pfplane::internals::sync::SyncSettings;

const MS: u64 = 1_000_000;

/// The results of a transfer.
pub(crate) struct Transfer {
    /// Seconds of the nodes' clock until the receiver is ready.
    pub seconds: f64,
    /// Processor seconds of the sender. Both nodes run on one core, one after the other.
    pub sender_busy_s: f64,
    /// Processor seconds of the receiver.
    pub receiver_busy_s: f64,
    /// Bytes on the link.
    pub bytes: u64,
    /// States received.
    pub states: u64,
}

/// Transfers `size` connections, at most `frames` frames per millisecond.
pub(crate) fn transfer(size: u32, mtu: u32, frames: u32) -> Transfer {
    let pace = |n| SyncSettings { bulk_frames: frames, bulk_interval: MS, ..settings(n, mtu) };
    let (_full, mut full) = engine(size, pace(1));
    let mut now = 1000 * MS;
    fill(&mut full, size, now);
    let mut buffer = vec![0; full.max_frame_bytes()];
    now += 2000 * MS;
    while full.flush(&mut buffer, now).is_some() {}
    let (engine, mut empty) = engine(size, pace(2));
    let mut transfer =
        Transfer { seconds: 0.0, sender_busy_s: 0.0, receiver_busy_s: 0.0, bytes: 0, states: 0 };
    let began = now;
    while !is_loaded(&engine) {
        now += MS;
        let mut frames = Vec::new();
        transfer.sender_busy_s += work(&mut full, now, &mut buffer, &mut frames);
        transfer.bytes += frames.iter().map(|frame| frame.len() as u64).sum::<u64>();
        transfer.receiver_busy_s += receive(&mut empty, &frames, now);
        frames.clear();
        transfer.receiver_busy_s += work(&mut empty, now, &mut buffer, &mut frames);
        transfer.sender_busy_s += receive(&mut full, &frames, now);
        assert!(now - began < 600_000 * MS, "the transfer does not end");
    }
    transfer.seconds = (now - began) as f64 / 1e9;
    transfer.states = engine.bulk().states;
    assert_eq!(transfer.states, u64::from(size), "every state was received");
    transfer
}

fn is_loaded(engine: &Engine) -> bool {
    engine.ready()
}

/// Polls a lane and flushes its frames. Copying the frames is not timed.
fn work(lane: &mut Lane, now: u64, buffer: &mut [u8], frames: &mut Vec<Vec<u8>>) -> f64 {
    let (mut busy, ()) = rounds::time(|| lane.poll(now));
    loop {
        let (ns, frame) = rounds::time(|| lane.flush(buffer, now));
        busy += ns;
        let Some(frame) = frame else { break };
        frames.push(buffer[frame].to_vec());
    }
    busy / 1e9
}

fn receive(lane: &mut Lane, frames: &[Vec<u8>], now: u64) -> f64 {
    let (ns, ()) = rounds::time(|| frames.iter().for_each(|frame| assert!(lane.receive(frame, now))));
    ns / 1e9
}

fn fill(lane: &mut Lane, size: u32, now: u64) {
    let burst = BurstInfo { direction: Direction::In, link: Link::Ip, rdomain: 0, trust_hash: false, now };
    for flow in 0..size {
        let syn = syn(flow);
        let view = PacketView::new(&syn);
        let verdict = lane.create(&burst, &view, &Options::default());
        assert_eq!(verdict.action, pfplane::internals::lane::Action::Pass);
    }
}

/// The first packet of a connection.
pub(crate) fn syn(flow: u32) -> Vec<u8> {
    let key = streams::key(flow, family_of(flow));
    let mut tcp = Vec::new();
    tcp.extend(key.port[0].get().to_be_bytes());
    tcp.extend(key.port[1].get().to_be_bytes());
    tcp.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    let mut packet = Vec::new();
    if key.family == Family::V4 {
        packet.extend([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0]);
        key.addr.iter().for_each(|addr| packet.extend(&addr[..4]));
    } else {
        packet.extend([0x60, 0, 0, 0, 0, 20, 6, 64]);
        key.addr.iter().for_each(|addr| packet.extend(addr));
    }
    packet.extend(tcp);
    packet
}
