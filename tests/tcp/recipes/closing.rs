//! Connections that close, and packets after the end.

use super::*;

/// The recipes of this file.
pub(super) const RECIPES: &[fn()] = &[
    the_server_or_both_sides_may_close_first,
    a_half_closed_connection_continues_in_the_other_direction,
    packets_near_the_window_pass_loosely_after_the_end,
    a_loose_packet_does_not_establish_a_connection,
    a_syn_ack_of_an_unseen_connection_is_dropped_on_a_closed_one,
    the_next_packet_corrects_a_wrong_timeout_class_from_a_peer,
];

#[test]
fn the_server_or_both_sides_may_close_first() {
    recipe(
        "> S  100         = new  SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         < FA 901 ack 101 = pass ESTABLISHED:CLOSING     tcp.closing
         > FA 101 ack 901 = pass CLOSING:FIN_WAIT_2      tcp.finwait
         < A  902 ack 102 = pass FIN_WAIT_2:FIN_WAIT_2   tcp.closed",
    );
}

#[test]
fn a_half_closed_connection_continues_in_the_other_direction() {
    recipe(
        "> S  100          = new  SYN_SENT:CLOSED         tcp.first
         < SA 900  ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > FA 101+10 ack 901 = pass CLOSING:ESTABLISHED   tcp.closing
         < A  901+1000 ack 112 = pass FIN_WAIT_2:ESTABLISHED tcp.closing
         > A  112  ack 1901 = pass
         < A  1901+1000 ack 112 = pass
         > A  112  ack 2901 = pass",
    );
}

#[test]
fn packets_near_the_window_pass_loosely_after_the_end() {
    recipe(
        "> S  100000         = new  SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 100001 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  100001 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         < R  901            = pass TIME_WAIT:TIME_WAIT     tcp.closed
         > A  101002+1 ack 901 = loose
         > A  40000+1 ack 901  = pass
         > A  30000+1 ack 901  = window
         > A  300000+1 ack 901 = window
         > FA 168037 ack 901   = window
         > FA 168036 ack 901   = loose
         > R  5              = window",
    );
}

#[test]
fn a_loose_packet_does_not_establish_a_connection() {
    // The server has not answered; the client's second SYN has another number near the window.
    recipe(
        "> S  100000 = new   SYN_SENT:CLOSED tcp.first
         > SA 160000 ack 5 = loose
         > R  160001       = loose TIME_WAIT:TIME_WAIT tcp.first",
    );
    recipe(
        "> S  100000        = new   SYN_SENT:CLOSED     tcp.first
         > FA 140000+10     = loose CLOSING:CLOSED      tcp.first
         > R  160000        = loose TIME_WAIT:TIME_WAIT tcp.first",
    );
}

#[test]
fn a_syn_ack_of_an_unseen_connection_is_dropped_on_a_closed_one() {
    let closed = "> S  100000         = new  SYN_SENT:CLOSED         tcp.first
                  < SA 900 ack 100001 = pass ESTABLISHED:SYN_SENT    tcp.opening
                  > A  100001 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
                  > FA 100001 ack 901 = pass CLOSING:ESTABLISHED     tcp.closing
                  < FA 901 ack 100002 = pass FIN_WAIT_2:CLOSING      tcp.finwait
                  > A  100002 ack 902 = pass FIN_WAIT_2:FIN_WAIT_2   tcp.closed\n";
    // Another node saw the client's SYN. One or both numbers are near the old connection's.
    for answer in ["< SA 40000 ack 3000000001", "< SA 1500 ack 100500"] {
        recipe(&format!("{closed}{answer} = window"));
    }
    // A late duplicate of the old connection's SYN-ACK.
    recipe(&format!("{closed}< SA 900 ack 100001 = pass"));
    // A sloppy state may see one direction only.
    sloppy_recipe(
        "> S  100000              = new  SYN_SENT:CLOSED     tcp.first
         > R  100001              = pass TIME_WAIT:TIME_WAIT tcp.closed
         < SA 40000 ack 3000000001 = pass TIME_WAIT:TIME_WAIT tcp.closed",
    );
}

#[test]
fn the_next_packet_corrects_a_wrong_timeout_class_from_a_peer() {
    let opening = "> S  100         = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established";
    for flags in [0, pf_flags::SLOPPY] {
        let mut record = run_recipe(Family::V6, flags, opening);
        record.hot.timeout = timeout_class::TCP_CLOSED;
        let (forward, tcp) = parse_packet("> A 101+10 ack 901 =");
        let facts = packet(Family::V6, forward, tcp);
        assert_eq!(track(&mut record.hot, &mut record.track, &facts, Tick(9)), Outcome::Pass);
        assert_eq!(record.hot.timeout, timeout_class::TCP_ESTABLISHED);
    }
}
