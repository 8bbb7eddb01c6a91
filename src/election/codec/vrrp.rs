//! VRRP version 3's advert (RFC 9568), with both manners of the IPv4 checksum.

use crate::packet::checksum::Sum;
use core::net::IpAddr;

/// Maximum number of addresses in an advert.
pub const MAX_ADDRESSES: usize = 255;
/// Longest interval in hundredths of a second: twelve bits.
pub const MAX_INTERVAL: u16 = 0xfff;

const HEADER_BYTES: usize = 8;
const VERSION_AND_TYPE: u8 = 0x31;
const PROTOCOL: u8 = super::frame::PROTOCOL;

/// What an advert says, its addresses apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The group on its network.
    pub id: u8,
    /// The priority, 0 for a farewell.
    pub priority: u8,
    /// Interval in hundredths of a second.
    pub interval: u16,
}

/// How the checksum of an advert over IPv4 is computed. Over IPv6 it always has the pseudo header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumManner {
    /// With the pseudo header, as RFC 5798 has it and most routers do.
    WithPseudoHeader,
    /// Over the advert alone, as RFC 9568 has it.
    AdvertOnly,
}

/// Why bytes are no advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not as long as the number of addresses says.
    Length,
    /// Another version or type.
    Version,
    /// The checksum is wrong in both manners.
    Checksum,
    /// The checksum is right in the manner that is not configured.
    OtherManner,
}

/// Reads an advert from `source` to `destination`, and returns the bytes of its addresses too.
pub fn parse(
    payload: &[u8],
    source: IpAddr,
    destination: IpAddr,
    manner: ChecksumManner,
) -> Result<(Advert, &[u8]), Fault> {
    let (header, addresses) = payload.split_first_chunk::<HEADER_BYTES>().ok_or(Fault::Length)?;
    if header[0] != VERSION_AND_TYPE {
        return Err(Fault::Version);
    }
    if addresses.len() != usize::from(header[3]) * address_bytes(source) {
        return Err(Fault::Length);
    }
    let intact = |manner| start(source, destination, payload.len(), manner).bytes(payload).is_intact();
    if !intact(manner) {
        return Err(if intact(manner.other()) { Fault::OtherManner } else { Fault::Checksum });
    }
    let interval = u16::from_be_bytes([header[4], header[5]]) & MAX_INTERVAL;
    Ok((Advert { id: header[1], priority: header[2], interval }, addresses))
}

/// Writes an advert. Returns its length, or `None` if `out` is too small for all addresses.
pub fn write(
    advert: &Advert,
    addresses: &[IpAddr],
    (source, destination): (IpAddr, IpAddr),
    manner: ChecksumManner,
    out: &mut [u8],
) -> Option<usize> {
    let width = address_bytes(source);
    let out = out.get_mut(..HEADER_BYTES + addresses.len() * width)?;
    let (header, rest) = out.split_at_mut(HEADER_BYTES);
    let [high, low] = advert.interval.to_be_bytes();
    let count = u8::try_from(addresses.len()).ok()?;
    header.copy_from_slice(&[VERSION_AND_TYPE, advert.id, advert.priority, count, high, low, 0, 0]);
    for (address, bytes) in addresses.iter().zip(rest.chunks_exact_mut(width)) {
        match address {
            IpAddr::V4(v4) => bytes.copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => bytes.copy_from_slice(&v6.octets()),
        }
    }
    let sum = start(source, destination, out.len(), manner).bytes(out).checksum().0;
    out[6..8].copy_from_slice(&sum);
    Some(out.len())
}

impl ChecksumManner {
    const fn other(self) -> Self {
        match self {
            Self::WithPseudoHeader => Self::AdvertOnly,
            Self::AdvertOnly => Self::WithPseudoHeader,
        }
    }
}

/// Returns the sum that the advert's bytes are added to.
fn start(source: IpAddr, destination: IpAddr, length: usize, manner: ChecksumManner) -> Sum {
    if source.is_ipv4() && manner == ChecksumManner::AdvertOnly {
        return Sum::default();
    }
    Sum::pseudo_header(&[source, destination].map(padded), PROTOCOL, length as u32)
}

fn padded(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => core::array::from_fn(|at| v4.octets().get(at).copied().unwrap_or(0)),
        IpAddr::V6(v6) => v6.octets(),
    }
}

const fn address_bytes(address: IpAddr) -> usize {
    if address.is_ipv4() { 4 } else { 16 }
}

/// Whether `listed` holds exactly `addresses`, in any order.
pub(in crate::election) fn lists(addresses: &[IpAddr], listed: &[u8]) -> bool {
    let width = if addresses.first().is_some_and(IpAddr::is_ipv4) { 4 } else { 16 };
    let address = |bytes: &[u8]| match bytes.first_chunk::<16>() {
        Some(v6) => IpAddr::from(*v6),
        None => IpAddr::from(*bytes.first_chunk::<4>().expect("four bytes")),
    };
    listed.len() == width * addresses.len()
        && addresses.iter().all(|ours| listed.chunks_exact(width).any(|theirs| address(theirs) == *ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn written(
        advert: &Advert,
        addresses: &[IpAddr],
        path: (IpAddr, IpAddr),
        manner: ChecksumManner,
    ) -> Vec<u8> {
        let mut out = [0; 600];
        let length = write(advert, addresses, path, manner, &mut out).expect("space");
        out[..length].to_vec()
    }

    use ChecksumManner::{AdvertOnly, WithPseudoHeader};

    /// Adverts that keepalived sent.
    #[test]
    fn adverts_have_the_bytes_that_keepalived_sends() {
        let v4 = (address("10.9.0.1"), address("224.0.0.18"));
        let v6 = (address("fe80::64d1:f3ff:fefb:14d4"), address("ff02::12"));
        let two = [address("10.9.0.100"), address("10.9.0.101")];
        let six = [address("fe80::100"), address("2001:db8:9::100")];
        let cases = [
            (200, v4, &two[..], "3107c8020064071a0a0900640a090065"),
            (0, v4, &two[..], "310700020064cf1a0a0900640a090065"),
            (
                200,
                v6,
                &six[..],
                "3107c80200646d7ffe80000000000000000000000000010020010db8000900000000000000000100",
            ),
        ];
        for (priority, path, addresses, bytes) in cases {
            let advert = Advert { id: 7, priority, interval: 100 };
            let expected = hex(bytes);
            let (read, listed) = parse(&expected, path.0, path.1, WithPseudoHeader).expect("an advert");
            assert_eq!(read, advert);
            assert_eq!(listed, &expected[8..]);
            assert_eq!(written(&advert, addresses, path, WithPseudoHeader), expected);
        }
    }

    #[test]
    fn both_manners_of_the_checksum_are_told_apart_over_ipv4_only() {
        let advert = Advert { id: 9, priority: 100, interval: 4095 };
        let v4 = (address("10.9.0.1"), address("224.0.0.18"));
        let v6 = (address("fe80::1"), address("ff02::12"));
        for manner in [WithPseudoHeader, AdvertOnly] {
            let bytes = written(&advert, &[address("10.9.0.100")], v4, manner);
            assert!(parse(&bytes, v4.0, v4.1, manner).is_ok());
            assert_eq!(parse(&bytes, v4.0, v4.1, manner.other()), Err(Fault::OtherManner));
            let bytes = written(&advert, &[address("2001:db8::1")], v6, manner);
            assert!(parse(&bytes, v6.0, v6.1, manner.other()).is_ok());
        }
    }

    #[test]
    fn damaged_adverts_are_refused_by_cause() {
        let path = (address("10.9.0.1"), address("224.0.0.18"));
        let advert = Advert { id: 9, priority: 100, interval: 10 };
        let bytes = written(&advert, &[address("10.9.0.100")], path, AdvertOnly);
        let read = |bytes: &[u8]| parse(bytes, path.0, path.1, AdvertOnly).map(|_| ());
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), Err(Fault::Length));
        }
        assert_eq!(read(&[&bytes[..], &[0]].concat()), Err(Fault::Length), "nothing may follow");
        let changed = |at: usize, value| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            bytes
        };
        assert_eq!(read(&changed(0, 0x21)), Err(Fault::Version));
        assert_eq!(read(&changed(2, 101)), Err(Fault::Checksum));
        assert_eq!(read(&changed(3, 2)), Err(Fault::Length));
    }

    #[test]
    fn too_many_addresses_or_too_small_a_buffer_write_nothing() {
        let path = (address("10.9.0.1"), address("224.0.0.18"));
        let advert = Advert { id: 9, priority: 100, interval: 10 };
        let many = vec![address("10.9.0.100"); MAX_ADDRESSES + 1];
        assert_eq!(write(&advert, &many, path, AdvertOnly, &mut [0; 2000]), None);
        assert_eq!(write(&advert, &many[..1], path, AdvertOnly, &mut [0; 11]), None);
    }
}
