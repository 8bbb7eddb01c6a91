//! The Ethernet header of the sync port, with or without a VLAN tag.

use core::error::Error;
use core::fmt;
use core::ops::Range;

use crate::envelope::Address;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// An Ethernet header.
///
/// ```text
/// destination (6) | source (6) | [0x8100 | tag (2)] | 0x0800 or 0x86dd
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// Destination; see [`multicast`].
    pub destination: Mac,
    /// Source.
    pub source: Mac,
    /// VLAN identifier, 1 to 4094, if the frame is tagged.
    pub vlan: Option<u16>,
}

/// Why an Ethernet frame carries no IP packet, or why its header cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkError {
    /// Shorter than its header, or no space for a header.
    Truncated,
    /// Neither IPv4 nor IPv6.
    NotIp,
}

const ETHERTYPE_OFFSET: usize = 12;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const VLAN: [u8; 2] = [0x81, 0x00];
const SERVICE_VLAN: [u8; 2] = [0x88, 0xa8];
const VLAN_IDENTIFIER: u16 = 0x0fff;

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than an Ethernet header",
            Self::NotIp => "neither IPv4 nor IPv6",
        })
    }
}

impl Error for LinkError {}

/// Returns the Ethernet address of a multicast group; `None` for other addresses.
#[must_use]
pub const fn multicast(address: Address) -> Option<Mac> {
    match address {
        Address::V4([224..=239, b, c, d]) => Some([0x01, 0x00, 0x5e, b & 0x7f, c, d]),
        Address::V6([0xff, _, _, _, _, _, _, _, _, _, _, _, e, f, g, h]) => Some([0x33, 0x33, e, f, g, h]),
        _ => None,
    }
}

fn two_bytes(frame: &[u8], at: usize) -> Result<[u8; 2], LinkError> {
    frame.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(LinkError::Truncated)
}

impl Ethernet {
    /// Returns the header's length.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match self.vlan {
            Some(_) => 18,
            None => 14,
        }
    }

    /// Reads the header and returns it with the range of the IP packet. Of two VLAN tags, the header has the inner one.
    ///
    /// # Errors
    /// A frame that is too short or carries no IP.
    pub fn parse(frame: &[u8]) -> Result<(Self, Range<usize>), LinkError> {
        let (destination, rest) = frame.split_first_chunk().ok_or(LinkError::Truncated)?;
        let source = rest.first_chunk().ok_or(LinkError::Truncated)?;
        let mut header = Self { destination: *destination, source: *source, vlan: None };
        let mut at = ETHERTYPE_OFFSET;
        for _ in 0..2 {
            if !matches!(two_bytes(frame, at)?, VLAN | SERVICE_VLAN) {
                break;
            }
            header.vlan = Some(u16::from_be_bytes(two_bytes(frame, at + 2)?) & VLAN_IDENTIFIER);
            at += 4;
        }
        match two_bytes(frame, at)? {
            IPV4 | IPV6 => Ok((header, at + 2..frame.len())),
            _ => Err(LinkError::NotIp),
        }
    }

    /// Writes the header for a packet of this address's family to the start of `buffer` and returns its length.
    ///
    /// # Errors
    /// [`LinkError::Truncated`] if the header does not fit into `buffer`.
    pub fn emit(&self, buffer: &mut [u8], family: Address) -> Result<usize, LinkError> {
        let length = self.encoded_len();
        let header = buffer.get_mut(..length).ok_or(LinkError::Truncated)?;
        header[..6].copy_from_slice(&self.destination);
        header[6..12].copy_from_slice(&self.source);
        if let Some(vlan) = self.vlan {
            header[12..14].copy_from_slice(&VLAN);
            header[14..16].copy_from_slice(&(vlan & VLAN_IDENTIFIER).to_be_bytes());
        }
        header[length - 2..].copy_from_slice(match family {
            Address::V4(_) => &IPV4,
            Address::V6(_) => &IPV6,
        });
        Ok(length)
    }
}

/// What of a received frame's Ethernet header decides whether it is for us. Tags that a NIC has removed count too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedLink {
    /// Destination.
    pub destination: Mac,
    /// The VLAN of the outermost tag; 0, also of a tag that only sets a priority, for none.
    vlan: u16,
    /// There is a second tag, or a service tag.
    is_stacked: bool,
}

impl ReceivedLink {
    /// Reads the header of a frame, from which the NIC has removed the `stripped` tags. Returns it with the IP packet.
    ///
    /// # Errors
    /// A frame that is too short or carries no IP.
    pub fn parse<'a>(frame: &'a [u8], stripped: &[u16]) -> Result<(Self, &'a [u8]), LinkError> {
        let (header, packet) = Ethernet::parse(frame)?;
        let is_stacked =
            two_bytes(frame, ETHERTYPE_OFFSET)? == SERVICE_VLAN || packet.start > header.encoded_len();
        let mut link = Self { destination: header.destination, vlan: 0, is_stacked };
        let tags = stripped.iter().copied().chain(header.vlan).map(|tag| tag & VLAN_IDENTIFIER);
        for vlan in tags.filter(|vlan| *vlan != 0) {
            link.is_stacked |= link.vlan != 0;
            link.vlan = vlan;
        }
        Ok((link, &frame[packet]))
    }

    /// Whether the frame is in a VLAN, or untagged for `None`.
    #[must_use]
    pub fn is_in(&self, vlan: Option<u16>) -> bool {
        !self.is_stacked && self.vlan == vlan.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{GROUP_V4, GROUP_V6};

    #[test]
    fn a_multicast_group_maps_to_its_ethernet_address() {
        assert_eq!(multicast(GROUP_V4), Some([0x01, 0x00, 0x5e, 0x00, 0x00, 0xf0]));
        assert_eq!(multicast(GROUP_V6), Some([0x33, 0x33, 0x00, 0x00, 0x00, 0xf0]));
        assert_eq!(multicast(Address::V4([192, 0, 2, 1])), None);
        assert_eq!(multicast(Address::V6([0x20; 16])), None);
    }

    #[test]
    fn headers_with_and_without_a_tag_read_back() {
        for (vlan, family) in [(None, GROUP_V4), (Some(4094), GROUP_V6)] {
            let header = Ethernet { destination: [1; 6], source: [2; 6], vlan };
            let mut buffer = [0; 20];
            let length = header.emit(&mut buffer, family).unwrap();
            assert_eq!(Ethernet::parse(&buffer), Ok((header, length..20)));
            for cut in 0..length {
                assert_eq!(Ethernet::parse(&buffer[..cut]), Err(LinkError::Truncated), "{cut}");
                assert_eq!(header.emit(&mut [0; 20][..cut], family), Err(LinkError::Truncated));
            }
        }
    }

    #[test]
    fn a_frame_without_ip_is_refused() {
        let mut arp = [0; 60];
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        assert_eq!(Ethernet::parse(&arp), Err(LinkError::NotIp));
    }

    /// A frame with these tags, outermost first.
    fn tagged(protocol: [u8; 2], tags: &[u16]) -> Vec<u8> {
        let mut frame = vec![1; 12];
        tags.iter().for_each(|tag| frame.extend([&protocol[..], &tag.to_be_bytes()[..]].concat()));
        frame.extend(IPV4);
        frame.push(0x45);
        frame
    }

    fn vlans(frame: &[u8], stripped: &[u16]) -> Vec<Option<u16>> {
        let (link, packet) = ReceivedLink::parse(frame, stripped).unwrap();
        assert_eq!((link.destination, packet), ([1; 6], &[0x45][..]));
        [None, Some(10), Some(99)].into_iter().filter(|vlan| link.is_in(*vlan)).collect()
    }

    #[test]
    fn a_frame_is_in_the_vlan_of_its_only_tag_wherever_that_tag_is() {
        for (tags, stripped, expected) in [
            (&[][..], &[][..], &[None][..]),
            (&[10], &[], &[Some(10)]),
            (&[], &[10], &[Some(10)]),
            (&[], &[0xe00a], &[Some(10)]),
            (&[], &[0xe000], &[None]),
            (&[0], &[], &[None]),
            (&[10], &[0], &[Some(10)]),
            (&[99, 10], &[], &[]),
            (&[10], &[99], &[]),
            (&[], &[99, 10], &[]),
            (&[10, 10], &[], &[]),
        ] {
            assert_eq!(vlans(&tagged(VLAN, tags), stripped), expected, "{tags:?} {stripped:?}");
        }
        assert_eq!(vlans(&tagged(SERVICE_VLAN, &[10]), &[]), [], "a service tag is of another network");
    }
}
