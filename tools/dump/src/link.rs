//! Removes the link header of a captured packet.

use pfsync::link::Ethernet;

/// What follows a link header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPayload<'a> {
    /// An IP packet, and its VLAN identifier.
    Ip(&'a [u8], Option<u16>),
    /// A pfsync frame without an IP header, from a capture on `pfsync0` itself.
    Frame(&'a [u8]),
    /// Something else.
    Other,
}

const NULL: u32 = 0;
const ETHERNET: u32 = 1;
/// `pfsync0` of OpenBSD, NetBSD and DragonFly; of FreeBSD; in libpcap's numbering.
const PFSYNC: [u32; 3] = [18, 121, 246];
const RAW: [u32; 5] = [12, 14, 101, 228, 229];
/// `enc0`, where OpenBSD shows packets of IPsec: its own number, and libpcap's.
const ENC: [u32; 2] = [13, 109];
const LOOP: u32 = 108;
const LINUX_COOKED: u32 = 113;
const LINUX_COOKED_2: u32 = 276;

/// Names of the supported link types, for messages.
pub const SUPPORTED: &str = "Ethernet, raw IP, null, loop, enc, Linux cooked, pfsync";

/// Returns whether packets of this link type can be decoded.
#[must_use]
pub fn is_supported(link_type: u32) -> bool {
    matches!(link_type, NULL | ETHERNET | LOOP | LINUX_COOKED | LINUX_COOKED_2)
        || RAW.contains(&link_type)
        || PFSYNC.contains(&link_type)
        || ENC.contains(&link_type)
}

/// Returns what follows the link header.
#[must_use]
pub fn link_payload(link_type: u32, bytes: &[u8]) -> LinkPayload<'_> {
    let after = |header: usize| {
        bytes.get(header..).map_or(LinkPayload::Other, |packet| LinkPayload::Ip(packet, None))
    };
    match link_type {
        ETHERNET => match Ethernet::parse(bytes) {
            Ok((header, packet)) => LinkPayload::Ip(&bytes[packet], header.vlan),
            Err(_) => LinkPayload::Other,
        },
        NULL | LOOP => after(4),
        // Family, SPI and flags.
        enc if ENC.contains(&enc) => after(12),
        LINUX_COOKED => after(16),
        LINUX_COOKED_2 => after(20),
        raw if RAW.contains(&raw) => LinkPayload::Ip(bytes, None),
        pfsync if PFSYNC.contains(&pfsync) => LinkPayload::Frame(bytes),
        _ => LinkPayload::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ip_packet_of_every_supported_link_type_is_found() {
        let ethernet = [&[0; 12][..], &[0x81, 0, 0, 9, 8, 0], &[0x45; 20]].concat();
        assert_eq!(link_payload(ETHERNET, &ethernet), LinkPayload::Ip(&[0x45; 20], Some(9)));
        assert_eq!(link_payload(101, &[0x45; 20]), LinkPayload::Ip(&[0x45; 20], None));
        assert_eq!(link_payload(NULL, &[2, 0, 0, 0, 0x45]), LinkPayload::Ip(&[0x45], None));
        for pfsync in [18, 121, 246] {
            assert_eq!(link_payload(pfsync, &[6]), LinkPayload::Frame(&[6]));
        }
        let enc = [&[0; 12][..], &[0x45; 20]].concat();
        assert_eq!(link_payload(109, &enc), LinkPayload::Ip(&[0x45; 20], None));
        assert_eq!(link_payload(LINUX_COOKED, &[0; 15]), LinkPayload::Other);
        assert_eq!(link_payload(147, &[0; 50]), LinkPayload::Other);
        assert!(!is_supported(147) && [13, 101, 109, 121].into_iter().all(is_supported));
    }
}
