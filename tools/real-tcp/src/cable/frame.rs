//! Reads and forges TCP segments in Ethernet frames.

/// The offsets of a TCP frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    ip: usize,
    tcp: usize,
    data: usize,
    end: usize,
    v6: bool,
}

const ETHERNET: usize = 14;
const PROTOCOL_TCP: u8 = 6;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) << 16 | u32::from(word(bytes, at + 2))
}

impl Tcp {
    /// Returns `None` unless the frame holds a complete TCP segment over IPv4, or over IPv6 without extension headers.
    pub fn find(frame: &[u8]) -> Option<Tcp> {
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

    pub fn flags(self, frame: &[u8]) -> u8 {
        frame[self.tcp + 13]
    }

    pub fn seq(self, frame: &[u8]) -> u32 {
        long(frame, self.tcp + 4)
    }

    pub fn ack(self, frame: &[u8]) -> u32 {
        long(frame, self.tcp + 8)
    }

    /// Returns the unscaled window.
    pub fn window(self, frame: &[u8]) -> u16 {
        word(frame, self.tcp + 14)
    }

    /// Returns the bytes of data.
    pub fn payload_length(self) -> u16 {
        (self.end - self.data) as u16
    }

    pub fn source_port(self, frame: &[u8]) -> u16 {
        word(frame, self.tcp)
    }

    pub fn is_v6(self) -> bool {
        self.v6
    }

    /// Returns both ends' addresses and ports, the smaller first, so that both directions give the same.
    pub fn endpoints(self, frame: &[u8]) -> Vec<u8> {
        let (from, size) = if self.v6 { (self.ip + 8, 16) } else { (self.ip + 12, 4) };
        let end = |index: usize| {
            let address = &frame[from + index * size..from + (index + 1) * size];
            let port = &frame[self.tcp + index * 2..self.tcp + index * 2 + 2];
            [address, port].concat()
        };
        let (source, destination) = (end(0), end(1));
        if source < destination { [source, destination].concat() } else { [destination, source].concat() }
    }

    /// Returns the traffic class, where forged segments are marked.
    pub fn class(self, frame: &[u8]) -> u8 {
        if self.v6 { (word(frame, self.ip) >> 4) as u8 } else { frame[self.ip + 1] }
    }

    /// Builds a frame between the same endpoints without TCP options and with correct checksums.
    pub fn forge(self, frame: &[u8], seq: u32, ack: u32, flags: u8, class: u8, data: &[u8]) -> Vec<u8> {
        let header = if self.v6 { 40 } else { 20 };
        let mut forged = frame[..self.ip + header].to_vec();
        let segment = 20 + data.len();
        if self.v6 {
            forged[self.ip] = 0x60 | class >> 4;
            forged[self.ip + 1] = class << 4;
            forged[self.ip + 4..self.ip + 6].copy_from_slice(&(segment as u16).to_be_bytes());
        } else {
            forged[self.ip] = 0x45;
            forged[self.ip + 1] = class;
            forged[self.ip + 2..self.ip + 4].copy_from_slice(&((20 + segment) as u16).to_be_bytes());
            forged[self.ip + 10..self.ip + 12].fill(0);
            let sum = checksum(0, &forged[self.ip..]);
            forged[self.ip + 10..self.ip + 12].copy_from_slice(&sum.to_be_bytes());
        }
        let tcp = forged.len();
        forged.extend_from_slice(&frame[self.tcp..self.tcp + 4]);
        forged.extend_from_slice(&seq.to_be_bytes());
        forged.extend_from_slice(&ack.to_be_bytes());
        forged.extend_from_slice(&[0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        forged.extend_from_slice(data);
        let sum = self.tcp_checksum(&forged, tcp);
        forged[tcp + 16..tcp + 18].copy_from_slice(&sum.to_be_bytes());
        forged
    }

    fn tcp_checksum(self, frame: &[u8], tcp: usize) -> u16 {
        let addresses = if self.v6 { self.ip + 8..self.ip + 40 } else { self.ip + 12..self.ip + 20 };
        let pseudo = sum(0, &frame[addresses]) + u64::from(PROTOCOL_TCP) + (frame.len() - tcp) as u64;
        checksum(pseudo, &frame[tcp..])
    }
}

fn sum(start: u64, bytes: &[u8]) -> u64 {
    let pair = |pair: &[u8]| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low));
    start + bytes.chunks(2).map(pair).sum::<u64>()
}

fn checksum(start: u64, bytes: &[u8]) -> u16 {
    let mut folded = sum(start, bytes);
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    !(folded as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(v6: bool) -> Vec<u8> {
        let mut frame = vec![2; 12];
        let addresses: Vec<u8> = if v6 { (1..33).collect() } else { vec![10, 1, 0, 10, 10, 2, 0, 20] };
        if v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 25, 6, 64]);
        } else {
            frame.extend([0x08, 0, 0x45, 0, 0, 45, 0, 0, 0x40, 0, 64, 6, 0, 0]);
        }
        frame.extend(addresses);
        frame.extend([0x13, 0x88, 0x13, 0x89, 0, 0, 0, 9, 0, 0, 0, 8, 0x50, ACK, 1, 0, 0, 0, 0, 0]);
        frame.extend(b"hello");
        frame
    }

    #[test]
    fn a_forged_segment_reads_back_with_correct_checksums() {
        for v6 in [false, true] {
            let frame = frame(v6);
            let tcp = Tcp::find(&frame).expect("a TCP frame");
            assert_eq!((tcp.seq(&frame), tcp.ack(&frame), tcp.flags(&frame), tcp.is_v6()), (9, 8, ACK, v6));
            let forged = tcp.forge(&frame, 70_000, 3, RST, 0xa4, b"odd");
            let read = Tcp::find(&forged).expect("a TCP frame");
            assert_eq!((read.seq(&forged), read.ack(&forged), read.flags(&forged)), (70_000, 3, RST));
            assert_eq!((read.class(&forged), tcp.class(&frame)), (0xa4, 0));
            assert_eq!(read.endpoints(&forged), tcp.endpoints(&frame));
            // The checksum over correct bytes is zero.
            assert_eq!(read.tcp_checksum(&forged, read.tcp), 0);
            assert!(v6 || checksum(0, &forged[read.ip..read.tcp]) == 0);
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
