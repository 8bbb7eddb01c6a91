//! The structs of `include/pfplane.h` as a C compiler lays them out, beside Rust's.

use pfplane::internals::ffi;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Structs that C only names: engine, lane, frame reader, frame writer and replica.
const OPAQUE: usize = 6;

/// What a C compiler has to find: the size of a struct and the offset of each of its fields.
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
fn c_and_rust_lay_out_the_structs_alike() {
    let asserts = [
        layout!(pfplane_address: family, reserved, bytes),
        layout!(pfplane_interface_names: ours, theirs),
        layout!(pfplane_peer: size, profile, source, destination, sources, interface_names, source_count, interface_name_count, mtu, tos, vlan, ethernet, icmp_id_twice, ethernet_source, ethernet_destination, extensions, seal, unsealed_may, seal_key_count, reserved, seal_keys),
        layout!(pfplane_comparison: size, streams, differing, equal, reserved, equal_age_ms),
        layout!(pfplane_seal_key: key, key_bytes, id),
        layout!(pfplane_seal_status: size, mode, proven, accepted, key_sent, key_received, keys, peer_keys, encrypts, reserved, last_accepted_ns),
        layout!(pfplane_allocator: size, alloc, free, context),
        layout!(pfplane_source_limits: max_src_nodes, max_src_states, max_src_conn, max_src_conn_rate, max_src_conn_seconds, max_src_new_rate, max_src_new_seconds),
        layout!(pfplane_config: size, lanes, states_per_lane, max_translated_per_lane, max_extra_per_lane, host_id, start_unix_s, random_seed, mtu, device_mtu, buffer_size, max_insert_age_ms, max_update_age_ms, max_updates, max_drift_percent, max_rate_mbit, max_bulk_frames_per_ms, max_sweep_per_poll, max_imported_per_lane, max_ended_per_lane, ended_s, min_age_ms, repeat_age_s, max_defer_ms, max_deferred, grace_s, bulk_retry_ms, max_bulk_attempts, bulk_stall_ms, max_bulk_s, min_bulk_interval_ms, max_poll_gap_ms, excluded_protocols, excluded_protocol_count, interface_count, interfaces, routing_tables, routing_table_count, peer_count, peers, allocator, lane_sockets, rss_key, redirection, max_half_open, evict_half_open_percent, verify_checksums, pass_source_routes, nat_nodes, nat_node, max_sources, source_prefix_v4, source_prefix_v6, pass_when_sources_full, reserved, source_limits, timeouts_s),
        layout!(pfplane_bulk: size, phase, attempts, reserved, states, last_ending, reserved2, last_states, last_took_ns),
        layout!(pfplane_readiness: size, ready_class, reasons, ready, reserved, missing, peer_age_ms),
        layout!(pfplane_exposure: size, creations, changes, reserved, oldest_ns),
        layout!(pfplane_burst: size, direction, link, trust_hash, host_rewrites, now_ns, rdomain, reserved),
        layout!(pfplane_packet: data, length, packet_length, hash, headroom, flags),
        layout!(pfplane_stat: size, kind, name, help, value),
        layout!(pfplane_facts: size, family, proto, tcp_flags, icmp_error, source, destination, source_port, destination_port, l3_offset, l4_offset, ip_length, ttl, tos, kind, fragment, tcp_seq, tcp_ack, tcp_payload, tcp_window, tcp_mss, tcp_wscale, ip_options, fragment_offset, fragment_id, hash),
        layout!(pfplane_verdict: slot, lane, data_shift, action, reason, reverse, translated, rdomain, reserved),
        layout!(pfplane_state_options: size, rule, ifname, state_flags, nat, timeout_s, nat_source, nat_destination, nat_source_ports, nat_destination_port, nat_family, pickup, source_limits, opaque, opaque_length, nat_rdomain, reserved),
        layout!(pfplane_state_view: size, slot, id, creator, version, timeout_s, origin_peer, imported, local_traffic, translated, connected, opaque_length, incomplete, reserved, state, opaque),
        layout!(pfplane_state_filter: size, fields, source, destination, ifname, rule, creator, source_port, destination_port, family, proto, source_prefix, destination_prefix, rdomain, reserved),
        layout!(pfplane_key: addr, port, rdomain, family, proto),
        layout!(pfplane_side: seqlo, seqhi, seqdiff, scrub_ts_mod, scrub_flags, max_win, mss, scrub_ttl, scrub_valid, state, wscale, reserved),
        layout!(pfplane_state: key, src, dst, packets, bytes, ifname, rt_addr, rt_ifname, orig_ifname, tagname, rule, anchor, nat_rule, age_s, expire_s, rtableid, state_flags, max_mss, qid, pqid, dnpipe, dnrpipe, direction, log, rt, rt_family, timeout, sync_flags, updates, min_ttl, set_tos, set_prio, family),
        layout!(pfplane_frame_tdb: replay, bytes, spi, rdomain, proto, reserved, destination, reserved2),
        layout!(pfplane_frame_record: size, action, profile, fault, id, creator, bulk_endtime_s, bulk_status, reserved, state, tdb),
        layout!(pfplane_store: size, capacity, get, insert, update, remove, walk, context),
        layout!(pfplane_election_member: size, port, vlan, id, reserved, own_mac, own_address, address_count, peer_count, addresses, peers, passphrase),
        layout!(pfplane_election_config: size, dialect, silence, mac, priority, preempt, checksum_rfc9568, ignore_addresses, interval_us, min_interval_us, start_hold_ms, preempt_delay_ms, announce_every_ms, link_weight, group, member_count, members, allocator),
        layout!(pfplane_election_frame: size, length, port, vlan, from_virtual_mac, reserved, receiver),
        layout!(pfplane_election_event: size, kind, at_ns, member, role_before, role, why, lost, source, counter, interval_us, own_interval_us, reserved),
        layout!(pfplane_election_status: size, role, why, readiness, demotion, rank, since_ns, forward_until_ns, master, other_interval_us, master_at_ns, hello_at_ns, role_changes, late_polls),
        layout!(pfplane_election_reason: size, weight, name),
        layout!(pfplane_frame_options: size, trailer, checksum, icmp_id_twice, reserved),
    ];
    let declared = header().matches("typedef struct ").count();
    assert_eq!(asserts.len(), declared - OPAQUE, "a struct of the header is not compared here");
    compile("layout", &asserts.concat());
}

/// What the overview's example needs of its host.
const HOST: &str = "
static uint64_t now_ns(void) { return 1; }
static int fail(const char *text) { return text != NULL; }
static bool next_packet(struct pfplane_packet *packet) { return packet->length > 0; }
static bool rules_pass(const struct pfplane_packet *packet) { return packet->length > 0; }
static void forward(const struct pfplane_packet *packet) { (void)packet; }

int host(void);
int host(void)
{
    struct pfplane_packet packet = {0};
";

#[test]
fn the_example_of_the_overview_compiles() {
    let header = header();
    let overview = header.split("#ifndef").next().unwrap();
    let lines = overview.lines().skip_while(|line| !line.starts_with("// Example:"));
    let example: Vec<_> = lines.filter_map(|line| line.strip_prefix("//     ")).collect();
    assert!(example.len() > 15, "the overview has no example");
    compile("example", &format!("{HOST}{}\n    return 0;\n}}\n", example.join("\n")));
}

fn include() -> PathBuf {
    super::root().join("include")
}

fn header() -> String {
    fs::read_to_string(include().join("pfplane.h")).unwrap()
}

/// Compiles C with the header in front of it.
fn compile(name: &str, code: &str) {
    let folder = std::env::temp_dir().join(format!("pfplane-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("test.c");
    fs::write(&file, format!("#include \"pfplane.h\"\n{code}")).unwrap();
    let mut compiler = Command::new("cc");
    compiler
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
        .arg(include())
        .arg(&file);
    let output = compiler.output();
    fs::remove_dir_all(&folder).unwrap();
    match output {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => println!("SKIPPED: the layout of C structs needs a C compiler called cc"),
    }
}
