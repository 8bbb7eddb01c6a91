//! The IP header around a frame.
//!
//! Both systems send pfsync directly over IP: protocol 240, TTL 255, don't-fragment set (OpenBSD `pfsync_up`, FreeBSD
//! `pfsync_kstatus_to_softc`), and drop what arrives with another TTL (`pfsync_input`).

use core::error::Error;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::ops::Range;

use crate::numbers::ip_protocol::PFSYNC;

/// An IP address in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// IPv4.
    V4([u8; 4]),
    /// IPv6.
    V6([u8; 16]),
}

/// The IPv4 multicast group of pfsync, 224.0.0.240.
pub const GROUP_V4: Address = Address::V4([224, 0, 0, 240]);
/// The IPv6 multicast group of pfsync, ff12::f0 (FreeBSD 14 and later; OpenBSD has none).
pub const GROUP_V6: Address = Address::V6([0xff, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0]);
/// TTL or hop limit of every frame. A lower value on receive means that a router forwarded the frame.
pub const TTL: u8 = 255;
/// Type of service that the systems send over IPv4: low delay. Over IPv6 they send traffic class 0.
pub const TOS_LOW_DELAY: u8 = 0x10;

const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;

/// The addresses and the type of service of frames to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The sender's address on the sync link.
    pub source: Address,
    /// The peer's address or the group, in the same family as `source`.
    pub destination: Address,
    /// Type of service (IPv4) or traffic class (IPv6). [`TOS_LOW_DELAY`] and 0 are what the systems send.
    pub tos: u8,
}

/// The IP header of a received packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender's address.
    pub source: Address,
    /// The destination address.
    pub destination: Address,
    /// TTL or hop limit. Drop the packet unless it is [`TTL`] (pf's "badttl").
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// The payload's bytes within the packet, without what follows the IP length, such as Ethernet padding.
    pub payload: Range<usize>,
}

/// Why a packet does not carry a pfsync frame, or why its header cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnvelopeError {
    /// Shorter than its header says, or no space for a header.
    Truncated,
    /// Neither version 4 nor 6.
    Version,
    /// An impossible header or packet length.
    Length,
    /// The IPv4 header's checksum is wrong.
    Checksum,
    /// A fragment. pfsync sets don't-fragment.
    Fragment,
    /// Another protocol, or IPv6 extension headers, which FreeBSD's `pfsync6_input` does not skip either.
    Protocol,
    /// Source and destination differ in family.
    Families,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(bytes) => Ipv4Addr::from(*bytes).fmt(f),
            Self::V6(bytes) => Ipv6Addr::from(*bytes).fmt(f),
        }
    }
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than its IP header says",
            Self::Version => "neither IPv4 nor IPv6",
            Self::Length => "impossible IP length",
            Self::Checksum => "wrong IP header checksum",
            Self::Fragment => "fragment",
            Self::Protocol => "not protocol 240",
            Self::Families => "addresses of different families",
        })
    }
}

impl Error for EnvelopeError {}

/// Returns the Internet checksum of a header: 0 for a header that includes a correct checksum.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

impl Transport {
    /// Returns the header's length.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match self.source {
            Address::V4(_) => V4_BYTES,
            Address::V6(_) => V6_BYTES,
        }
    }

    /// Writes the header of a packet with `payload` bytes to the start of `buffer` and returns the header's length.
    ///
    /// `identification` is for IPv4. No receiver uses it, because the packet is never fragmented.
    ///
    /// # Errors
    /// [`EnvelopeError::Families`], [`EnvelopeError::Truncated`] if the header does not fit into `buffer`, or
    /// [`EnvelopeError::Length`] for a packet beyond 65535 bytes.
    pub fn emit(
        &self,
        buffer: &mut [u8],
        payload: usize,
        identification: u16,
    ) -> Result<usize, EnvelopeError> {
        match (self.source, self.destination) {
            (Address::V4(source), Address::V4(destination)) => {
                let header = buffer.first_chunk_mut().ok_or(EnvelopeError::Truncated)?;
                let length = u16::try_from(payload + V4_BYTES).map_err(|_| EnvelopeError::Length)?;
                *header = self.v4(source, destination, length, identification);
                Ok(V4_BYTES)
            }
            (Address::V6(source), Address::V6(destination)) => {
                let header: &mut [u8; V6_BYTES] = buffer.first_chunk_mut().ok_or(EnvelopeError::Truncated)?;
                let length = u16::try_from(payload).map_err(|_| EnvelopeError::Length)?;
                *header = [0; V6_BYTES];
                header[0] = 0x60 | self.tos >> 4;
                header[1] = self.tos << 4;
                header[4..6].copy_from_slice(&length.to_be_bytes());
                header[6] = PFSYNC;
                header[7] = TTL;
                header[8..24].copy_from_slice(&source);
                header[24..].copy_from_slice(&destination);
                Ok(V6_BYTES)
            }
            _ => Err(EnvelopeError::Families),
        }
    }

    fn v4(&self, source: [u8; 4], destination: [u8; 4], length: u16, identification: u16) -> [u8; V4_BYTES] {
        const DONT_FRAGMENT: u8 = 0x40;
        let [length_high, length_low] = length.to_be_bytes();
        let [id_high, id_low] = identification.to_be_bytes();
        let mut header = [0; V4_BYTES];
        header[..10].copy_from_slice(&[
            0x45,
            self.tos,
            length_high,
            length_low,
            id_high,
            id_low,
            DONT_FRAGMENT,
            0,
            TTL,
            PFSYNC,
        ]);
        header[12..16].copy_from_slice(&source);
        header[16..].copy_from_slice(&destination);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }
}

impl Envelope {
    /// Reads the IP header of a pfsync packet. The caller checks the TTL, so that it can be counted.
    ///
    /// # Errors
    /// The first failing check, in the order of [`EnvelopeError`].
    pub fn parse(packet: &[u8]) -> Result<Self, EnvelopeError> {
        Self::parse_cut(packet, packet.len())
    }

    /// As [`Self::parse`], for a packet of `length` bytes of which `packet` may have only the start, as captures do. The payload
    /// ends where `packet` ends.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_cut(packet: &[u8], length: usize) -> Result<Self, EnvelopeError> {
        let mut envelope = match packet.first().ok_or(EnvelopeError::Truncated)? >> 4 {
            4 => Self::parse_v4(packet, length),
            6 => Self::parse_v6(packet, length),
            _ => Err(EnvelopeError::Version),
        }?;
        envelope.payload.end = envelope.payload.end.min(packet.len());
        Ok(envelope)
    }

    fn parse_v4(packet: &[u8], length: usize) -> Result<Self, EnvelopeError> {
        let header: &[u8; V4_BYTES] = packet.first_chunk().ok_or(EnvelopeError::Truncated)?;
        let header_bytes = usize::from(header[0] & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header_bytes < V4_BYTES || total < header_bytes {
            return Err(EnvelopeError::Length);
        }
        if length < total {
            return Err(EnvelopeError::Truncated);
        }
        if checksum(packet.get(..header_bytes).ok_or(EnvelopeError::Truncated)?) != 0 {
            return Err(EnvelopeError::Checksum);
        }
        const MORE_AND_OFFSET: u16 = 0x3fff;
        if u16::from_be_bytes([header[6], header[7]]) & MORE_AND_OFFSET != 0 {
            return Err(EnvelopeError::Fragment);
        }
        if header[9] != PFSYNC {
            return Err(EnvelopeError::Protocol);
        }
        Ok(Self {
            source: Address::V4([header[12], header[13], header[14], header[15]]),
            destination: Address::V4([header[16], header[17], header[18], header[19]]),
            ttl: header[8],
            tos: header[1],
            payload: header_bytes..total,
        })
    }

    fn parse_v6(packet: &[u8], length: usize) -> Result<Self, EnvelopeError> {
        let header: &[u8; V6_BYTES] = packet.first_chunk().ok_or(EnvelopeError::Truncated)?;
        let payload = usize::from(u16::from_be_bytes([header[4], header[5]]));
        if length < V6_BYTES + payload {
            return Err(EnvelopeError::Truncated);
        }
        if header[6] != PFSYNC {
            return Err(EnvelopeError::Protocol);
        }
        let mut source = [0; 16];
        let mut destination = [0; 16];
        source.copy_from_slice(&header[8..24]);
        destination.copy_from_slice(&header[24..]);
        Ok(Self {
            source: Address::V6(source),
            destination: Address::V6(destination),
            ttl: header[7],
            tos: header[0] << 4 | header[1] >> 4,
            payload: V6_BYTES..V6_BYTES + payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: Transport =
        Transport { source: Address::V4([192, 0, 2, 1]), destination: GROUP_V4, tos: TOS_LOW_DELAY };
    const V6: Transport = Transport { source: Address::V6([0x20; 16]), destination: GROUP_V6, tos: 0xb8 };

    fn packet(transport: &Transport, payload: usize) -> Vec<u8> {
        let mut packet = vec![0; transport.encoded_len() + payload];
        transport.emit(&mut packet, payload, 0x1234).unwrap();
        packet
    }

    #[test]
    fn a_written_header_reads_back() {
        for transport in [V4, V6] {
            let packet = packet(&transport, 24);
            let envelope = Envelope::parse(&packet).unwrap();
            let header = transport.encoded_len();
            let expected = Envelope {
                source: transport.source,
                destination: transport.destination,
                ttl: TTL,
                tos: transport.tos,
                payload: header..header + 24,
            };
            assert_eq!(envelope, expected);
            for cut in 0..packet.len() {
                assert_eq!(Envelope::parse(&packet[..cut]), Err(EnvelopeError::Truncated));
            }
        }
    }

    #[test]
    fn padding_after_the_packet_is_not_payload() {
        for transport in [V4, V6] {
            let mut packet = packet(&transport, 0);
            packet.extend([0; 30]);
            assert!(Envelope::parse(&packet).unwrap().payload.is_empty());
        }
    }

    /// Recomputes the checksum of an IPv4 header.
    fn fix_checksum(packet: &mut [u8]) {
        packet[10..12].fill(0);
        let end = usize::from(packet[0] & 0x0f) * 4;
        let sum = checksum(&packet[..end.min(packet.len())]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }

    #[test]
    fn each_reject_has_its_own_error() {
        let cases: [(usize, u8, EnvelopeError); 7] = [
            (0, 0x55, EnvelopeError::Version),
            (0, 0x44, EnvelopeError::Length),
            (3, 19, EnvelopeError::Length),
            (6, 0x20, EnvelopeError::Fragment),
            (7, 1, EnvelopeError::Fragment),
            (9, 17, EnvelopeError::Protocol),
            (9, 112, EnvelopeError::Protocol),
        ];
        for (at, value, error) in cases {
            let mut packet = packet(&V4, 24);
            packet[at] = value;
            fix_checksum(&mut packet);
            assert_eq!(Envelope::parse(&packet), Err(error), "byte {at}");
        }
        let mut flipped = packet(&V4, 24);
        flipped[15] ^= 1;
        assert_eq!(Envelope::parse(&flipped), Err(EnvelopeError::Checksum));
        for (next_header, name) in [(0, "hop-by-hop options"), (44, "fragment")] {
            let mut extended = packet(&V6, 24);
            extended[6] = next_header;
            assert_eq!(Envelope::parse(&extended), Err(EnvelopeError::Protocol), "{name} header");
        }
    }

    #[test]
    fn the_header_of_a_cut_packet_is_read() {
        for transport in [&V4, &V6] {
            let header = transport.encoded_len();
            let whole = packet(transport, 100);
            assert_eq!(Envelope::parse(&whole[..header + 30]), Err(EnvelopeError::Truncated));
            let cut = Envelope::parse_cut(&whole[..header + 30], whole.len()).unwrap();
            let expected = Envelope { payload: header..header + 30, ..Envelope::parse(&whole).unwrap() };
            assert_eq!(cut, expected);
            assert_eq!(Envelope::parse_cut(&whole[..header - 1], whole.len()), Err(EnvelopeError::Truncated));
            let shorter = Envelope::parse_cut(&whole[..header + 30], whole.len() - 1);
            assert_eq!(shorter, Err(EnvelopeError::Truncated));
        }
    }

    #[test]
    fn ipv4_options_are_skipped() {
        let mut packet = packet(&V4, 24);
        packet.splice(20..20, [1, 1, 1, 1]);
        packet[0] = 0x46;
        packet[3] += 4;
        fix_checksum(&mut packet);
        assert_eq!(Envelope::parse(&packet).unwrap().payload, 24..48);
    }

    #[test]
    fn a_header_that_cannot_be_written_is_refused() {
        let mixed = Transport { destination: GROUP_V6, ..V4 };
        assert_eq!(mixed.emit(&mut [0; 100], 0, 0), Err(EnvelopeError::Families));
        assert_eq!(V4.emit(&mut [0; 19], 0, 0), Err(EnvelopeError::Truncated));
        assert_eq!(V4.emit(&mut [0; 20], 65516, 0), Err(EnvelopeError::Length));
    }
}
