//! Compares the layouts with what the systems' own compilers report, and with the reference where there is no report.

use std::fs;

use serde_json::Value;

use super::*;

/// Reads what a system's compiler reports, from `tests/vectors` of the repository; `None` in the published crate.
fn compiler_report(system: &str) -> Option<Value> {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors");
    let text = fs::read_to_string(format!("{vectors}/{system}/layout.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// Compares one record with the compiler's report and returns the number of fields compared.
fn check(report: &Value, structure: &str, size: usize, ours: &[(&str, usize)]) -> usize {
    let theirs = &report["structures"][structure];
    assert_eq!(theirs["size"], size, "{structure}");
    let fields = theirs["fields"].as_object().unwrap();
    for (name, offset_and_size) in fields {
        let plain = name.trim_start_matches("pfss_");
        let offset = ours.iter().find(|(ours, _)| *ours == plain).map(|(_, offset)| *offset as u64);
        assert_eq!(offset_and_size[0].as_u64(), offset, "{structure}.{name}");
    }
    fields.len()
}

macro_rules! check {
    ($report:expr, $structure:literal, $type:ident) => {
        check($report, $structure, size_of::<$type>(), &$type::fields())
    };
}

/// The fields of a FreeBSD state: the common part and the tail.
fn with_prefix(tail: Vec<(&'static str, usize)>) -> Vec<(&'static str, usize)> {
    [Prefix232::fields(), tail].concat()
}

/// The fields of UPD_C, with the byte that OpenBSD calls `state_flags`, sends as 0 and ignores.
fn openbsd_compressed() -> Vec<(&'static str, usize)> {
    let mut fields = Compressed::fields();
    fields.push(("state_flags", core::mem::offset_of!(Compressed, pad)));
    fields
}

/// The number of fields in the three reports.
const REPORTED_FIELDS: usize = 216;

#[test]
fn every_field_is_where_the_systems_compilers_put_it() {
    let reports = ["openbsd", "freebsd1301", "freebsd1400"].map(compiler_report);
    let [Some(openbsd), Some(freebsd_1301), Some(freebsd_1400)] = &reports else {
        println!("SKIPPED: the compilers' reports are in the repository, not in the crate");
        return;
    };
    let mut fields = 0;
    for report in [openbsd, freebsd_1301, freebsd_1400] {
        fields += check!(report, "pfsync_header", Header);
        fields += check!(report, "pfsync_subheader", Subheader);
        fields += check!(report, "pfsync_clr", Clear);
        fields += check!(report, "pfsync_ins_ack", Id);
        fields += check!(report, "pfsync_upd_req", Id);
        fields += check!(report, "pfsync_del_c", Id);
        fields += check!(report, "pfsync_bus", BulkStatus);
        fields += check!(report, "pfsync_state_scrub", Scrub);
        fields += check!(report, "pfsync_state_peer", Peer);
    }
    fields += check(openbsd, "pfsync_upd_c", 84, &openbsd_compressed());
    fields += check!(openbsd, "pfsync_tdb", Tdb52);
    fields += check!(openbsd, "pfsync_state_key", Key40);
    fields += check!(openbsd, "pfsync_state", State264);
    for report in [freebsd_1301, freebsd_1400] {
        fields += check!(report, "pfsync_upd_c", Compressed);
        fields += check!(report, "pfsync_tdb", Tdb48);
        fields += check!(report, "pfsync_state_key", Key36);
    }
    fields += check(freebsd_1301, "pfsync_state_1301", 242, &with_prefix(State242::fields()));
    fields += check(freebsd_1400, "pfsync_state_1400", 277, &with_prefix(State277::fields()));
    assert_eq!(fields, REPORTED_FIELDS);
}

#[test]
fn the_state_of_freebsd_15_has_the_offsets_of_its_header_file() {
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
    assert_eq!(State360::fields()[1..], expected, "FreeBSD pfvar.h, struct pfsync_state_1500");
}
