//! Parses and rewrites any bytes as a packet, with any link type and any segmentation.

use pfplane::internals::packet::{
    Be16, Direction, Facts, Family, Kind, Link, Rejection, Translation, WritablePacket, key_in_family, parse,
    parse_fragment, parse_general,
};

/// Uses the first three bytes as options and the others as the packet.
///
/// # Panics
/// If the general parser gives another result, a first segment parses differently from the whole packet, or a packet changes
/// although its rewrite failed.
pub fn any_packet(data: &[u8]) {
    let Some((&[options, cut, seed], bytes)) = data.split_first_chunk() else { return };
    let link = if options & 1 == 0 { Link::Ethernet } else { Link::Ip };
    let direction = if options & 2 == 0 { Direction::In } else { Direction::Out };
    let length = bytes.len() as u32;
    let whole = parse(bytes, length, link, direction);
    let mut general = Facts::EMPTY;
    assert_eq!(parse_general(bytes, length, link, direction, &mut general).map(|()| general), whole);
    check_first_segment(bytes, usize::from(cut), link, direction, &whole);
    let fragment = parse_fragment(bytes, length, link, direction);
    match whole {
        Ok(facts) => {
            assert!(facts.ip_length <= length && fragment.is_none());
            rewrite(bytes, &facts, seed, options & 4 != 0);
            translate_family(bytes, &facts, seed, options);
        }
        Err(Rejection::Fragment) => {
            let fragment = fragment.expect("a rejected fragment parses as a fragment");
            assert!(fragment.ip_length <= length && usize::from(fragment.l4_offset) <= bytes.len());
        }
        Err(_) => {}
    }
}

/// Checks that the first segment parses like the whole packet, or is rejected as not contiguous.
fn check_first_segment(
    bytes: &[u8],
    cut: usize,
    link: Link,
    direction: Direction,
    whole: &Result<Facts, Rejection>,
) {
    let segment = &bytes[..cut.min(bytes.len())];
    let read = parse(segment, bytes.len() as u32, link, direction);
    if read != Err(Rejection::NotContiguous) {
        assert_eq!(&read, whole, "the first {cut} of {} bytes", bytes.len());
    }
}

/// Rewrites addresses and ports.
fn rewrite(bytes: &[u8], facts: &Facts, seed: u8, offload: bool) {
    let mut to = facts.key;
    to.addr[0][3] ^= seed;
    to.addr[1][2] ^= seed.rotate_left(3);
    to.port[0] = Be16::new(to.port[0].get() ^ u16::from(seed));
    let modulation = [u32::from(seed) << 20, u32::from(seed >> 4)];
    let mut copy = bytes.to_vec();
    let translation = Translation { to: &to, modulation };
    match translation.apply(
        facts,
        &mut WritablePacket { bytes: &mut copy, start: 0, l4_offload: offload, ip_offload: offload },
    ) {
        Ok(start) => assert_eq!((start, copy.len()), (0, bytes.len())),
        Err(_) => assert_eq!(copy, bytes, "a packet is unchanged after an error"),
    }
}

/// Headroom for a packet that grows.
const HEADROOM: usize = 64;

/// Translates to the other family and back, and checks both results.
fn translate_family(bytes: &[u8], facts: &Facts, seed: u8, options: u8) {
    let Some(to) = other_key(facts, seed) else { return };
    let (link, direction) = (if options & 1 == 0 { Link::Ethernet } else { Link::Ip }, facts.direction);
    let mut buffer = vec![0xee; HEADROOM];
    buffer.extend(bytes);
    let before = buffer.clone();
    let offload = options & 8 != 0;
    let apply = |buffer: &mut Vec<u8>, start, facts: &Facts, to| {
        let mut packet = WritablePacket { bytes: buffer, start, l4_offload: offload, ip_offload: false };
        Translation { to: &to, modulation: [0; 2] }.apply(facts, &mut packet)
    };
    let Ok(start) = apply(&mut buffer, HEADROOM, facts, to) else {
        assert_eq!(buffer, before, "a packet is unchanged after an error");
        return;
    };
    let read = |buffer: &[u8], start| {
        let packet = &buffer[start..];
        parse(packet, packet.len() as u32, link, direction).expect("a translated packet parses")
    };
    let translated = read(&buffer, start);
    assert_eq!((translated.key, translated.kind), (to, facts.kind));
    let again = match apply(&mut buffer, start, &translated, facts.key) {
        Ok(again) => again,
        // Some errors have a counterpart in one direction only.
        Err(_) if facts.kind == Kind::IcmpError => return,
        Err(error) => panic!("no translation back: {error:?}"),
    };
    let back = read(&buffer, again);
    assert_eq!((back.key, back.kind), (facts.key, facts.kind));
    if facts.kind != Kind::IcmpError {
        let (old, new) = (
            &before[HEADROOM + usize::from(facts.l4_offset)..],
            &buffer[again + usize::from(back.l4_offset)..],
        );
        assert_eq!(old.len(), new.len());
        let checksum = match facts.key.proto {
            6 => 16..18,
            17 | 33 | 136 => 6..8,
            1 | 58 => 2..4,
            _ => 0..0,
        };
        for (offset, (old, new)) in old.iter().zip(new).enumerate() {
            assert!(old == new || checksum.contains(&offset), "byte {offset} after the IP header");
        }
    }
}

/// Returns a key for the packet in the other family.
fn other_key(facts: &Facts, seed: u8) -> Option<pfplane::internals::packet::Key> {
    let source = facts.key_direction().source_slot();
    let (family, length) = match facts.key.family {
        Family::V4 => (Family::V6, 16),
        _ => (Family::V4, 4),
    };
    let is_icmp = matches!(facts.key.proto, 1 | 58);
    // If the identifier equals the request's type, the key does not tell which slot holds it.
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
        address[..length].fill(seed.wrapping_add(n as u8 + 1));
    }
    Some(to)
}
