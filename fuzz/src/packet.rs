//! Packets: any bytes under any link, cut anywhere into pieces, read and rewritten.

use pfplane::packet::{Be16, Direction, Facts, Link, Rejection, Translation, Writable, parse};

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
    if let Ok(facts) = whole {
        assert!(facts.ip_length <= length);
        rewrite(bytes, &facts, seed, how & 4 != 0);
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
    let there = Translation { to, modulation };
    match there.apply(facts, &mut Writable { bytes: &mut copy, start: 0, partial, ip_left: partial }) {
        Ok(start) => assert_eq!((start, copy.len()), (0, bytes.len())),
        Err(_) => assert_eq!(copy, bytes, "a refused packet stays as it was"),
    }
}
