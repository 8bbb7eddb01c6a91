//! The bytes of every record, as the systems lay them out (`protocol` sections 2 and 3; sizes and offsets are held
//! against what the systems' own compilers say at the foot of this file).
//!
//! All types are of alignment 1 and without padding, so a record is read and written in place wherever it lies:
//! after an odd number of 277-byte states everything that follows is unaligned.

use zerocopy::big_endian::{I32, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What is written as a record `W`. A trait and not a function, so that it becomes part of the loop over the records.
pub(super) trait Emit<W> {
    /// Writes all bytes of the record.
    fn emit(&self, wire: &mut W);
}

/// Declares records: alignment 1, no padding (the derive refuses any), size asserted.
macro_rules! records {
    ($($(#[$doc:meta])* $name:ident = $bytes:literal { $($field:ident: $type:ty,)+ })+) => {$(
        $(#[$doc])*
        #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub(super) struct $name { $(pub $field: $type,)+ }
        const _: () = assert!(size_of::<$name>() == $bytes && align_of::<$name>() == 1);

        #[cfg(test)]
        impl $name {
            /// Names and offsets of the fields.
            fn fields() -> Vec<(&'static str, usize)> {
                vec![$((stringify!($field), core::mem::offset_of!($name, $field))),+]
            }
        }
    )+};
}

records! {
    /// The start of a frame.
    Header = 20 { version: u8, pad: u8, len: U16, pfcksum: [u8; 16], }
    /// The start of a region. `len` is one record's size in 4-byte words in version 6 and zero in version 5.
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
    /// UPD_C. The creator comes after the peers, unlike in every other message.
    Compressed = 84 {
        id: U64, src: Peer, dst: Peer, creatorid: U32, expire: U32, timeout: u8, pad: [u8; 3],
    }
    BulkStatus = 12 { creatorid: U32, endtime: U32, status: u8, pad: [u8; 3], }
    /// TDB of OpenBSD. `dst` is a BSD socket address.
    Tdb52 = 52 { spi: [u8; 4], dst: [u8; 28], rpl: U64, cur_bytes: U64, sproto: u8, updates: u8, rdomain: U16, }
    /// The start of a frame of versions 3 and 4; version 2 has the first four bytes only.
    LegacyHeader = 4 { version: u8, af: u8, action: u8, count: u8, }
    /// One of the three hosts of a state of version 3.
    LegacyHost = 24 { addr: [u8; 16], port: [u8; 2], pad: [u8; 6], }
    /// State of version 3, NetBSD.
    LegacyState3 = 240 {
        id: U64, ifname: [u8; 16], lan: LegacyHost, gwy: LegacyHost, ext: LegacyHost, src: Peer, dst: Peer,
        rt_addr: [u8; 16], rule: U32, anchor: U32, nat_rule: U32, creation: U32, expire: U32,
        packets: [U64; 2], bytes: [U64; 2], creatorid: U32, af: u8, proto: u8, direction: u8, log: u8,
        allow_opts: u8, timeout: u8, sync_flags: u8, updates: u8,
    }
    /// State of version 4, DragonFly.
    LegacyState4 = 240 {
        prefix: Prefix232, af: u8, proto: u8, direction: u8, log: u8, state_flags: u8, timeout: u8,
        sync_flags: u8, updates: u8,
    }
    LegacyCompressed = 88 {
        id: U64, src: Peer, dst: Peer, creatorid: U32, expire: U32, timeout: u8, updates: u8, pad: [u8; 6],
    }
    /// DEL_C; UPD_REQ has nothing behind the creator.
    LegacyId = 16 { id: U64, creatorid: U32, src_state: u8, dst_state: u8, pad: [u8; 2], }
    LegacyClear = 24 { ifname: [u8; 16], creatorid: U32, pad: [u8; 4], }
    LegacyBulkStatus = 16 { creatorid: U32, endtime: U32, status: u8, pad: [u8; 7], }
    /// TDB of FreeBSD, which never sends it.
    Tdb48 = 48 { spi: [u8; 4], dst: [u8; 28], rpl: U32, cur_bytes: U64, sproto: u8, updates: u8, pad: [u8; 2], }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const OPENBSD: &str = include_str!("../../tests/vectors/openbsd/layout.json");
    const FREEBSD_1301: &str = include_str!("../../tests/vectors/freebsd1301/layout.json");
    const FREEBSD_1400: &str = include_str!("../../tests/vectors/freebsd1400/layout.json");

    /// Holds a record against what the system's compiler says, and returns how many fields there were.
    fn check(system: &str, structure: &str, size: usize, ours: &[(&str, usize)]) -> usize {
        let layout: Value = serde_json::from_str(system).unwrap();
        let theirs = &layout["structures"][structure];
        assert_eq!(theirs["size"], size, "{structure}");
        let fields = theirs["fields"].as_object().unwrap();
        for (name, place) in fields {
            let plain = name.trim_start_matches("pfss_");
            let offset = ours.iter().find(|(ours, _)| *ours == plain).map(|(_, offset)| *offset);
            assert_eq!(place[0].as_u64(), offset.map(|offset| offset as u64), "{structure}.{name}");
        }
        fields.len()
    }

    macro_rules! check {
        ($system:expr, $structure:literal, $type:ident) => {
            check($system, $structure, size_of::<$type>(), &$type::fields())
        };
    }

    /// The common part and the tail of a FreeBSD state as one list.
    fn whole(tail: Vec<(&'static str, usize)>) -> Vec<(&'static str, usize)> {
        [Prefix232::fields(), tail].concat()
    }

    /// UPD_C with the byte that OpenBSD calls `state_flags`, sends as 0 and ignores.
    fn compressed_6() -> Vec<(&'static str, usize)> {
        let mut fields = Compressed::fields();
        fields.push(("state_flags", core::mem::offset_of!(Compressed, pad)));
        fields
    }

    #[test]
    fn records_lie_as_the_systems_own_compilers_lay_them() {
        let mut fields = 0;
        for system in [OPENBSD, FREEBSD_1301, FREEBSD_1400] {
            fields += check!(system, "pfsync_header", Header);
            fields += check!(system, "pfsync_subheader", Subheader);
            fields += check!(system, "pfsync_clr", Clear);
            fields += check!(system, "pfsync_ins_ack", Id);
            fields += check!(system, "pfsync_upd_req", Id);
            fields += check!(system, "pfsync_del_c", Id);
            fields += check!(system, "pfsync_bus", BulkStatus);
            fields += check!(system, "pfsync_state_scrub", Scrub);
            fields += check!(system, "pfsync_state_peer", Peer);
        }
        fields += check(OPENBSD, "pfsync_upd_c", 84, &compressed_6());
        fields += check!(OPENBSD, "pfsync_tdb", Tdb52);
        fields += check!(OPENBSD, "pfsync_state_key", Key40);
        fields += check!(OPENBSD, "pfsync_state", State264);
        for system in [FREEBSD_1301, FREEBSD_1400] {
            fields += check!(system, "pfsync_upd_c", Compressed);
            fields += check!(system, "pfsync_tdb", Tdb48);
            fields += check!(system, "pfsync_state_key", Key36);
        }
        fields += check(FREEBSD_1301, "pfsync_state_1301", 242, &whole(State242::fields()));
        fields += check(FREEBSD_1400, "pfsync_state_1400", 277, &whole(State277::fields()));
        println!("{fields} fields lie where the systems' compilers put them");
        assert_eq!(fields, FIELDS);
    }

    /// As many as the three files tell.
    const FIELDS: usize = 216;

    #[test]
    fn the_state_of_freebsd_15_lies_as_the_reference_says() {
        let expected = [
            ("tagname", 232),
            ("rt_ifname", 296),
            ("orig_ifname", 312),
            ("rtableid", 328),
            ("state_flags", 332),
            ("qid", 334),
            ("pqid", 336),
            ("dnpipe", 338),
            ("dnrpipe", 340),
            ("max_mss", 342),
            ("wire_af", 344),
            ("stack_af", 345),
            ("rt_af", 346),
            ("wire_proto", 347),
            ("stack_proto", 348),
            ("log", 349),
            ("timeout", 350),
            ("direction", 351),
            ("rt", 352),
            ("min_ttl", 353),
            ("set_tos", 354),
            ("set_prio", 355),
            ("spare", 357),
        ];
        assert_eq!(State360::fields()[1..], expected, "protocol section 3.4");
    }

    #[test]
    fn legacy_records_lie_as_the_reference_says() {
        let offset = |fields: Vec<(&'static str, usize)>, name| {
            fields.into_iter().find(|(field, _)| *field == name).map(|(_, offset)| offset)
        };
        for (name, expected) in [
            ("lan", 24),
            ("gwy", 48),
            ("ext", 72),
            ("src", 96),
            ("rule", 176),
            ("creatorid", 228),
            ("timeout", 237),
        ] {
            assert_eq!(offset(LegacyState3::fields(), name), Some(expected), "protocol section 11, {name}");
        }
        for (name, expected) in
            [("af", 232), ("log", 235), ("state_flags", 236), ("timeout", 237), ("updates", 239)]
        {
            assert_eq!(offset(LegacyState4::fields(), name), Some(expected), "protocol section 11, {name}");
        }
        assert_eq!(offset(LegacyCompressed::fields(), "creatorid"), Some(72));
        assert_eq!(offset(LegacyCompressed::fields(), "timeout"), Some(80));
        assert_eq!(offset(LegacyBulkStatus::fields(), "status"), Some(8));
        assert_eq!(offset(LegacyId::fields(), "src_state"), Some(12));
        assert_eq!(offset(LegacyClear::fields(), "creatorid"), Some(16));
        assert_eq!(offset(LegacyHeader::fields(), "count"), Some(3));
        assert_eq!(offset(LegacyHost::fields(), "port"), Some(16));
    }
}
