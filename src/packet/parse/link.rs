//! The Ethernet header and its VLAN tags.

use super::reader::Reader;
use crate::packet::Rejection;

/// The first header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header, with up to two VLAN tags.
    Ethernet,
    /// The IP header.
    Ip,
}

const ETHERNET_BYTES: usize = 14;
const TAG_BYTES: usize = 4;
/// A service tag and a customer tag.
const MAX_TAGS: usize = 2;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

const fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// Returns the offset of the IP header, and the IP version that the Ethernet type names; the caller compares it.
#[inline(always)]
pub(super) fn l3_offset(reader: &Reader<'_>, link: Link) -> Result<(usize, Option<u8>), Rejection> {
    if link == Link::Ip {
        return Ok((0, None));
    }
    let header: &[u8; ETHERNET_BYTES] = reader.header(0)?;
    let mut ethertype = u16::from_be_bytes([header[12], header[13]]);
    let mut at = ETHERNET_BYTES;
    let mut tags = 0;
    while is_tag(ethertype) {
        if tags == MAX_TAGS {
            return Err(Rejection::Malformed);
        }
        let tag: &[u8; TAG_BYTES] = reader.header(at)?;
        ethertype = u16::from_be_bytes([tag[2], tag[3]]);
        at += TAG_BYTES;
        tags += 1;
    }
    match ethertype {
        IPV4 => Ok((at, Some(4))),
        IPV6 => Ok((at, Some(6))),
        _ => Err(Rejection::NotIp),
    }
}
