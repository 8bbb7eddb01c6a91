//! Reads any bytes as CARP's and VRRP's adverts, as ARP and as neighbour discovery, and writes what was read again.

use std::net::IpAddr;

use crate::input::Input;
use pfplane::internals::election::ChecksumManner;
use pfplane::internals::election::codec::carp::{self, Authenticator};
use pfplane::internals::election::codec::frame::{self, Frame, Path};
use pfplane::internals::election::codec::neighbour::{self, MAX_NEIGHBOUR_BYTES};
use pfplane::internals::election::codec::vrrp;
use pfplane::internals::packet::checksum::{Sum, checksum};

/// Space for every frame that is written.
const CAPACITY: usize = 9200;
const ETHERNET_BYTES: usize = 14;

/// What the first byte of an input selects.
#[derive(Clone, Copy)]
struct Choices {
    vlan: u16,
    manner: ChecksumManner,
    fixes_checksums: bool,
}

impl Choices {
    fn new(byte: u8) -> Self {
        Self {
            vlan: if byte & 1 == 0 { 0 } else { 7 },
            manner: if byte & 2 == 0 { ChecksumManner::WithPseudoHeader } else { ChecksumManner::AdvertOnly },
            fixes_checksums: byte & 4 != 0,
        }
    }
}

/// Reads `data` as a frame with a CARP advert: a byte that selects how, then the frame.
///
/// # Panics
/// If what is read is written with other bytes, or a digest of ours is not accepted.
pub fn any_carp(data: &[u8]) {
    let mut input = Input::new(data);
    let choices = Choices::new(input.byte());
    let mut bytes = input.take(data.len()).to_vec();
    if choices.fixes_checksums {
        fix_checksums(&mut bytes, &choices, true);
    }
    if let Some(frame) = read_frame(&bytes, choices.vlan) {
        read_carp(frame.payload);
    }
    read_carp(&bytes);
    read_neighbours(&bytes, choices.vlan);
}

fn read_carp(payload: &[u8]) {
    let Ok(advert) = carp::parse(payload) else { return };
    let addresses: [IpAddr; 3] =
        [[10, 0, 0, 1].into(), [0xfe80, 0, 0, 0, 0, 0, 0, 1].into(), [10, 0, 0, 2].into()];
    let both = [false, true].map(|all| Authenticator::new(b"secret", advert.id, &mut addresses.clone(), all));
    let written = both.each_ref().map(|ours| carp::write(&advert, ours));
    // No input has a digest with this pass-phrase, unless it is what was written.
    let is_authentic = written.iter().any(|written| written[8..] == payload[8..carp::ADVERT_BYTES]);
    for ours in &both {
        assert_eq!(ours.accepts(payload), is_authentic);
        for written in &written {
            assert_eq!(carp::parse(written), Ok(advert));
            assert!(ours.accepts(written));
        }
    }
}

/// Reads `data` as a frame with a VRRP advert: a byte that selects how, then the frame.
///
/// # Panics
/// If what is read is written with other bytes.
pub fn any_vrrp(data: &[u8]) {
    let mut input = Input::new(data);
    let choices = Choices::new(input.byte());
    let mut bytes = input.take(data.len()).to_vec();
    if choices.fixes_checksums {
        fix_checksums(&mut bytes, &choices, false);
    }
    if let Some(frame) = read_frame(&bytes, choices.vlan) {
        read_vrrp(&frame, choices.manner);
    }
    read_neighbours(&bytes, choices.vlan);
}

fn read_vrrp(frame: &Frame<'_>, manner: ChecksumManner) {
    let path = (frame.source, frame.destination);
    let Ok((advert, listed)) = vrrp::parse(frame.payload, path.0, path.1, manner) else { return };
    let addresses: Vec<IpAddr> = if frame.source.is_ipv4() {
        listed.chunks_exact(4).map(|bytes| <[u8; 4]>::try_from(bytes).expect("four bytes").into()).collect()
    } else {
        listed
            .chunks_exact(16)
            .map(|bytes| <[u8; 16]>::try_from(bytes).expect("sixteen bytes").into())
            .collect()
    };
    let mut out = [0; CAPACITY];
    let length = vrrp::write(&advert, &addresses, path, manner, &mut out).expect("it came from a frame");
    assert_eq!(vrrp::parse(&out[..length], path.0, path.1, manner), Ok((advert, listed)));
    // The reserved bits are not kept.
    if frame.payload[4] >> 4 == 0 {
        assert_eq!((&out[..6], &out[8..length]), (&frame.payload[..6], &frame.payload[8..]));
    }
}

/// Reads a frame and writes it again; what is read must be the same.
fn read_frame(bytes: &[u8], vlan: u16) -> Option<Frame<'_>> {
    let frame = frame::parse(bytes, vlan).ok()?;
    assert_eq!(frame.source.is_ipv4(), frame.destination.is_ipv4());
    let path = Path {
        vlan,
        source_mac: frame.source_mac,
        destination_mac: bytes[..6].try_into().expect("six bytes"),
        source: frame.source,
        destination: frame.destination,
        protocol: frame::PROTOCOL,
        tos: 0xc0,
    };
    let mut out = [0; CAPACITY];
    let length = frame::write(&path, frame.payload, &mut out)?;
    assert_eq!(frame::parse(&out[..length], vlan), Ok(frame));
    for short in [0, ETHERNET_BYTES, length - 1] {
        assert_eq!(frame::write(&path, frame.payload, &mut out[..short]), None);
    }
    Some(frame)
}

/// Answers an ARP request or a neighbour solicitation, and reads the answer, which is no question.
fn read_neighbours(bytes: &[u8], vlan: u16) {
    let Some(question) = neighbour::parse(bytes, vlan) else { return };
    let mut out = [0; MAX_NEIGHBOUR_BYTES];
    let length =
        neighbour::write_answer(&question, [2; 6], [4; 6], vlan, &mut out).expect("space for every answer");
    assert_eq!(neighbour::parse(&out[..length], vlan), None);
    let length = neighbour::write_announcement(question.target, [2; 6], vlan, &mut out);
    let length = length.expect("space for every announcement");
    assert_eq!(neighbour::parse(&out[..length], vlan), None);
}

/// Makes the checksums of the IP header and of the advert right, so that the bytes behind them are reached.
fn fix_checksums(bytes: &mut [u8], choices: &Choices, is_carp: bool) {
    let tagged = bytes.get(12..14) == Some(&[0x81, 0]);
    let start = if tagged { ETHERNET_BYTES + 4 } else { ETHERNET_BYTES };
    let Some(packet) = bytes.get_mut(start..) else { return };
    if packet.first().is_some_and(|byte| byte >> 4 == 4)
        && let Some(header) = packet.first_chunk_mut::<20>()
    {
        header[10..12].fill(0);
        let sum = checksum(header).0;
        header[10..12].copy_from_slice(&sum);
    }
    let Ok(frame) = frame::parse(bytes, choices.vlan) else { return };
    let (source, destination, length) = (frame.source, frame.destination, frame.payload.len());
    if length < 8 {
        return;
    }
    let at = start + if source.is_ipv4() { 20 } else { 40 };
    let payload = &mut bytes[at..at + length];
    payload[6..8].fill(0);
    let sum = if is_carp {
        checksum(&payload[..length.min(carp::ADVERT_BYTES)]).0
    } else if source.is_ipv4() && choices.manner == ChecksumManner::AdvertOnly {
        checksum(payload).0
    } else {
        let pair = [source, destination].map(padded);
        Sum::pseudo_header(&pair, frame::PROTOCOL, length as u32).bytes(payload).checksum().0
    };
    payload[6..8].copy_from_slice(&sum);
}

fn padded(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => core::array::from_fn(|at| v4.octets().get(at).copied().unwrap_or(0)),
        IpAddr::V6(v6) => v6.octets(),
    }
}
