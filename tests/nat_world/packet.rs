//! Packets with correct checksums, built by the crate `etherparse`.

use etherparse::{PacketBuilder, TcpOptionElement};
use pfplane::internals::packet::{Direction, Facts, Key, Link, parse};

/// What follows the IP header.
#[derive(Clone, Debug)]
pub(crate) enum Carried {
    Tcp { seq: u32, ack: u32, syn: bool, sack: Option<[u32; 4]>, odd: bool },
    Udp,
    Echo { reply: bool },
}

/// A packet from which bytes are built.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub v6: bool,
    /// Source and destination.
    pub addresses: [[u8; 16]; 2],
    /// Source and destination; the first is the identifier of an echo.
    pub ports: [u16; 2],
    pub carried: Carried,
    pub payload: Vec<u8>,
}

fn short(address: [u8; 16]) -> [u8; 4] {
    [address[0], address[1], address[2], address[3]]
}

impl Packet {
    pub(crate) fn build(&self) -> Vec<u8> {
        let [source, destination] = self.addresses;
        let ip = if self.v6 {
            PacketBuilder::ipv6(source, destination, 64)
        } else {
            PacketBuilder::ipv4(short(source), short(destination), 64)
        };
        let mut bytes = Vec::new();
        match (&self.carried, self.v6) {
            (Carried::Tcp { seq, ack, syn, sack, odd }, _) => {
                let tcp = ip.tcp(self.ports[0], self.ports[1], *seq, 5000);
                let tcp = match (*syn, *ack) {
                    (true, 0) => tcp.syn(),
                    (true, ack) => tcp.syn().ack(ack),
                    (false, ack) => tcp.psh().ack(ack),
                };
                let mut options = vec![TcpOptionElement::Timestamp(7, 9)];
                if let Some([a, b, c, d]) = *sack {
                    options.extend(odd.then_some(TcpOptionElement::Noop));
                    options
                        .push(TcpOptionElement::SelectiveAcknowledgement((a, b), [Some((c, d)), None, None]));
                }
                tcp.options(&options).unwrap().write(&mut bytes, &self.payload).unwrap();
            }
            (Carried::Udp, _) => {
                ip.udp(self.ports[0], self.ports[1]).write(&mut bytes, &self.payload).unwrap()
            }
            (Carried::Echo { reply: false }, false) => {
                ip.icmpv4_echo_request(self.ports[0], 3).write(&mut bytes, &self.payload).unwrap();
            }
            (Carried::Echo { reply: true }, false) => {
                ip.icmpv4_echo_reply(self.ports[0], 3).write(&mut bytes, &self.payload).unwrap();
            }
            (Carried::Echo { reply: false }, true) => {
                ip.icmpv6_echo_request(self.ports[0], 3).write(&mut bytes, &self.payload).unwrap();
            }
            (Carried::Echo { reply: true }, true) => {
                ip.icmpv6_echo_reply(self.ports[0], 3).write(&mut bytes, &self.payload).unwrap();
            }
        }
        bytes
    }

    /// Builds an ICMP error that quotes the first `quoted` bytes of the packet.
    pub(crate) fn error(&self, from: [u8; 16], to: [u8; 16], quoted: usize) -> Vec<u8> {
        let inner = self.build();
        let inner = &inner[..quoted.clamp(if self.v6 { 48 } else { 28 }, inner.len())];
        let mut bytes = Vec::new();
        if self.v6 {
            let ip = PacketBuilder::ipv6(from, to, 61);
            ip.icmpv6_raw(1, 4, [0; 4]).write(&mut bytes, inner).unwrap();
        } else {
            let ip = PacketBuilder::ipv4(short(from), short(to), 61);
            ip.icmpv4_raw(3, 3, [0; 4]).write(&mut bytes, inner).unwrap();
        }
        bytes
    }

    /// Returns the packet with other addresses and ports.
    pub(crate) fn with(&self, addresses: [[u8; 16]; 2], ports: [u16; 2]) -> Self {
        let ports = match self.carried {
            Carried::Echo { .. } => [ports[0], self.ports[1]],
            _ => ports,
        };
        let mut addresses = addresses;
        if !self.v6 {
            addresses.iter_mut().for_each(|address| address[4..].fill(0));
        }
        Self { addresses, ports, ..self.clone() }
    }

    /// Returns the packet's key in a direction.
    pub(crate) fn key(&self, direction: Direction) -> Key {
        read(&self.build(), direction).key
    }
}

/// Parses a packet that starts with its IP header.
pub(crate) fn read(bytes: &[u8], direction: Direction) -> Facts {
    parse(bytes, bytes.len() as u32, Link::Ip, direction).expect("a packet that etherparse built")
}
