//! The limits of the windows.

use super::*;

/// The recipes of this file.
pub(super) const RECIPES: &[fn()] = &[
    packets_overtaken_by_a_whole_window_pass,
    windows_are_exact_to_the_byte,
    scaled_windows_are_exact_to_the_byte,
    scaling_needs_both_sides,
    sequence_numbers_wrap,
    a_keep_alive_after_long_idle_passes,
];

#[test]
fn packets_overtaken_by_a_whole_window_pass() {
    let opening = "> S  100000                   = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900 ack 100001           = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  100001 ack 901           = pass ESTABLISHED:ESTABLISHED tcp.established
                   < A  901 ack 100001 win 65535 = pass
                   > A  100001+65535 ack 901     = pass
                   < A  901 ack 165536 win 65535 = pass
                   > A  165536+65535 ack 901     = pass\n";
    for line in ["< A 901 ack 100001 win 65535", "> A 100001+1448 ack 901"] {
        recipe(&format!("{opening}{line} = pass"));
    }
    // The same with the widest windows of a scale.
    let scaled = "> S  100000 ws 2              = new  SYN_SENT:CLOSED         tcp.first
                  < SA 900 ack 100001 ws 2      = pass ESTABLISHED:SYN_SENT    tcp.opening
                  > A  100001 ack 901           = pass ESTABLISHED:ESTABLISHED tcp.established
                  < A  901 ack 100001 win 65535 = pass
                  > A  100001+262140 ack 901    = pass
                  < A  901 ack 362141 win 65535 = pass
                  > A  362141+262140 ack 901    = pass
                  < A  901 ack 100001 win 65535 = pass";
    recipe(scaled);
}

#[test]
fn windows_are_exact_to_the_byte() {
    // The client's window is 1000, the server's 500.
    let opening = "> S  100                 = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900 ack 101 win 500 = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  101 ack 901         = pass ESTABLISHED:ESTABLISHED tcp.established\n";
    let rows = [
        ("> A 101+500 ack 901", "pass"),
        ("> A 101+501 ack 901", "window"),
        ("< A 901+1000 ack 101", "pass"),
        ("< A 901+1001 ack 101", "window"),
        ("> A 600+1 ack 901", "pass"),
        ("> A 601+1 ack 901", "window"),
        // Retransmissions lie one window back, overtaken segments 67035 more. The client's next byte counts as 100.
        ("< A 401+10 ack 101", "pass"),
        ("> A 4294899861+10 ack 901", "pass"),
        ("> A 4294899860+10 ack 901", "window"),
        // Acknowledgements may be 67035 ahead and twice that behind.
        ("> A 101 ack 67936", "pass"),
        ("> A 101 ack 67937", "window"),
        ("> A 101 ack 4294834127", "pass"),
        ("> A 101 ack 4294834126", "window"),
    ];
    for (line, outcome) in rows {
        recipe(&format!("{opening}{line} = {outcome}"));
    }
    // A FIN may lie beyond the window's last byte; acknowledgements after it pass.
    let fin = "> FA 101+500 ack 901 = pass CLOSING:ESTABLISHED tcp.closing
               > A  602     ack 901 = pass
               > A  602     ack 902 = pass";
    recipe(&format!("{opening}{fin}"));
}

#[test]
fn scaled_windows_are_exact_to_the_byte() {
    // The client's 1000 count in units of 8 bytes, the server's 500 in units of 4, except in the SYNs.
    let opening = "> S  100          win 1000 ws 3 = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900  ack 101 win  500 ws 2 = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  101  ack 901 win 1000      = pass ESTABLISHED:ESTABLISHED tcp.established
                   < A  901  ack 101 win  500      = pass\n";
    let rows = [
        ("> A 101+2000 ack 901", "pass"),
        ("> A 101+2001 ack 901", "window"),
        ("< A 901+8000 ack 101", "pass"),
        ("< A 901+8001 ack 101", "window"),
        // The tolerance for old acknowledgements is scaled and two windows wide; ahead it is not scaled.
        ("> A 101 ack 4293895637", "pass"),
        ("> A 101 ack 4293895636", "window"),
        ("> A 101 ack 67936", "pass"),
        ("> A 101 ack 67937", "window"),
    ];
    for (line, outcome) in rows {
        recipe(&format!("{opening}{line} = {outcome}"));
    }
}

#[test]
fn scaling_needs_both_sides() {
    // The server does not scale, so both windows count in bytes.
    recipe(
        "> S  100         win 1000 ws 3 = new  SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101 win 500       = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901 win 1000      = pass ESTABLISHED:ESTABLISHED tcp.established
         < A  901+1000 ack 101 win 500  = pass
         < A  1901+1   ack 101 win 500  = window
         > A  101+500 ack 901           = pass
         > A  601+1   ack 901           = window",
    );
}

#[test]
fn sequence_numbers_wrap() {
    recipe(
        "> S  4294967290              = new  SYN_SENT:CLOSED         tcp.first
         < SA 4294967295 ack 4294967291 = pass ESTABLISHED:SYN_SENT tcp.opening
         > A  4294967291 ack 1        = pass ESTABLISHED:ESTABLISHED tcp.established
         > PA 4294967291+50 ack 1     = pass
         < A  1+10 ack 45             = pass
         > FA 45   ack 11             = pass CLOSING:ESTABLISHED     tcp.closing
         < FA 11   ack 46             = pass FIN_WAIT_2:CLOSING      tcp.finwait
         > A  46   ack 12             = pass FIN_WAIT_2:FIN_WAIT_2   tcp.closed",
    );
}

#[test]
fn a_keep_alive_after_long_idle_passes() {
    recipe(
        "> S  100          = new  SYN_SENT:CLOSED         tcp.first
         < SA 900  ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  101  ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         > A  100  ack 901 = pass
         > A  100+1 ack 901 = pass
         < A  901  ack 101 = pass",
    );
}
