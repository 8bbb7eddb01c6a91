//! A state and an update in which every byte that all profiles carry has a value of its own.

use pfsync::{CompressedUpdate, Family, FullState, Identity, Scrub, StateKey, StatePeer};

fn peer(first: u8, state: u8) -> StatePeer {
    let word = u32::from(first) * 0x0101_0101;
    StatePeer {
        scrub: Scrub { flags: 1, ttl: first, valid: 1, ts_mod: word + 1 },
        seqlo: word + 2,
        seqhi: word + 3,
        seqdiff: word + 4,
        max_win: word as u16 + 5,
        mss: word as u16 + 6,
        state,
        wscale: 0x80 | first & 0x0f,
    }
}

/// Returns a state that every profile carries and every receiver accepts.
pub(crate) fn valid_state() -> FullState {
    let address = |first: u8| core::array::from_fn(|at| first + at as u8);
    let key = |first: u8| StateKey {
        addr: [address(first), address(first + 16)],
        port: [[first, 1], [first, 2]],
        rdomain: 0,
        family: Family::V6,
        proto: 6,
    };
    FullState {
        id: Identity { id: 0x0102_0304_0506_0708, creator: 0xdead_beef },
        ifname: *b"all\0\0\0\0\0\0\0\0\0\0\0\0\0",
        key: [key(0x20), key(0x60)],
        src: peer(0x31, 4),
        dst: peer(0x41, 7),
        rt_addr: address(0xb0),
        rule: 11,
        anchor: 12,
        creation: 13,
        expire: 14,
        packets: [15, 16],
        bytes: [17, 18],
        family: Family::V6,
        direction: 2,
        log: 3,
        timeout: 3,
        state_flags: 0x0021,
        ..FullState::EMPTY
    }
}

/// Returns the compressed update of [`valid_state`].
pub(crate) fn valid_update() -> CompressedUpdate {
    let FullState { id, src, dst, timeout, .. } = valid_state();
    CompressedUpdate { id, src, dst, expire: 0, timeout }
}
