//! The seal on whole engines, through the C API: what it protects, what nobody can forge, and what nobody can read.
#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "every call passes pointers to values of the test that makes it"
)]

mod api;
mod encryption;
mod forgery;
mod rotation;
#[path = "../c_api/world.rs"]
#[expect(dead_code, reason = "each test uses its part")]
mod world;

use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;
use world::*;

const SECRETS: [[u8; 32]; 3] = [[0x11; 32], [0x22; 32], [0x33; 32]];

fn key(id: u32) -> pfplane_seal_key {
    pfplane_seal_key { key: SECRETS[id as usize - 1].as_ptr(), key_bytes: 32, id }
}

fn address(node: u8, v6: bool) -> pfplane_address {
    let mut address: pfplane_address = zeroed();
    address.family = if v6 { 6 } else { 4 };
    address.bytes[..4].copy_from_slice(&[192, 0, 2, node]);
    address
}

/// The settings of node `node` for the other one of a pair.
fn sealed(node: u8, v6: bool, mode: u32, keys: &[pfplane_seal_key]) -> pfplane_peer {
    pfplane_peer {
        extensions: 1,
        source: address(node, v6),
        destination: address(3 - node, v6),
        seal: mode as u8,
        seal_key_count: keys.len() as u8,
        seal_keys: keys.as_ptr(),
        ..peer(node)
    }
}

const LANES: u32 = 2;

fn node(peer: &pfplane_peer) -> Engine {
    Engine::with_peer(&pfplane_config { lanes: LANES, max_poll_gap_ms: 0, ..config() }, peer)
}

/// Polls a node and returns its frames.
fn frames(node: &Engine, now: u64) -> Vec<Vec<u8>> {
    (0..LANES).for_each(|lane| node.lane(lane).poll(now));
    (0..LANES).flat_map(|lane| node.lane(lane).flush(now)).collect()
}

/// Lets two nodes exchange all frames for a time, a step each millisecond. Returns the frames.
fn exchange(nodes: [&Engine; 2], from: u64, until: u64) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut now = from;
    while now < until {
        for at in [0, 1] {
            for frame in frames(nodes[at], now) {
                nodes[1 - at].lane(0).receive(&frame, now);
                all.push(frame);
            }
        }
        now += MS;
    }
    all
}

/// Creates states on the lanes that own them.
fn create(node: &Engine, first: u16, count: u16, now: u64) {
    for n in first..first + count {
        let syn = Packet::syn(n % 2 == 0, 5, 6, [4000 + n, 443]).tcp();
        let lane = node.lane(0).look_up(&burst(PFPLANE_IN, now), &syn).lane;
        node.lane(lane.into()).create(&burst(PFPLANE_IN, now), &syn);
    }
}

fn states(node: &Engine, now: u64) -> usize {
    (0..LANES).map(|lane| node.lane(lane).states(now).len()).sum()
}
