//! Connections that end with FINs or without, and what comes after.

use super::*;

/// All of this file, for the count of the rows reached.
pub const RECIPES: &[fn()] = &[
    the_server_may_close_first_and_both_at_once,
    a_half_closed_connection_goes_on_in_the_other_direction,
    after_the_end_packets_near_the_window_pass_loosely,
    what_is_loose_establishes_nothing,
    an_answer_to_a_syn_that_was_not_seen_is_no_late_packet_of_a_closed_connection,
    a_class_that_a_peer_told_wrongly_is_mended_by_the_next_packet,
];

#[test]
fn the_server_may_close_first_and_both_at_once() {
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
fn a_half_closed_connection_goes_on_in_the_other_direction() {
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
fn after_the_end_packets_near_the_window_pass_loosely() {
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
fn what_is_loose_establishes_nothing() {
    // The server is silent still, and the client's second SYN, with another number, is let through near the window.
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
fn an_answer_to_a_syn_that_was_not_seen_is_no_late_packet_of_a_closed_connection() {
    let closed = "> S  100000         = new  SYN_SENT:CLOSED         tcp.first
                  < SA 900 ack 100001 = pass ESTABLISHED:SYN_SENT    tcp.opening
                  > A  100001 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
                  > FA 100001 ack 901 = pass CLOSING:ESTABLISHED     tcp.closing
                  < FA 901 ack 100002 = pass FIN_WAIT_2:CLOSING      tcp.finwait
                  > A  100002 ack 902 = pass FIN_WAIT_2:FIN_WAIT_2   tcp.closed\n";
    // The client's SYN went another way. The server's number lies near the old one, or even both do.
    for answer in ["< SA 40000 ack 3000000001", "< SA 1500 ack 100500"] {
        recipe(&format!("{closed}{answer} = window"));
    }
    // The one that opened the connection, which the network has kept for long.
    recipe(&format!("{closed}< SA 900 ack 100001 = pass"));
    // Where one way is all that is seen, it is all that a connection begins with.
    sloppy_recipe(
        "> S  100000              = new  SYN_SENT:CLOSED     tcp.first
         > R  100001              = pass TIME_WAIT:TIME_WAIT tcp.closed
         < SA 40000 ack 3000000001 = pass TIME_WAIT:TIME_WAIT tcp.closed",
    );
}

#[test]
fn a_class_that_a_peer_told_wrongly_is_mended_by_the_next_packet() {
    let opening = "> S  100         = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established";
    for flags in [0, pf_flags::SLOPPY] {
        let mut record = follow(Family::V6, flags, opening);
        record.hot.timeout = timeout_class::TCP_CLOSED;
        let (forward, tcp) = packet_of("> A 101+10 ack 901 =");
        let facts = packet(Family::V6, forward, tcp);
        assert_eq!(track(&mut record.hot, &mut record.track, &facts, Tick(9)), Outcome::Pass);
        assert_eq!(record.hot.timeout, timeout_class::TCP_ESTABLISHED);
    }
}
