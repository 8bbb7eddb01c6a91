//! From a link's frame to the IP packet in it.

use pfsync::link::Ethernet;

/// What a link carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried<'a> {
    /// An IP packet, and the VLAN that it came on.
    Ip(&'a [u8], Option<u16>),
    /// A pfsync frame without any header around it: a capture on OpenBSD's `pfsync0` itself.
    Frame(&'a [u8]),
    /// Something else.
    Other,
}

const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const PFSYNC: [u32; 2] = [18, 246];
const RAW: [u32; 5] = [12, 14, 101, 228, 229];
const LOOP: u32 = 108;
const LINUX_COOKED: u32 = 113;
const LINUX_COOKED_2: u32 = 276;

/// The names of the link types that are understood, for messages.
pub const UNDERSTOOD: &str = "Ethernet, raw IP, null, loop, Linux cooked, pfsync";

/// Whether packets of this link type can be looked into.
#[must_use]
pub fn understood(link_type: u32) -> bool {
    matches!(link_type, NULL | ETHERNET | LOOP | LINUX_COOKED | LINUX_COOKED_2)
        || RAW.contains(&link_type)
        || PFSYNC.contains(&link_type)
}

/// Looks behind the link's header.
#[must_use]
pub fn carried(link_type: u32, bytes: &[u8]) -> Carried<'_> {
    let behind =
        |header: usize| bytes.get(header..).map_or(Carried::Other, |packet| Carried::Ip(packet, None));
    match link_type {
        ETHERNET => match Ethernet::parse(bytes) {
            Ok((header, packet)) => Carried::Ip(&bytes[packet], header.vlan),
            Err(_) => Carried::Other,
        },
        NULL | LOOP => behind(4),
        LINUX_COOKED => behind(16),
        LINUX_COOKED_2 => behind(20),
        raw if RAW.contains(&raw) => Carried::Ip(bytes, None),
        pfsync if PFSYNC.contains(&pfsync) => Carried::Frame(bytes),
        _ => Carried::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_type_that_is_understood_carries_something() {
        let ethernet = [&[0; 12][..], &[0x81, 0, 0, 9, 8, 0], &[0x45; 20]].concat();
        assert_eq!(carried(ETHERNET, &ethernet), Carried::Ip(&[0x45; 20], Some(9)));
        assert_eq!(carried(101, &[0x45; 20]), Carried::Ip(&[0x45; 20], None));
        assert_eq!(carried(NULL, &[2, 0, 0, 0, 0x45]), Carried::Ip(&[0x45], None));
        assert_eq!(carried(18, &[6]), Carried::Frame(&[6]));
        assert_eq!(carried(LINUX_COOKED, &[0; 15]), Carried::Other);
        assert_eq!(carried(147, &[0; 50]), Carried::Other);
        assert!(!understood(147) && understood(101));
    }
}
