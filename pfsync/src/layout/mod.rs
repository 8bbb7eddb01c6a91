//! The byte layout of every record, field by field.
//!
//! All types have alignment 1 and no padding, so a record is read and written in place at any offset: after an odd number
//! of 277-byte states, all that follows is unaligned. `tests.rs` compares sizes and offsets with the systems' compilers.

mod freebsd;
mod messages;
mod openbsd;
#[cfg(test)]
mod tests;

pub(crate) use freebsd::{parse_1301, parse_1400, parse_1500, peek_1301, peek_1400, peek_1500};
pub(crate) use messages::{Body, EOF, Message};
pub use openbsd::stack_protocol;
pub(crate) use openbsd::{parse as parse_openbsd, peek as peek_openbsd};

use zerocopy::big_endian::{I32, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A value that can be written as a record `W`. A trait, so that it is inlined into the loop over the records.
pub(crate) trait Emit<W> {
    /// Writes all bytes of the record.
    fn emit(&self, wire: &mut W);
}

/// Declares records: alignment 1, no padding (the derive refuses it), size checked at compile time.
macro_rules! records {
    ($($(#[$doc:meta])* $name:ident = $bytes:literal { $($field:ident: $type:ty,)+ })+) => {$(
        $(#[$doc])*
        #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub(crate) struct $name { $(pub(crate) $field: $type,)+ }
        const _: () = assert!(size_of::<$name>() == $bytes && align_of::<$name>() == 1);

        #[cfg(test)]
        impl $name {
            /// Returns the names and offsets of the fields.
            pub(super) fn fields() -> Vec<(&'static str, usize)> {
                vec![$((stringify!($field), core::mem::offset_of!($name, $field))),+]
            }
        }
    )+};
}

records! {
    /// The start of a frame.
    Header = 20 { version: u8, pad: u8, len: U16, pfcksum: [u8; 16], }
    /// The start of a region. `len` is the size of one record in 4-byte words in version 6, and zero in version 5.
    Subheader = 4 { action: u8, len: u8, count: U16, }
    Scrub = 8 { flags: U16, ttl: u8, scrub_flag: u8, ts_mod: U32, }
    Peer = 32 {
        scrub: Scrub, seqlo: U32, seqhi: U32, seqdiff: U32, max_win: U16, mss: U16, state: u8, wscale: u8, pad: [u8; 6],
    }
    /// A key of OpenBSD.
    Key40 = 40 { addr: [[u8; 16]; 2], port: [[u8; 2]; 2], rdomain: U16, af: u8, pad: u8, }
    /// A key of FreeBSD.
    Key36 = 36 { addr: [[u8; 16]; 2], port: [[u8; 2]; 2], }
    /// OpenBSD `struct pfsync_state`.
    State264 = 264 {
        id: U64, ifname: [u8; 16], key: [Key40; 2], src: Peer, dst: Peer, rt_addr: [u8; 16],
        rule: U32, anchor: U32, nat_rule: U32, creation: U32, expire: U32,
        packets: [U64; 2], bytes: [U64; 2], creatorid: U32, rtableid: [I32; 2], max_mss: U16,
        af: u8, proto: u8, direction: u8, log: u8, rt: u8, timeout: u8, sync_flags: u8, updates: u8,
        min_ttl: u8, set_tos: u8, state_flags: U16, set_prio: [u8; 2],
    }
    /// What the three FreeBSD states have in common.
    Prefix232 = 232 {
        id: U64, ifname: [u8; 16], key: [Key36; 2], src: Peer, dst: Peer, rt_addr: [u8; 16],
        rule: U32, anchor: U32, nat_rule: U32, creation: U32, expire: U32,
        packets: [U64; 2], bytes: [U64; 2], creatorid: U32,
    }
    /// FreeBSD `struct pfsync_state_1301`.
    State242 = 242 {
        prefix: Prefix232, af: u8, proto: u8, direction: u8, spare: [u8; 2], log: u8, state_flags: u8, timeout: u8,
        sync_flags: u8, updates: u8,
    }
    /// FreeBSD `struct pfsync_state_1400`.
    State277 = 277 {
        prefix: Prefix232, af: u8, proto: u8, direction: u8, state_flags: U16, log: u8, spare: u8, timeout: u8,
        sync_flags: u8, updates: u8, qid: U16, pqid: U16, dnpipe: U16, dnrpipe: U16, rtableid: I32,
        min_ttl: u8, set_tos: u8, max_mss: U16, set_prio: [u8; 2], rt: u8, rt_ifname: [u8; 16],
    }
    /// FreeBSD `struct pfsync_state_1500`.
    State360 = 360 {
        prefix: Prefix232, tagname: [u8; 64], rt_ifname: [u8; 16], orig_ifname: [u8; 16], rtableid: I32,
        state_flags: U16, qid: U16, pqid: U16, dnpipe: U16, dnrpipe: U16, max_mss: U16,
        wire_af: u8, stack_af: u8, rt_af: u8, wire_proto: u8, stack_proto: u8, log: u8, timeout: u8, direction: u8,
        rt: u8, min_ttl: u8, set_tos: u8, set_prio: [u8; 2], spare: [u8; 3],
    }
    Clear = 20 { ifname: [u8; 16], creatorid: U32, }
    /// INS_ACK, UPD_REQ and DEL_C.
    Id = 12 { id: U64, creatorid: U32, }
    /// UPD_C. The creator follows the peers, unlike in every other message.
    Compressed = 84 {
        id: U64, src: Peer, dst: Peer, creatorid: U32, expire: U32, timeout: u8, pad: [u8; 3],
    }
    BulkStatus = 12 { creatorid: U32, endtime: U32, status: u8, pad: [u8; 3], }
    /// TDB of OpenBSD. `dst` is a BSD socket address.
    Tdb52 = 52 { spi: [u8; 4], dst: [u8; 28], rpl: U64, cur_bytes: U64, sproto: u8, updates: u8, rdomain: U16, }
    /// TDB of FreeBSD, which never sends it.
    Tdb48 = 48 { spi: [u8; 4], dst: [u8; 28], rpl: U32, cur_bytes: U64, sproto: u8, updates: u8, pad: [u8; 2], }
}
