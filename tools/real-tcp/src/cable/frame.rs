//! Reads and forges TCP segments in Ethernet frames.

use pfplane_testkit::Packet;

/// The offsets of a TCP frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tcp {
    ip: usize,
    tcp: usize,
    data: usize,
    end: usize,
    v6: bool,
}

const ETHERNET: usize = 14;
const PROTOCOL_TCP: u8 = 6;

pub(crate) use pfplane_testkit::packet::{ACK, FIN, PSH, RST, SYN};

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) << 16 | u32::from(word(bytes, at + 2))
}

impl Tcp {
    /// Returns `None` unless the frame holds a complete TCP segment over IPv4, or over IPv6 without extension headers.
    pub(crate) fn find(frame: &[u8]) -> Option<Tcp> {
        let (v6, tcp, end) = match (frame.len() >= ETHERNET + 20).then(|| word(frame, 12))? {
            0x0800 if frame[ETHERNET + 9] == PROTOCOL_TCP => {
                let header = usize::from(frame[ETHERNET] & 15) * 4;
                (false, ETHERNET + header, ETHERNET + usize::from(word(frame, ETHERNET + 2)))
            }
            0x86dd if frame[ETHERNET + 6] == PROTOCOL_TCP => {
                (true, ETHERNET + 40, ETHERNET + 40 + usize::from(word(frame, ETHERNET + 4)))
            }
            _ => return None,
        };
        let data = tcp + usize::from(*frame.get(tcp + 12)? >> 4) * 4;
        (tcp + 20 <= data && data <= end && end <= frame.len()).then_some(Tcp {
            ip: ETHERNET,
            tcp,
            data,
            end,
            v6,
        })
    }

    pub(crate) fn flags(self, frame: &[u8]) -> u8 {
        frame[self.tcp + 13]
    }

    pub(crate) fn seq(self, frame: &[u8]) -> u32 {
        long(frame, self.tcp + 4)
    }

    pub(crate) fn ack(self, frame: &[u8]) -> u32 {
        long(frame, self.tcp + 8)
    }

    /// Returns the unscaled window.
    pub(crate) fn window(self, frame: &[u8]) -> u16 {
        word(frame, self.tcp + 14)
    }

    /// Returns the bytes of data.
    pub(crate) fn payload_length(self) -> u16 {
        (self.end - self.data) as u16
    }

    pub(crate) fn source_port(self, frame: &[u8]) -> u16 {
        word(frame, self.tcp)
    }

    pub(crate) fn is_v6(self) -> bool {
        self.v6
    }

    /// Returns both ends' addresses and ports, the smaller first, so that both directions give the same.
    pub(crate) fn endpoints(self, frame: &[u8]) -> Vec<u8> {
        let (from, size) = self.addresses();
        let end = |index: usize| {
            let address = &frame[from + index * size..from + (index + 1) * size];
            let port = &frame[self.tcp + index * 2..self.tcp + index * 2 + 2];
            [address, port].concat()
        };
        let (source, destination) = (end(0), end(1));
        if source < destination { [source, destination].concat() } else { [destination, source].concat() }
    }

    /// Returns the traffic class, where forged segments are marked.
    pub(crate) fn class(self, frame: &[u8]) -> u8 {
        if self.v6 { (word(frame, self.ip) >> 4) as u8 } else { frame[self.ip + 1] }
    }

    /// Builds a frame between the same endpoints without TCP options and with correct checksums.
    pub(crate) fn forge(
        self,
        frame: &[u8],
        seq: u32,
        ack: u32,
        flags: u8,
        class: u8,
        payload: usize,
    ) -> Vec<u8> {
        let (offset, size) = self.addresses();
        let address = |index: usize| {
            let mut address = [0; 16];
            address[..size].copy_from_slice(&frame[offset + index * size..][..size]);
            address
        };
        let mut packet = Packet {
            v6: self.v6,
            source: address(0),
            destination: address(1),
            ports: [word(frame, self.tcp), word(frame, self.tcp + 2)],
            seq,
            ack,
            flags,
            window: 0x2000,
            wscale: None,
            payload,
            ttl: 64,
        }
        .tcp();
        if self.v6 {
            packet[0] |= class >> 4;
            packet[1] = class << 4;
        } else {
            packet[1] = class;
            // The checksum is the complement of a sum that grew by the class (RFC 1624).
            let sum = u32::from(!word(&packet, 10)) + u32::from(class);
            let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        [&frame[..ETHERNET], &packet].concat()
    }

    /// Returns the offset of the addresses and the length of one.
    fn addresses(self) -> (usize, usize) {
        if self.v6 { (self.ip + 8, 16) } else { (self.ip + 12, 4) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pfplane_testkit::packet::ethernet;

    fn frame(v6: bool) -> Vec<u8> {
        ethernet(&[], &Packet::syn(v6, 10, 20, [5000, 5001]).data(9, 8, 5).tcp())
    }

    /// Adds 16-bit words; the sum over correct bytes, pseudo-header included, is 0xffff.
    fn folded_sum(start: usize, bytes: &[u8]) -> u64 {
        let pair = |pair: &[u8]| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low));
        let sum = start as u64 + bytes.chunks(2).map(pair).sum::<u64>();
        let sum = (sum & 0xffff) + (sum >> 16);
        (sum & 0xffff) + (sum >> 16)
    }

    #[test]
    fn a_forged_segment_reads_back_with_correct_checksums() {
        for v6 in [false, true] {
            let frame = frame(v6);
            let tcp = Tcp::find(&frame).expect("a TCP frame");
            assert_eq!((tcp.seq(&frame), tcp.ack(&frame), tcp.flags(&frame), tcp.is_v6()), (9, 8, ACK, v6));
            let forged = tcp.forge(&frame, 70_000, 3, RST, 0xa4, 3);
            let read = Tcp::find(&forged).expect("a TCP frame");
            assert_eq!((read.seq(&forged), read.ack(&forged), read.flags(&forged)), (70_000, 3, RST));
            assert_eq!((read.class(&forged), tcp.class(&frame)), (0xa4, 0));
            assert_eq!(read.endpoints(&forged), tcp.endpoints(&frame));
            let (addresses, size) = read.addresses();
            let pseudo_header = usize::from(PROTOCOL_TCP) + forged.len() - read.tcp;
            let summed = [&forged[addresses..addresses + 2 * size], &forged[read.tcp..]].concat();
            assert_eq!(folded_sum(pseudo_header, &summed), 0xffff);
            assert!(v6 || folded_sum(0, &forged[read.ip..read.tcp]) == 0xffff);
        }
    }

    #[test]
    fn other_and_truncated_frames_are_not_tcp() {
        let complete = frame(false);
        for end in 0..complete.len() {
            assert_eq!(Tcp::find(&complete[..end]), None, "{end}");
        }
        let mut udp = complete;
        udp[ETHERNET + 9] = 17;
        assert_eq!(Tcp::find(&udp), None);
    }
}
