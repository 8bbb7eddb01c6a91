//! RSTs.

use super::*;

/// All of this file, for the count of the rows reached.
pub const RECIPES: &[fn()] = &[
    an_rst_must_be_exact,
    an_rst_that_nobody_obeys_leaves_the_connection_as_it_was,
    an_end_that_gives_up_in_the_middle_is_heard_although_segments_were_lost,
];

#[test]
fn an_rst_must_be_exact() {
    // The server's last octet was 900, the client's is taken for 100 until it sends data; windows 1000.
    let opening = "> S  100         = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established\n";
    let end = "TIME_WAIT:TIME_WAIT tcp.closed";
    for exact in ["> R 99", "> R 100", "> R 101", "< R 900", "< R 901", "< R 902", "> RA 50 ack 901"] {
        recipe(&format!("{opening}{exact} = pass {end}"));
    }
    // In the window it passes for the other end to decide, and nobody is believed closed. The oldest is a window of 1000
    // and 67035 more before the next octet.
    let beside =
        ["> R 98", "> R 102", "< R 899", "< R 903", "> RA 50 ack 900", "> RA 102 ack 901", "> R 1101"];
    for beside in beside.into_iter().chain(["> R 4294899361", "< R 1901", "< R 4294900162"]) {
        recipe(&format!("{opening}{beside} = loose ESTABLISHED:ESTABLISHED tcp.closing"));
    }
    for outside in ["> R 1102", "> R 4294899360", "< R 1902", "< R 4294900161", "> RA 102 ack 200000"] {
        recipe(&format!("{opening}{outside} = window"));
    }
}

#[test]
fn an_rst_that_nobody_obeys_leaves_the_connection_as_it_was() {
    recipe(
        "> S  100         = new   SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101 = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901 = pass  ESTABLISHED:ESTABLISHED tcp.established
         > R  500         = loose ESTABLISHED:ESTABLISHED tcp.closing
         < A  901 ack 101 = pass  ESTABLISHED:ESTABLISHED tcp.established",
    );
}

#[test]
fn an_end_that_gives_up_in_the_middle_is_heard_although_segments_were_lost() {
    // Lost before the firewall: the RST names what it has not seen.
    recipe(
        "> S  100           = new   SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101   = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901   = pass  ESTABLISHED:ESTABLISHED tcp.established
         > RA 600 ack 901   = loose ESTABLISHED:ESTABLISHED tcp.closing",
    );
    // Lost behind it: the end is gone, and its kernel answers what still comes with what was acknowledged to it.
    recipe(
        "> S  100             = new   SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101     = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901     = pass  ESTABLISHED:ESTABLISHED tcp.established
         < PA 901+500 ack 101 = pass
         > A  101+10 ack 901  = pass
         < R  901             = loose ESTABLISHED:ESTABLISHED tcp.closing",
    );
}
