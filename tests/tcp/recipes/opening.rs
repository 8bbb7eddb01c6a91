//! Connections that open.

use super::*;

/// The recipes of this file.
pub(super) const RECIPES: &[fn()] = &[
    a_client_opens_uses_and_closes_a_connection,
    both_sides_may_open_simultaneously,
    a_repeated_handshake_passes,
    a_refused_connection_ends,
    a_syn_replaces_a_closed_connection_and_is_challenged_on_an_open_one,
    late_packets_of_an_earlier_connection_do_not_end_a_new_one,
    a_mismatch_while_opening_is_reset_and_the_server_may_retry,
    a_connection_may_be_picked_up_in_the_middle,
    after_a_takeover_a_side_whose_syn_was_not_seen_gets_the_largest_scale,
    a_side_whose_syn_took_another_path_gets_the_largest_scale,
    a_segment_of_an_earlier_connection_does_not_set_the_scale,
    a_closed_side_with_known_numbers_opens_with_its_syn,
    packets_of_a_syn_proxied_connection_are_dropped,
];

#[test]
fn a_client_opens_uses_and_closes_a_connection() {
    recipe(
        "> S  100            = new  SYN_SENT:CLOSED         tcp.first
         < SA 900    ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  101    ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         > PA 101+50 ack 901 = pass
         < A  901    ack 151 = pass
         < PA 901+70 ack 151 = pass
         > A  151    ack 971 = pass
         > FA 151    ack 971 = pass CLOSING:ESTABLISHED     tcp.closing
         < A  971    ack 152 = pass FIN_WAIT_2:ESTABLISHED  tcp.closing
         < FA 971    ack 152 = pass FIN_WAIT_2:CLOSING      tcp.finwait
         > A  152    ack 972 = pass FIN_WAIT_2:FIN_WAIT_2   tcp.closed",
    );
}

#[test]
fn both_sides_may_open_simultaneously() {
    recipe(
        "> S  100         = new  SYN_SENT:CLOSED         tcp.first
         < S  900         = pass SYN_SENT:SYN_SENT       tcp.opening
         > SA 100 ack 901 = pass SYN_SENT:ESTABLISHED    tcp.opening
         < SA 900 ack 101 = pass ESTABLISHED:ESTABLISHED tcp.established",
    );
}

#[test]
fn a_repeated_handshake_passes() {
    recipe(
        "> S  100         = new  SYN_SENT:CLOSED         tcp.first
         > S  100         = pass SYN_SENT:CLOSED         tcp.opening
         > S  100         = pass
         < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         < SA 900 ack 101 = pass
         > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         < SA 900 ack 101 = pass
         > A  101 ack 901 = pass",
    );
}

#[test]
fn a_refused_connection_ends() {
    recipe(
        "> S  100             = new  SYN_SENT:CLOSED     tcp.first
         < RA 0 ack 101 win 0 = pass TIME_WAIT:TIME_WAIT tcp.closed",
    );
}

#[test]
fn a_syn_replaces_a_closed_connection_and_is_challenged_on_an_open_one() {
    recipe(
        "> S  100         = new  SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > S  2000        = challenge
         > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         > S  700         = challenge
         < S  100         = challenge
         > FA 101 ack 901 = pass CLOSING:ESTABLISHED     tcp.closing
         > S  700         = challenge
         < FA 901 ack 102 = pass FIN_WAIT_2:CLOSING      tcp.finwait
         > S  700         = challenge
         > A  102 ack 902 = pass FIN_WAIT_2:FIN_WAIT_2   tcp.closed
         > SA 5000 ack 902 = loose
         > S  700         = retire",
    );
}

#[test]
fn late_packets_of_an_earlier_connection_do_not_end_a_new_one() {
    // The ports are reused at once. The old server's RST, still in flight, has no ACK.
    recipe(
        "> S  100000              = new   SYN_SENT:CLOSED         tcp.first
         < R  349                 = loose
         < SA 900 ack 100001      = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  100001 ack 901      = pass  ESTABLISHED:ESTABLISHED tcp.established",
    );
    // The old server still has its connection: its challenge ACK is answered with an RST.
    recipe(
        "> S  500000              = new   SYN_SENT:CLOSED         tcp.first
         < A  229 ack 2397        = reset SYN_SENT:SYN_SENT       tcp.first
         > R  2397                = loose SYN_SENT:SYN_SENT       tcp.first
         > S  500000              = pass  SYN_SENT:SYN_SENT       tcp.opening
         < SA 900000 ack 500001   = pass  ESTABLISHED:SYN_SENT    tcp.opening",
    );
    // A late duplicate of that RST, or a segment of the old client, arrives before the new server's SYN-ACK.
    recipe(
        "> S  3000000000            = new   SYN_SENT:CLOSED         tcp.first
         < A  229 ack 2397          = reset SYN_SENT:SYN_SENT       tcp.first
         > R  2397                  = loose SYN_SENT:SYN_SENT       tcp.first
         < SA 900000 ack 3000000001 = pass  ESTABLISHED:SYN_SENT    tcp.opening",
    );
    recipe(
        "> S  3000000000              = new   SYN_SENT:CLOSED         tcp.first
         < A  700229 ack 2397         = reset SYN_SENT:SYN_SENT       tcp.first
         > A  2397 ack 700229         = reset SYN_SENT:SYN_SENT       tcp.first
         < SA 900000 ack 3000000001   = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  3000000001 ack 900001   = pass  ESTABLISHED:ESTABLISHED tcp.established
         < A  900001+9 ack 3000000001 = pass",
    );
}

#[test]
fn a_mismatch_while_opening_is_reset_and_the_server_may_retry() {
    recipe(
        "> S  100000              = new   SYN_SENT:CLOSED      tcp.first
         < S  900                 = pass  SYN_SENT:SYN_SENT    tcp.opening
         < SA 500000 ack 77       = reset
         < SA 600000 ack 100001   = pass  ESTABLISHED:SYN_SENT tcp.opening
         > A  100001 ack 600001   = pass  ESTABLISHED:ESTABLISHED tcp.established",
    );
    recipe(
        "> S  100000         = new  SYN_SENT:CLOSED   tcp.first
         < S  900            = pass SYN_SENT:SYN_SENT tcp.opening
         < RA 5000000 ack 77 = loose",
    );
}

#[test]
fn a_connection_may_be_picked_up_in_the_middle() {
    recipe(
        "> A  5000+100 ack 777000 win 2000 = new  SYN_SENT:CLOSED         tcp.first
         < A  777000+50 ack 5100           = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  5100+20 ack 777050 win 2000  = pass ESTABLISHED:ESTABLISHED tcp.established
         < A  777050+1500 ack 5120         = pass
         < A  778550+501 ack 5120          = window",
    );
}

#[test]
fn after_a_takeover_a_side_whose_syn_was_not_seen_gets_the_largest_scale() {
    // The server's scale is unknown, the client's is 10.
    for family in [Family::V4, Family::V6] {
        let mut record = run_recipe(family, 0, "> S 100000 win 64240 ws 10 = new SYN_SENT:CLOSED tcp.first");
        record.hot.local.set(LocalFlags::IMPORTED);
        let recipe = "> A  100001 ack 901 win 63         = pass SYN_SENT:CLOSED         tcp.opening
             < A  901+1460 ack 100001 win 64    = pass ESTABLISHED:SYN_SENT    tcp.opening
             > A  100001+9 ack 2361 win 63      = pass ESTABLISHED:ESTABLISHED tcp.established
             < A  60000+1460 ack 100010 win 64  = pass
             > A  180000+1460 ack 61460 win 63  = pass
             < A  125971+1 ack 181460 win 64    = pass
             < A  125972+1 ack 181460 win 64    = window";
        continue_recipe(Some(record), family, 0, recipe);
    }
    // The client offered no scaling, so there is none.
    for family in [Family::V4, Family::V6] {
        let mut record = run_recipe(family, 0, "> S 100000 win 64 = new SYN_SENT:CLOSED tcp.first");
        record.hot.local.set(LocalFlags::IMPORTED);
        let recipe = "< A  901+64 ack 100001 win 64   = pass ESTABLISHED:SYN_SENT    tcp.opening
             > A  100001+9 ack 965 win 64    = pass ESTABLISHED:ESTABLISHED tcp.established
             < A  1029+1 ack 100010 win 64   = window";
        continue_recipe(Some(record), family, 0, recipe);
    }
}

#[test]
fn a_side_whose_syn_took_another_path_gets_the_largest_scale() {
    // This node created the state and has no update about the SYN-ACK yet.
    recipe(
        "> S 100000 win 64240 ws 10        = new SYN_SENT:CLOSED          tcp.first
         < A 901+1460 ack 100001 win 64    = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A 100001+9 ack 2361 win 63      = pass ESTABLISHED:ESTABLISHED tcp.established
         < A 60000+1460 ack 100010 win 64  = pass
         > A 180000+1460 ack 61460 win 63  = pass",
    );
}

#[test]
fn a_segment_of_an_earlier_connection_does_not_set_the_scale() {
    // Its numbers are near enough for the largest scale.
    recipe(
        "> S  3309700142 win 64800 ws 10             = new   SYN_SENT:CLOSED      tcp.first
         < A  3632007540 ack 3300000000 win 32856    = reset SYN_SENT:SYN_SENT    tcp.first
         < SA 3664928525 ack 3309700143 win 65535 ws 10 = pass ESTABLISHED:SYN_SENT tcp.opening",
    );
}

#[test]
fn a_closed_side_with_known_numbers_opens_with_its_syn() {
    let before = {
        let mut record = run_recipe(Family::V6, 0, "> S 100 = new SYN_SENT:CLOSED tcp.first");
        (record.track.dst.seqlo, record.track.dst.seqhi) = (900, 1_900);
        record
    };
    let mut record = before;
    let (forward, tcp) = parse_packet("< SA 900 ack 101 =");
    let facts = packet(Family::V6, forward, tcp);
    assert_eq!(track(&mut record.hot, &mut record.track, &facts, Tick(9)), Outcome::Pass);
    assert_eq!(record.hot.peer_state, [4, 2]);
    record_rows(&before, &record, tcp.flags, 1, Outcome::Pass);
}

#[test]
fn packets_of_a_syn_proxied_connection_are_dropped() {
    let mut record = run_recipe(Family::V4, 0, "> S 100 = new SYN_SENT:CLOSED tcp.first");
    for state in [11, 12] {
        record.hot.peer_state[0] = state;
        for (forward, flags) in [(true, 2), (true, 16), (false, 18), (false, 4)] {
            let facts = packet(Family::V4, forward, TcpFacts { flags, seq: 100, ..TcpFacts::default() });
            let outcome = track(&mut record.hot, &mut record.track, &facts, Tick(9));
            assert_eq!(outcome, Outcome::Drop(DropReason::SynProxy));
        }
    }
}
