//! Builds packets, plainly, for tests and benches.
#![allow(dead_code, reason = "each test uses its part")]

use pfplane::internals::packet::tcp_flags::{ACK, SYN};

/// A packet under construction: two hosts, their ports, and what the TCP header is to say.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub v6: bool,
    pub source: [u8; 16],
    pub destination: [u8; 16],
    pub ports: [u16; 2],
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    pub wscale: Option<u8>,
    pub payload: usize,
    pub ttl: u8,
}

impl Packet {
    /// A SYN from host `client` to host `server`, numbered within a test network.
    pub fn syn(v6: bool, client: u32, server: u32, ports: [u16; 2]) -> Self {
        Self {
            v6,
            source: address(v6, 1, client),
            destination: address(v6, 2, server),
            ports,
            seq: 1000,
            ack: 0,
            flags: SYN,
            window: 64240,
            wscale: Some(7),
            payload: 0,
            ttl: 64,
        }
    }

    /// The same hosts, the other way, answering: SYN and ACK.
    pub fn syn_ack(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            ports: [self.ports[1], self.ports[0]],
            seq: 5000,
            ack: self.seq + 1,
            flags: SYN | ACK,
            ..*self
        }
    }

    /// A segment of an established connection, the way of this packet.
    pub fn data(&self, seq: u32, ack: u32, payload: usize) -> Self {
        Self { seq, ack, flags: ACK, wscale: None, window: 500, payload, ..*self }
    }

    /// As an IP packet with TCP.
    pub fn tcp(&self) -> Vec<u8> {
        let options: &[u8] = match self.wscale {
            Some(shift) => &[1, 3, 3, shift],
            None => &[],
        };
        let mut segment = Vec::new();
        segment.extend(self.ports[0].to_be_bytes());
        segment.extend(self.ports[1].to_be_bytes());
        segment.extend(self.seq.to_be_bytes());
        segment.extend(self.ack.to_be_bytes());
        segment.push(((20 + options.len()) as u8 / 4) << 4);
        segment.push(self.flags);
        segment.extend(self.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(options);
        segment.extend(std::iter::repeat_n(0xda, self.payload));
        self.ip(6, &segment)
    }

    /// As an IP packet with UDP.
    pub fn udp(&self) -> Vec<u8> {
        let mut datagram = Vec::new();
        datagram.extend(self.ports[0].to_be_bytes());
        datagram.extend(self.ports[1].to_be_bytes());
        datagram.extend((8 + self.payload as u16).to_be_bytes());
        datagram.extend([0; 2]);
        datagram.extend(std::iter::repeat_n(0xda, self.payload));
        self.ip(17, &datagram)
    }

    /// As an IP packet with an ICMP or ICMPv6 echo request or reply; the first port is the identifier.
    pub fn echo(&self, reply: bool) -> Vec<u8> {
        let (proto, kind) = match (self.v6, reply) {
            (false, false) => (1, 8),
            (false, true) => (1, 0),
            (true, false) => (58, 128),
            (true, true) => (58, 129),
        };
        let [high, low] = self.ports[0].to_be_bytes();
        self.ip(proto, &[kind, 0, 0, 0, high, low, 0, 1])
    }

    /// An ICMP or ICMPv6 "host unreachable" from `self.source` to `self.destination` that quotes `about`.
    pub fn unreachable(&self, about: &[u8]) -> Vec<u8> {
        let (proto, kind) = if self.v6 { (58, 1) } else { (1, 3) };
        let quoted = if self.v6 { 48 } else { 28 }.min(about.len());
        let mut message = vec![kind, 1, 0, 0, 0, 0, 0, 0];
        message.extend(&about[..quoted]);
        self.ip(proto, &message)
    }

    /// As an IP packet with any payload.
    pub fn ip(&self, proto: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        if self.v6 {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend((payload.len() as u16).to_be_bytes());
            packet.extend([proto, self.ttl]);
            packet.extend(self.source);
            packet.extend(self.destination);
        } else {
            packet.extend([0x45, 0]);
            packet.extend((20 + payload.len() as u16).to_be_bytes());
            packet.extend([0, 1, 0x40, 0, self.ttl, proto, 0, 0]);
            packet.extend(&self.source[..4]);
            packet.extend(&self.destination[..4]);
            let words = packet.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
            let sum: u32 = words.sum();
            let sum = (sum & 0xffff) + (sum >> 16);
            packet[10..12].copy_from_slice(&(!(((sum & 0xffff) + (sum >> 16)) as u16)).to_be_bytes());
        }
        packet.extend(payload);
        packet
    }
}

/// An address of test network `network`: 10.network.x.y or fd00:network::x.
pub fn address(v6: bool, network: u8, host: u32) -> [u8; 16] {
    let mut address = [0; 16];
    let [_, b, c, d] = host.to_be_bytes();
    if v6 {
        address[..4].copy_from_slice(&[0xfd, 0, 0, network]);
        address[12..].copy_from_slice(&host.to_be_bytes());
    } else {
        address[..4].copy_from_slice(&[10, network ^ (b << 3), c, d]);
    }
    address
}

/// Puts an Ethernet header with the given VLAN tags (outermost first) before an IP packet.
pub fn ethernet(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (place, tag) in tags.iter().enumerate() {
        let outer = place + 1 < tags.len();
        frame.extend(if outer { [0x88, 0xa8] } else { [0x81, 0x00] });
        frame.extend(tag.to_be_bytes());
    }
    let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    frame.extend(if v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
    frame.extend(packet);
    frame
}
