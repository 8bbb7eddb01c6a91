//! Settings for packets of any state: checksums, IP options, and the shares of nodes that translate to one address.

use super::world::*;
use pfplane::internals::ffi::*;
use pfplane_testkit::packet::{ACK, Packet, RST, address};

fn verdict_of(lane: &Lane, bytes: &[u8], flags: u16) -> (u8, u8) {
    let packet = pfplane_packet { flags, ..packet(bytes) };
    let verdict = lane.look_up_packet(&burst(PFPLANE_IN, MS), &packet);
    (verdict.action, verdict.reason)
}

const WRONG: (u8, u8) = (PFPLANE_DROP, PFPLANE_REASON_CHECKSUM);

#[test]
fn packets_with_wrong_checksums_are_dropped_and_counted() {
    for v6 in [false, true] {
        let engine = Engine::new(&config());
        let lane = engine.lane(0);
        let syn = Packet::syn(v6, 1, 2, [1000, 80]);
        assert_eq!(verdict_of(&lane, &syn.tcp(), PFPLANE_PACKET_CHECKSUM_BAD), WRONG);
        assert_eq!(lane.create(&burst(PFPLANE_IN, MS), &syn.tcp()).action, PFPLANE_PASS);
        let mut reset = Packet { flags: RST | ACK, ..syn.data(1001, 5001, 0) }.tcp();
        *reset.last_mut().unwrap() ^= 1;
        assert_eq!(verdict_of(&lane, &reset, 0), WRONG);
        for trusted in [PFPLANE_PACKET_CHECKSUM_GOOD, PFPLANE_PACKET_L4_CHECKSUM_OFFLOAD] {
            assert_ne!(verdict_of(&lane, &reset, trusted), WRONG);
        }
        lane.poll(SECOND);
        assert_eq!(engine.stat(c"packets_dropped_checksum"), 2);
    }
    let lax = pfplane_config { verify_checksums: 0, ..config() };
    let mut reset = Packet { flags: RST, ..Packet::syn(true, 1, 2, [1, 2]) }.tcp();
    *reset.last_mut().unwrap() ^= 1;
    assert_ne!(verdict_of(&Engine::new(&lax).lane(0), &reset, 0), WRONG);
}

#[test]
fn options_are_shown_and_need_a_flag_of_the_state() {
    let mut bytes = Packet::syn(false, 1, 2, [1000, 80]).udp();
    bytes.splice(20..20, [148, 4, 0, 0]);
    bytes[0] = 0x46;
    let length = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    let engine = Engine::new(&config());
    let lane = engine.lane(0);
    let mut facts: pfplane_facts = zeroed();
    let (burst, packet) = (burst(PFPLANE_IN, MS), packet(&bytes));
    let status = unsafe { pfplane_packet_facts(Some(&burst), Some(&packet), out(&mut facts), None) };
    assert_eq!((status, facts.ip_options), (PFPLANE_OK, PFPLANE_IP_OPTIONS));
    let refused = lane.try_create(&burst, &packet, None).unwrap();
    assert_eq!((refused.action, refused.reason), (PFPLANE_DROP, PFPLANE_REASON_IP_OPTIONS));
    let options = pfplane_state_options { state_flags: PFPLANE_STATE_ALLOW_OPTIONS, ..options() };
    assert_eq!(lane.try_create(&burst, &packet, Some(&options)).unwrap().action, PFPLANE_PASS);
}

#[test]
fn settings_out_of_range_are_named() {
    let why = |config: &pfplane_config| {
        let mut bytes = 0;
        assert_ne!(unsafe { pfplane_config_memory(Some(config), out(&mut bytes)) }, PFPLANE_OK);
        last_error()
    };
    let error = why(&pfplane_config { nat_nodes: 2, nat_node: 2, ..config() });
    assert!(error.contains("nat_node is 2, it must be from 0 to 1"), "{error}");
    let error = why(&pfplane_config { verify_checksums: 3, ..config() });
    assert!(error.contains("verify_checksums is 3, it must be from 0 to 2"), "{error}");
    let error = why(&pfplane_config { pass_source_routes: 2, ..config() });
    assert!(error.contains("pass_source_routes is 2"), "{error}");
}

#[test]
fn a_node_draws_from_its_share_of_the_ports() {
    for node in 0..3 {
        let engine = Engine::new(&pfplane_config { nat_nodes: 3, nat_node: node, ..config() });
        let options = pfplane_state_options {
            nat: PFPLANE_NAT_SOURCE | PFPLANE_NAT_SOURCE_PORT,
            nat_source: address(false, 9, 9),
            nat_source_ports: [50_000, 50_299],
            ..options()
        };
        for host in 0..100 {
            let mut bytes = Packet::syn(false, host, 2, [1000, 80]).tcp();
            let packet = writable(&mut bytes, 0);
            let made = engine.lane(0).try_create(&burst(PFPLANE_IN, MS), &packet, Some(&options)).unwrap();
            assert_eq!(made.action, PFPLANE_PASS);
            let port = u32::from(u16::from_be_bytes([bytes[20], bytes[21]]));
            assert_eq!((port - 50_000) / 100, node);
        }
    }
}

#[test]
fn a_packet_of_an_unknown_connection_gets_an_answer() {
    let lane_burst = burst(PFPLANE_IN, MS);
    let refuse = |bytes: &[u8], refusal, capacity| {
        let (mut buffer, mut length) = (vec![0; PFPLANE_MAX_REFUSAL as usize], 0);
        let (start, packet) = (buffer.as_mut_ptr(), packet(bytes));
        let (burst, packet) = (Some(&lane_burst), Some(&packet));
        let status =
            unsafe { pfplane_packet_refuse(burst, packet, refusal, None, start, capacity, out(&mut length)) };
        buffer.truncate(length as usize);
        (status, buffer)
    };
    for v6 in [false, true] {
        let stray = Packet::syn(v6, 1, 2, [4000, 80]).data(1001, 5001, 9);
        let (status, answer) = refuse(&stray.tcp(), PFPLANE_REFUSE_RETURN, PFPLANE_MAX_REFUSAL);
        assert_eq!((status, answer.len()), (PFPLANE_OK, if v6 { 60 } else { 40 }));
        let (status, error) = refuse(&stray.udp(), PFPLANE_REFUSE_PROHIBITED, PFPLANE_MAX_REFUSAL);
        assert_eq!((status, error[if v6 { 6 } else { 9 }]), (PFPLANE_OK, if v6 { 58 } else { 1 }));
        let reset = Packet { flags: RST, ..stray }.tcp();
        assert_eq!(refuse(&reset, PFPLANE_REFUSE_RETURN, PFPLANE_MAX_REFUSAL), (PFPLANE_OK, Vec::new()));
        assert_eq!(refuse(&stray.tcp(), 2, PFPLANE_MAX_REFUSAL).0, PFPLANE_ERROR_ARGUMENT);
        assert_eq!(refuse(&stray.tcp(), PFPLANE_REFUSE_RETURN, 100).0, PFPLANE_ERROR_BUFFER);
    }
}
