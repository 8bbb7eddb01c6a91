//! States and tables for this room's tests.

use crate::packet::{Be16, Family, Key};
use crate::state::{Cold, FLOATING, Hot, LocalFlags, Peer, Record, StateId, Timeouts, Track};
use crate::table::{Memory, Table};
use crate::time::Tick;
use crate::wire::Profile;
use crate::wire::envelope::Address;

use super::{PeerSettings, SyncSettings};

/// The host id that the states of [`state`] come from.
pub const HOST: u32 = 0xaaaa_0001;

pub fn table(capacity: u32) -> Table {
    Table::new(capacity, [1, 2, 3, 4], &Memory::default(), -1).unwrap()
}

pub fn timeouts() -> Timeouts {
    Timeouts::default()
}

/// The `n`th state: TCP over IPv4 and IPv6 in turn, made at the start of time.
pub fn state(n: u32) -> Record {
    let family = if n.is_multiple_of(2) { Family::V4 } else { Family::V6 };
    let mut addr = [[0; 16]; 2];
    addr[0][..4].copy_from_slice(&n.to_be_bytes());
    addr[1][..4].copy_from_slice(&[192, 0, 2, 1]);
    let key = Key { addr, port: [Be16::new(4000), Be16::new(443)], rdomain: 0, family, proto: 6 };
    let side = |offset: u32| Peer {
        seqlo: n.wrapping_mul(77) + offset,
        seqhi: n.wrapping_mul(77) + offset + 1000,
        max_win: 512,
        wscale: 0x87,
        ..Peer::default()
    };
    Record {
        hot: Hot {
            key,
            last_activity: Tick(0),
            timeout: 2,
            peer_state: [4, 4],
            local: LocalFlags(LocalFlags::LOCAL_TRAFFIC),
            ..Hot::EMPTY
        },
        track: Track { src: side(0), dst: side(5000) },
        cold: Cold {
            id: StateId { id: u64::from(n) + 1, creator: HOST },
            stack_key: key,
            ifname: FLOATING,
            ..Cold::EMPTY
        },
    }
}

/// Settings with one peer for each profile given.
pub fn settings(profiles: &[Profile]) -> SyncSettings {
    let mut settings = SyncSettings { host_id: HOST, ..SyncSettings::default() };
    for &profile in profiles {
        settings.peers.push(PeerSettings::group(profile, Address::V4([192, 0, 2, 1])));
    }
    settings
}
