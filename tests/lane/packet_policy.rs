//! Packets that settings refuse: wrong checksums and IP options; and a client that begins anew before anybody answered.

use crate::node::{MS, Node, SECOND, info, view};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::{
    Action, Checksums, PacketPolicy, PacketView, Reason, Verdict, VerifyChecksums,
};
use pfplane::internals::packet::Direction::{In, Out};
use pfplane::internals::state::{Options, pf_flags};
use pfplane_testkit::packet::{ACK, Packet, RST};

fn node(verify_checksums: VerifyChecksums, pass_source_routes: bool) -> Node {
    let packet_policy = PacketPolicy { verify_checksums, pass_source_routes };
    Node::new(Config { states_per_lane: 64, packet_policy, ..Config::default() })
}

fn look(node: &mut Node, bytes: &[u8]) -> (Action, Reason) {
    let Verdict { action, reason, .. } = node.lanes[0].lookup(&info(In, MS), &view(bytes));
    (action, reason)
}

fn create(node: &mut Node, bytes: &[u8], pf_flags: u16) -> (Action, Reason) {
    let options = Options { pf_flags, ..Options::default() };
    let Verdict { action, reason, .. } = node.lanes[0].create(&info(In, MS), &view(bytes), &options);
    (action, reason)
}

/// Opens a connection of host 1. Returns its SYN.
fn open(node: &mut Node, v6: bool, pf_flags: u16) -> Packet {
    let syn = Packet::syn(v6, 1, 2, [1000, 80]);
    assert_eq!(create(node, &syn.tcp(), pf_flags).0, Action::Pass);
    assert_eq!(node.lanes[0].lookup(&info(Out, MS), &view(&syn.syn_ack().tcp())).action, Action::Pass);
    assert_eq!(look(node, &syn.data(1001, 5001, 0).tcp()).0, Action::Pass);
    syn
}

const WRONG: (Action, Reason) = (Action::Drop, Reason::Checksum);
const PASS: (Action, Reason) = (Action::Pass, Reason::None);

#[test]
fn a_reset_with_a_wrong_checksum_does_not_end_a_connection() {
    for v6 in [false, true] {
        for verify in [VerifyChecksums::Resets, VerifyChecksums::All] {
            let mut node = node(verify, false);
            let syn = open(&mut node, v6, 0);
            let mut reset = Packet { flags: RST | ACK, ..syn.data(1001, 5001, 0) }.tcp();
            let last = reset.len() - 1;
            for at in [last, if v6 { 56 } else { 36 }, if v6 { 9 } else { 10 }] {
                reset[at] ^= 0x40;
                assert_eq!(look(&mut node, &reset), WRONG, "v6 {v6}, byte {at}");
                reset[at] ^= 0x40;
            }
            assert_eq!(look(&mut node, &syn.data(1001, 5001, 9).tcp()), PASS);
            assert_eq!(node.lanes[0].state_from(0, MS).unwrap().hot.peer_state, [4, 4]);
            assert_eq!(node.stat(SECOND, "packets_dropped_checksum"), 3);
            assert_eq!(look(&mut node, &reset), PASS);
            assert_eq!(node.lanes[0].state_from(0, MS).unwrap().hot.peer_state, [10, 10]);
        }
    }
}

#[test]
fn what_the_nic_said_of_a_checksum_counts() {
    for v6 in [false, true] {
        let mut node = node(VerifyChecksums::All, false);
        let syn = open(&mut node, v6, 0);
        let mut data = syn.data(1001, 5001, 9).tcp();
        let seen = |node: &mut Node, bytes: &[u8], checksums| {
            let packet = PacketView { checksums, ..PacketView::new(bytes) };
            let Verdict { action, reason, .. } = node.lanes[0].lookup(&info(In, MS), &packet);
            (action, reason)
        };
        assert_eq!(seen(&mut node, &data, Checksums::Bad), WRONG);
        let last = data.len() - 1;
        data[last] ^= 1;
        assert_eq!(seen(&mut node, &data, Checksums::Unknown), WRONG);
        assert_eq!(seen(&mut node, &data, Checksums::Intact), PASS);
        // The end of the data is in another segment.
        let cut = PacketView { packet_length: data.len() as u32, ..PacketView::new(&data[..last]) };
        assert_eq!(node.lanes[0].lookup(&info(In, MS), &cut).action, Action::Pass);
    }
}

#[test]
fn every_protocol_is_verified_and_nothing_is_without_the_setting() {
    for v6 in [false, true] {
        let syn = Packet { payload: 7, ..Packet::syn(v6, 3, 2, [1000, 80]) };
        let inner = Packet::syn(v6, 1, 2, [1000, 80]).tcp();
        for bytes in [syn.tcp(), syn.udp(), syn.echo(false), syn.reversed().unreachable(&inner)] {
            let mut node = node(VerifyChecksums::All, false);
            assert_ne!(look(&mut node, &bytes), WRONG);
            let mut wrong = bytes.clone();
            *wrong.last_mut().unwrap() ^= 0x10;
            assert_eq!(look(&mut node, &wrong), WRONG);
            for verify in [VerifyChecksums::Never, VerifyChecksums::Resets] {
                assert_ne!(look(&mut self::node(verify, false), &wrong), WRONG);
            }
        }
    }
}

/// Adds an option, or an extension header with options, to a packet.
fn with_options(v6: bool, mut bytes: Vec<u8>, source_route: bool) -> Vec<u8> {
    if v6 {
        let length = u16::from_be_bytes([bytes[4], bytes[5]]) + 8;
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        let next = bytes[6];
        bytes[6] = if source_route { 43 } else { 60 };
        bytes.splice(
            40..40,
            if source_route { [next, 0, 0, 0, 0, 0, 0, 0] } else { [next, 0, 1, 4, 0, 0, 0, 0] },
        );
    } else {
        let length = u16::from_be_bytes([bytes[2], bytes[3]]) + 8;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes[0] = 0x47;
        let kind = if source_route { 131 } else { 7 };
        bytes.splice(20..20, [1, kind, 7, 4, 9, 9, 9, 9]);
    }
    bytes
}

#[test]
fn packets_with_options_need_a_state_that_allows_them() {
    const REFUSED: (Action, Reason) = (Action::Drop, Reason::IpOptions);
    for v6 in [false, true] {
        let mut node = node(VerifyChecksums::Never, false);
        let first = with_options(v6, Packet::syn(v6, 9, 2, [9, 9]).tcp(), false);
        assert_eq!(look(&mut node, &first), (Action::New, Reason::None), "the rules decide");
        assert_eq!(create(&mut node, &first, 0), REFUSED);
        assert_eq!(create(&mut node, &first, pf_flags::ALLOW_OPTIONS), PASS);
        let syn = open(&mut node, v6, 0);
        let data = with_options(v6, syn.data(1001, 5001, 9).tcp(), false);
        assert_eq!(look(&mut node, &data), REFUSED);
        assert_eq!(node.stat(SECOND, "packets_dropped_ip_options"), 2);
        assert_eq!(node.stat(SECOND, "states"), 2);

        let mut node = self::node(VerifyChecksums::Never, false);
        open(&mut node, v6, pf_flags::ALLOW_OPTIONS);
        assert_eq!(look(&mut node, &data), PASS);
        let routed = with_options(v6, syn.data(1001, 5001, 9).tcp(), true);
        assert_eq!(look(&mut node, &routed), REFUSED, "a source route never passes");
        let mut node = self::node(VerifyChecksums::Never, true);
        open(&mut node, v6, pf_flags::ALLOW_OPTIONS);
        assert_eq!(look(&mut node, &routed), PASS, "but with the setting");
    }
}

#[test]
fn a_new_syn_of_a_client_that_nobody_answered_begins_a_new_connection() {
    for v6 in [false, true] {
        let mut node = node(VerifyChecksums::Resets, false);
        let syn = Packet::syn(v6, 1, 2, [907, 2049]);
        assert_eq!(create(&mut node, &syn.tcp(), 0), PASS);
        assert_eq!(look(&mut node, &syn.tcp()), PASS, "a retransmission");
        let again = Packet { seq: 3_000_000_000, ..syn };
        assert_eq!(look(&mut node, &again.tcp()), (Action::New, Reason::None));
        assert_eq!(create(&mut node, &again.tcp(), 0), PASS);
        assert_eq!((node.states(), node.stat(SECOND, "states_retired")), (1, 1));
        let answer = again.syn_ack();
        assert_eq!(node.lanes[0].lookup(&info(Out, MS), &view(&answer.tcp())).action, Action::Pass);
        // Now that the server has answered, the client must confirm with an RST that it has given up.
        let third = Packet { seq: 77, ..syn };
        assert_eq!(look(&mut node, &third.tcp()), (Action::Drop, Reason::ChallengeAck));
        let reset = Packet { flags: RST, ..again.data(again.seq + 1, 0, 0) };
        assert_eq!(look(&mut node, &reset.tcp()), PASS);
        assert_eq!(look(&mut node, &third.tcp()), (Action::New, Reason::None));
    }
}
