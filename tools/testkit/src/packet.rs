//! Builds packets for tests: two hosts, their ports, and what the layer-4 header says.

/// TCP flag FIN.
pub const FIN: u8 = 1;
/// TCP flag SYN.
pub const SYN: u8 = 2;
/// TCP flag RST.
pub const RST: u8 = 4;
/// TCP flag PSH.
pub const PSH: u8 = 8;
/// TCP flag ACK.
pub const ACK: u8 = 16;

const PAYLOAD_BYTE: u8 = 0xda;
const PROTO_ICMP: u8 = 1;
const PROTO_TCP: u8 = 6;
const PROTO_UDP: u8 = 17;
const PROTO_ICMP6: u8 = 58;

/// A packet under construction.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// IPv6 instead of IPv4.
    pub v6: bool,
    /// Source address; IPv4 uses the first four bytes.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Source and destination port; the first is the identifier of an echo.
    pub ports: [u16; 2],
    /// TCP sequence number.
    pub seq: u32,
    /// TCP acknowledgement number.
    pub ack: u32,
    /// TCP flags.
    pub flags: u8,
    /// TCP window, not scaled.
    pub window: u16,
    /// Shift of the TCP window scale option, if the option is present.
    pub wscale: Option<u8>,
    /// Payload bytes of a TCP segment or UDP datagram.
    pub payload: usize,
    /// Time to live or hop limit.
    pub ttl: u8,
}

impl Packet {
    /// Returns a SYN from host `client` to host `server` of the test networks 1 and 2.
    #[must_use]
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

    /// Returns the server's answer to this SYN.
    #[must_use]
    pub const fn syn_ack(&self) -> Self {
        Self { seq: 5000, ack: self.seq + 1, flags: SYN | ACK, ..self.reversed() }
    }

    /// Returns this packet with source and destination exchanged.
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            ports: [self.ports[1], self.ports[0]],
            ..*self
        }
    }

    /// Returns a segment of an established connection, in the direction of this packet.
    #[must_use]
    pub const fn data(&self, seq: u32, ack: u32, payload: usize) -> Self {
        Self { seq, ack, flags: ACK, wscale: None, window: 500, payload, ..*self }
    }

    /// Builds an IP packet with TCP.
    #[must_use]
    pub fn tcp(&self) -> Vec<u8> {
        let options: &[u8] = match self.wscale {
            Some(shift) => &[1, 3, 3, shift],
            None => &[],
        };
        let mut segment = Vec::with_capacity(24 + self.payload);
        segment.extend(self.ports[0].to_be_bytes());
        segment.extend(self.ports[1].to_be_bytes());
        segment.extend(self.seq.to_be_bytes());
        segment.extend(self.ack.to_be_bytes());
        segment.push(((20 + options.len()) as u8 / 4) << 4);
        segment.push(self.flags);
        segment.extend(self.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(options);
        segment.extend(std::iter::repeat_n(PAYLOAD_BYTE, self.payload));
        self.set_checksum(PROTO_TCP, &mut segment, 16);
        self.ip(PROTO_TCP, &segment)
    }

    /// Builds an IP packet with UDP.
    #[must_use]
    pub fn udp(&self) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(8 + self.payload);
        datagram.extend(self.ports[0].to_be_bytes());
        datagram.extend(self.ports[1].to_be_bytes());
        datagram.extend((8 + self.payload as u16).to_be_bytes());
        datagram.extend([0; 2]);
        datagram.extend(std::iter::repeat_n(PAYLOAD_BYTE, self.payload));
        self.set_checksum(PROTO_UDP, &mut datagram, 6);
        self.ip(PROTO_UDP, &datagram)
    }

    /// Builds an ICMP or ICMPv6 echo request or reply; the first port is the identifier.
    #[must_use]
    pub fn echo(&self, reply: bool) -> Vec<u8> {
        let kind = match (self.v6, reply) {
            (false, false) => 8,
            (false, true) => 0,
            (true, false) => 128,
            (true, true) => 129,
        };
        let [high, low] = self.ports[0].to_be_bytes();
        self.icmp(&mut [kind, 0, 0, 0, high, low, 0, 1])
    }

    /// Builds an ICMP or ICMPv6 "host unreachable" error that quotes the headers of `about`.
    #[must_use]
    pub fn unreachable(&self, about: &[u8]) -> Vec<u8> {
        let quoted = if self.v6 { 48 } else { 28 }.min(about.len());
        let mut message = vec![if self.v6 { 1 } else { 3 }, 1, 0, 0, 0, 0, 0, 0];
        message.extend(&about[..quoted]);
        self.icmp(&mut message)
    }

    fn icmp(&self, message: &mut [u8]) -> Vec<u8> {
        let proto = if self.v6 { PROTO_ICMP6 } else { PROTO_ICMP };
        self.set_checksum(proto, message, 2);
        self.ip(proto, message)
    }

    /// Builds an IP packet with any payload.
    #[must_use]
    pub fn ip(&self, proto: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::with_capacity(40 + payload.len());
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
            let checksum = fold(sum(&packet));
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        packet.extend(payload);
        packet
    }

    /// Writes the checksum of a layer-4 message at `offset`. ICMP for IPv4 has no pseudo-header.
    fn set_checksum(&self, proto: u8, message: &mut [u8], offset: usize) {
        let octets = if self.v6 { 16 } else { 4 };
        let pseudo_header = match proto {
            PROTO_ICMP => 0,
            _ => {
                sum(&self.source[..octets])
                    + sum(&self.destination[..octets])
                    + u64::from(proto)
                    + message.len() as u64
            }
        };
        let checksum = match fold(pseudo_header + sum(message)) {
            0 if proto == PROTO_UDP => 0xffff,
            checksum => checksum,
        };
        message[offset..offset + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    words.map(u64::from).sum()
}

const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Returns the address of a host of a test network: 10.network.x.y or fd00:network::x.
#[must_use]
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

/// Puts an Ethernet header with the given VLAN tags, outermost first, before an IP packet.
#[must_use]
pub fn ethernet(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (index, tag) in tags.iter().enumerate() {
        let outer = index + 1 < tags.len();
        frame.extend(if outer { [0x88, 0xa8] } else { [0x81, 0x00] });
        frame.extend(tag.to_be_bytes());
    }
    let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    frame.extend(if v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
    frame.extend(packet);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_has_correct_checksums() {
        for v6 in [false, true] {
            let syn = Packet::syn(v6, 7, 9, [4001, 53]);
            let data = syn.data(1001, 5001, 33);
            let packets = [
                (PROTO_TCP, syn.tcp()),
                (PROTO_TCP, data.tcp()),
                (PROTO_UDP, data.udp()),
                (if v6 { PROTO_ICMP6 } else { PROTO_ICMP }, syn.echo(false)),
                (if v6 { PROTO_ICMP6 } else { PROTO_ICMP }, syn.reversed().unreachable(&data.tcp())),
            ];
            for (proto, packet) in packets {
                let payload = &packet[if v6 { 40 } else { 20 }..];
                let addresses = if v6 { &packet[8..40] } else { &packet[12..20] };
                let pseudo_header = sum(addresses) + u64::from(proto) + payload.len() as u64;
                let pseudo_header = if proto == PROTO_ICMP { 0 } else { pseudo_header };
                assert_eq!(fold(pseudo_header + sum(payload)), 0, "protocol {proto}");
                assert!(v6 || fold(sum(&packet[..20])) == 0);
            }
        }
    }
}
