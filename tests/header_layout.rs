//! The structs of `include/pfplane.h` as a C compiler lays them out, beside Rust's.

use pfplane::internals::ffi;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Structs that C only names: engine, lane, frame reader, frame writer and replica.
const OPAQUE: usize = 5;

/// What a C compiler has to find: the size of a struct and the place of each of its fields.
macro_rules! layout {
    ($name:ident: $($field:ident),+) => {{
        let size = size_of::<ffi::$name>();
        let mut lines = format!("_Static_assert(sizeof(struct {0}) == {size}, \"{0}\");\n", stringify!($name));
        $(
            let offset = core::mem::offset_of!(ffi::$name, $field);
            let (name, field) = (stringify!($name), stringify!($field));
            let found = format!("offsetof(struct {name}, {field}) == {offset}");
            lines += &format!("_Static_assert({found}, \"{name}.{field}\");\n");
        )+
        lines
    }};
}

#[test]
fn c_and_rust_lay_the_structs_out_alike() {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let asserts = [
        layout!(pfplane_address: family, reserved, bytes),
        layout!(pfplane_interface_names: ours, theirs),
        layout!(pfplane_peer: size, profile, source, destination, sources, interface_names, source_count, interface_name_count, mtu, vlan, ethernet, tos, ethernet_source, ethernet_destination),
        layout!(pfplane_allocator: size, alloc, free, context),
        layout!(pfplane_source_limits: max_src_nodes, max_src_states, max_src_conn, max_src_conn_rate, max_src_conn_seconds, max_src_new_rate, max_src_new_seconds),
        layout!(pfplane_config: size, lanes, states_per_lane, translated_per_lane, host_id, start_unix_s, mtu, device_mtu, buffer_room, insert_age_ms, update_age_ms, max_updates, bulk_frames_per_ms, sweep_per_poll, imported_per_lane, min_age_ms, defer_ms, max_defer, grace_s, bulk_retry_ms, bulk_attempts, bulk_progress_ms, bulk_whole_s, min_bulk_interval_ms, left_out, left_out_count, interface_count, interfaces, peer_count, peers, allocator, lane_sockets, rss_key, redirection, max_half_open, sources, source_bits_v4, source_bits_v6, sources_full_pass, reserved, source, timeouts_s),
        layout!(pfplane_bulk: size, phase, attempts, reserved, states, last_ending, reserved2, last_states, last_took_ns),
        layout!(pfplane_exposure: size, creations, changes, reserved, oldest_ns),
        layout!(pfplane_burst: size, direction, link, trust_hash, leave, now_ns),
        layout!(pfplane_packet: data, length, packet_length, hash, headroom, flags),
        layout!(pfplane_stat: size, kind, name, help, value),
        layout!(pfplane_facts: size, family, proto, tcp_flags, icmp_error, source, destination, source_port, destination_port, l3_offset, l4_offset, ip_length, ttl, tos, kind, fragment, tcp_seq, tcp_ack, tcp_payload, tcp_window, tcp_mss, tcp_wscale, reserved, fragment_offset, fragment_id, hash),
        layout!(pfplane_verdict: size, action, reason, lane, reverse, translated, slot, moved, reserved),
        layout!(pfplane_state_options: size, rule, ifname, pf_flags, nat, timeout_s, nat_source, nat_destination, nat_source_ports, nat_destination_port, nat_family, pickup, source),
        layout!(pfplane_state_view: size, slot, id, creator, family, proto, direction, timeout, addr, port, peer_state, pf_flags, rule, age_s, expires_s, version, packets, bytes, imported, local_traffic, translated, stack_family, stack_proto, origin_peer, wscale, ifname, stack_addr, stack_port, seqlo, seqhi, seqdiff, max_win, anchor, timeout_s, rtableid, rt_addr, max_mss, rt, log, min_ttl, set_tos, set_prio, nat_rule, scrub_ts_mod, scrub_flags, mss, rdomain, scrub_ttl, scrub_valid, sync_flags, connected, reserved),
        layout!(pfplane_state_filter: size, parts, source, destination, ifname, rule, creator, source_port, destination_port, family, proto, source_bits, destination_bits),
        layout!(pfplane_frame_key: addr, port, rdomain, family, proto),
        layout!(pfplane_frame_peer: seqlo, seqhi, seqdiff, scrub_ts_mod, scrub_flags, max_win, mss, scrub_ttl, scrub_valid, state, wscale, reserved),
        layout!(pfplane_frame_state: key, src, dst, packets, bytes, ifname, rt_addr, rt_ifname, orig_ifname, tagname, rule, anchor, nat_rule, age_s, expire_s, rtableid, state_flags, max_mss, qid, pqid, dnpipe, dnrpipe, direction, log, rt, rt_family, timeout, sync_flags, updates, min_ttl, set_tos, set_prio, family),
        layout!(pfplane_frame_tdb: replay, bytes, spi, rdomain, proto, reserved, destination, reserved2),
        layout!(pfplane_frame_record: size, action, profile, fault, id, creator, bulk_endtime_s, bulk_status, reserved, state, tdb),
        layout!(pfplane_store: size, capacity, get, put, update, remove, walk, context),
        layout!(pfplane_frame_options: size, trailer, checksum),
    ];
    let declared = fs::read_to_string(include.join("pfplane.h")).unwrap().matches("typedef struct ").count();
    assert_eq!(asserts.len(), declared - OPAQUE, "a struct of the header is not compared here");
    let folder = std::env::temp_dir().join(format!("pfplane-layout-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("layout.c");
    fs::write(&file, format!("#include \"pfplane.h\"\n{}", asserts.concat())).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-fsyntax-only", "-I"]).arg(&include).arg(&file);
    let output = compiler.output();
    fs::remove_dir_all(&folder).unwrap();
    match output {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => println!("SKIPPED: the layout of C structs needs a C compiler called cc"),
    }
}
