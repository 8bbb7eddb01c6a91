//! Bytes on the sync link per connection, compared with what OpenBSD's rules send for the same packets.

use super::{engine, settings};
use crate::replication::bulk::syn;
use pfplane::internals::lane::{BurstInfo, PacketView};
use pfplane::internals::packet::{Direction, Link};
use pfplane::internals::state::Options;

const MS: u64 = 1_000_000;
const SECONDS: u64 = 60;
const IP_AND_HEADER: u64 = 20 + 20;
const SUBHEADER: u64 = 4;
const STATE: u64 = 264;
const UPDATE: u64 = 84;
const DELETE: u64 = 12;

/// Returns the bytes per connection of pfplane and of OpenBSD's rules: `flows` connections open, each has a packet every
/// `every_ms` for a minute, and ends.
pub(crate) fn bytes_per_connection(flows: u32, every_ms: u64, mtu: u32) -> (f64, f64) {
    let (_engine, mut lane) = engine(flows, settings(1, mtu));
    let mut openbsd = OpenBsd::new(flows, mtu.into());
    let mut buffer = vec![0; lane.max_frame_bytes()];
    let (mut ours, began) = (0u64, 1000 * MS);
    let mut now = began;
    let packets: Vec<Vec<u8>> = (0..flows).map(syn).collect();
    let mut packet_count = 0u64;
    while now < began + SECONDS * 1000 * MS {
        let elapsed_ms = (now - began) / MS;
        for (flow, packet) in packets.iter().enumerate() {
            if (elapsed_ms + flow as u64 * 7).is_multiple_of(every_ms) {
                let burst = BurstInfo {
                    direction: Direction::In,
                    link: Link::Ip,
                    rdomain: 0,
                    trust_hash: false,
                    now,
                };
                let view = PacketView::new(packet);
                lane.create(&burst, &view, &Options::default());
                openbsd.packet(flow, now);
                packet_count += 1;
            }
        }
        lane.poll(now);
        while let Some(frame) = lane.flush(&mut buffer, now) {
            ours += frame.len() as u64;
        }
        openbsd.timer(now);
        now += MS;
    }
    assert!(packet_count >= u64::from(flows) * SECONDS, "every flow sent packets");
    // Both send a delete for each connection, in full frames.
    let deletes = u64::from(flows) * DELETE;
    ((ours + deletes) as f64 / f64::from(flows), (openbsd.bytes + deletes) as f64 / f64::from(flows))
}

/// One slice of OpenBSD's sender, after `if_pfsync.c`: a state waits in one queue; a packet is sent when it is full, or a
/// second after its first message.
struct OpenBsd {
    queued: Vec<bool>,
    known: Vec<bool>,
    updates: Vec<u16>,
    waiting: Vec<usize>,
    size: u64,
    mtu: u64,
    began: u64,
    bytes: u64,
}

const MAXUPD: u16 = 128;

impl OpenBsd {
    fn new(flows: u32, mtu: u64) -> Self {
        let flows = flows as usize;
        Self {
            queued: vec![false; flows],
            known: vec![false; flows],
            updates: vec![0; flows],
            waiting: Vec::new(),
            size: IP_AND_HEADER,
            mtu,
            began: 0,
            bytes: 0,
        }
    }

    fn packet(&mut self, flow: usize, now: u64) {
        if self.queued[flow] {
            self.updates[flow] += 1;
            if self.known[flow] && self.updates[flow] >= MAXUPD {
                self.send();
            }
            return;
        }
        let message = if self.known[flow] { UPDATE } else { STATE };
        if self.size + SUBHEADER + message > self.mtu {
            self.send();
        }
        if self.waiting.is_empty() {
            self.began = now;
            self.size += SUBHEADER;
        }
        self.size += message;
        self.queued[flow] = true;
        self.updates[flow] = 0;
        self.waiting.push(flow);
    }

    fn timer(&mut self, now: u64) {
        if !self.waiting.is_empty() && now >= self.began + 1000 * MS {
            self.send();
        }
    }

    fn send(&mut self) {
        self.bytes += self.size;
        self.size = IP_AND_HEADER;
        for flow in self.waiting.drain(..) {
            self.queued[flow] = false;
            self.known[flow] = true;
        }
    }
}
