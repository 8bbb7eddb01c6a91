//! Packets: any bytes under any link, cut anywhere into pieces, read and rewritten.

use pfplane::internals::packet::{
    Be16, Direction, Facts, Family, Kind, Link, Rejection, Translation, WritablePacket, parse, parse_fragment,
    key_in_family,
};

/// Takes the first three bytes for how, the others as the packet.
///
/// # Panics
/// When a piece of a packet is read as something else than the whole, or a refused packet was changed.
pub fn any_packet(data: &[u8]) {
    let Some((&[how, cut, seed], bytes)) = data.split_first_chunk() else { return };
    let link = if how & 1 == 0 { Link::Ethernet } else { Link::Ip };
    let direction = if how & 2 == 0 { Direction::In } else { Direction::Out };
    let length = bytes.len() as u32;
    let whole = parse(bytes, length, link, direction);
    first_piece(bytes, usize::from(cut), link, direction, &whole);
    let fragment = parse_fragment(bytes, length, link, direction);
    match whole {
        Ok(facts) => {
            assert!(facts.ip_length <= length && fragment.is_none());
            rewrite(bytes, &facts, seed, how & 4 != 0);
            to_other_family(bytes, &facts, seed, how);
        }
        Err(Rejection::Fragment) => {
            let fragment = fragment.expect("a fragment says of whom it is");
            assert!(fragment.ip_length <= length && usize::from(fragment.l4_offset) <= bytes.len());
        }
        Err(_) => {}
    }
}

/// The packet's first piece says the same as the whole, or that there is too little of it.
fn first_piece(bytes: &[u8], cut: usize, link: Link, direction: Direction, whole: &Result<Facts, Rejection>) {
    let piece = &bytes[..cut.min(bytes.len())];
    let read = parse(piece, bytes.len() as u32, link, direction);
    if read != Err(Rejection::NotContiguous) {
        assert_eq!(&read, whole, "the first {cut} of {} bytes", bytes.len());
    }
}

/// Every address and port another, and back again.
fn rewrite(bytes: &[u8], facts: &Facts, seed: u8, partial: bool) {
    let mut to = facts.key;
    to.addr[0][3] ^= seed;
    to.addr[1][2] ^= seed.rotate_left(3);
    to.port[0] = Be16::new(to.port[0].get() ^ u16::from(seed));
    let modulation = [u32::from(seed) << 20, u32::from(seed >> 4)];
    let mut copy = bytes.to_vec();
    let there = Translation { to: &to, modulation };
    match there.apply(facts, &mut WritablePacket { bytes: &mut copy, start: 0, l4_offload: partial, ip_offload: partial }) {
        Ok(start) => assert_eq!((start, copy.len()), (0, bytes.len())),
        Err(_) => assert_eq!(copy, bytes, "a refused packet stays as it was"),
    }
}

/// Free bytes before a packet that may grow.
const ROOM: usize = 64;

/// Into the other family: what is made reads as what was asked for, and comes back as it was.
fn to_other_family(bytes: &[u8], facts: &Facts, seed: u8, how: u8) {
    let Some(to) = like(facts, seed) else { return };
    let (link, direction) = (if how & 1 == 0 { Link::Ethernet } else { Link::Ip }, facts.direction);
    let mut buffer = vec![0xee; ROOM];
    buffer.extend(bytes);
    let before = buffer.clone();
    let partial = how & 8 != 0;
    let apply = |buffer: &mut Vec<u8>, start, facts: &Facts, to| {
        let mut packet = WritablePacket { bytes: buffer, start, l4_offload: partial, ip_offload: false };
        Translation { to: &to, modulation: [0; 2] }.apply(facts, &mut packet)
    };
    let Ok(start) = apply(&mut buffer, ROOM, facts, to) else {
        assert_eq!(buffer, before, "a refused packet stays as it was");
        return;
    };
    let read = |buffer: &[u8], start| {
        let packet = &buffer[start..];
        parse(packet, packet.len() as u32, link, direction).expect("what was made can be read")
    };
    let made = read(&buffer, start);
    assert_eq!((made.key, made.kind), (to, facts.kind));
    let again = match apply(&mut buffer, start, &made, facts.key) {
        Ok(again) => again,
        // Some errors have a like in one direction only.
        Err(_) if facts.kind == Kind::IcmpError => return,
        Err(why) => panic!("there, and not back: {why:?}"),
    };
    let back = read(&buffer, again);
    assert_eq!((back.key, back.kind), (facts.key, facts.kind));
    if facts.kind != Kind::IcmpError {
        let (was, is) =
            (&before[ROOM + usize::from(facts.l4_offset)..], &buffer[again + usize::from(back.l4_offset)..]);
        assert_eq!(was.len(), is.len());
        let checksum = match facts.key.proto {
            6 => 16..18,
            17 => 6..8,
            1 | 58 => 2..4,
            _ => 0..0,
        };
        for (place, (was, is)) in was.iter().zip(is).enumerate() {
            assert!(was == is || checksum.contains(&place), "byte {place} behind the header");
        }
    }
}

/// A key in the other family for a packet, as a state would have it.
fn like(facts: &Facts, seed: u8) -> Option<pfplane::internals::packet::Key> {
    let source = facts.key_direction().source_slot();
    let (family, octets) = match facts.key.family {
        Family::V4 => (Family::V6, 16),
        _ => (Family::V4, 4),
    };
    let is_icmp = matches!(facts.key.proto, 1 | 58);
    // An identifier like a request's type does not show what the error quotes.
    if facts.kind == Kind::IcmpError && is_icmp && facts.key.port[0] == facts.key.port[1] {
        return None;
    }
    let (kind, slot) = match facts.kind {
        Kind::IcmpReply => (Kind::IcmpQuery, 1 - source),
        Kind::IcmpError if is_icmp => (Kind::IcmpQuery, source),
        kind => (kind, source),
    };
    let mut to = key_in_family(&facts.key, kind, slot, family)?;
    for (n, address) in to.addr.iter_mut().enumerate() {
        *address = [0; 16];
        address[..octets].fill(seed.wrapping_add(n as u8 + 1));
    }
    Some(to)
}
